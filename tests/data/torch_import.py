"""Writes the weights and outputs of PyTorch 2.13 that tests/test_import_torch.py takes over.

python tests/data/torch_import.py, which writes tests/data/import_torch.npz

Of each model: its `state_dict` in float32 ("cnn:w:conv1.weight"), an input ("cnn:x", features
first) and the output that it computes from them in float64 ("cnn:y").
"""

import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as f

torch.manual_seed(0)
rng = np.random.default_rng(0)


class CNN(nn.Module):
    """Convolutions of every kind, two batch norms, and the flatten that everybody stumbles over."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.act = nn.PReLU()
        self.conv2 = nn.Conv2d(4, 6, (2, 3), groups=2, padding=1, stride=2, bias=False)
        self.bn2 = nn.BatchNorm2d(6)
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2)
        self.norm = nn.GroupNorm(2, 4)
        self.fc1 = nn.Linear(4 * 10 * 6, 5)
        self.fc2 = nn.Linear(5, 2)

    def forward(self, x):
        h = f.max_pool2d(self.act(self.bn1(self.conv1(x))), 2)
        h = self.norm(self.up(torch.relu(self.bn2(self.conv2(h)))))
        return self.fc2(torch.tanh(self.fc1(h.flatten(1))))


class Conv1D(nn.Module):
    """A linear layer whose weight is (inputs, outputs), as GPT-2's published ones are."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) * 0.2)
        self.bias = nn.Parameter(torch.randn(outputs) * 0.2)

    def forward(self, x):
        return x @ self.weight + self.bias


class Attention(nn.Module):
    def __init__(self, size, heads):
        super().__init__()
        self.heads = heads
        self.c_attn, self.c_proj = Conv1D(size, 3 * size), Conv1D(size, size)

    def forward(self, x):
        q, k, v = (
            a.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for a in self.c_attn(x).chunk(3, dim=-1)
        )
        y = f.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.c_fc, self.c_proj = Conv1D(size, 4 * size), Conv1D(4 * size, size)

    def forward(self, x):
        return self.c_proj(f.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, size, heads):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(size), Attention(size, heads)
        self.ln_2, self.mlp = nn.LayerNorm(size), MLP(size)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    """GPT-2 with its names, in small."""

    def __init__(self, vocabulary, length, size, heads, blocks):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, size), nn.Embedding(length, size)
        self.h = nn.ModuleList(Block(size, heads) for _ in range(blocks))
        self.ln_f = nn.LayerNorm(size)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ self.wte.weight.T


def shake(module):
    """Numbers for everything that starts as zeros or ones."""
    for name, a in module.state_dict().items():
        if a.is_floating_point() and (a.ndim < 2 or "bias" in name):
            low = 0.5 if "var" in name else -0.5
            a.copy_(torch.tensor(rng.uniform(low, 1.5, a.shape), dtype=a.dtype))


def encoder():
    layer = nn.TransformerEncoderLayer(
        16, 4, dim_feedforward=24, activation="gelu", norm_first=True, batch_first=True
    )
    return nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(16), enable_nested_tensor=False)


def sequences():
    return torch.tensor(rng.normal(size=(2, 6, 3)))


found = {}
for name, module, x in (
    ("cnn", CNN(), torch.tensor(rng.normal(size=(2, 3, 16, 12)))),
    ("encoder", encoder(), torch.tensor(rng.normal(size=(2, 5, 16)))),
    ("rnn", nn.RNN(3, 4, batch_first=True), sequences()),
    ("lstm", nn.LSTM(3, 4, num_layers=2, batch_first=True, bidirectional=True), sequences()),
    ("gru", nn.GRU(3, 4, num_layers=2, batch_first=True), sequences()),
    ("gpt", GPT(11, 8, 16, 2, 2), torch.tensor(rng.integers(0, 11, (2, 7)))),
):
    shake(module)
    found |= {f"{name}:w:{key}": a.numpy().copy() for key, a in module.state_dict().items()}
    y = module.double().eval()(x)
    y = y[0] if isinstance(y, tuple) else y
    found |= {f"{name}:x": x.numpy(), f"{name}:y": y.detach().numpy()}

path = pathlib.Path(__file__).with_name("import_torch.npz")
np.savez_compressed(path, **found)
print(path, path.stat().st_size)
