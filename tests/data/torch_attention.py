"""Writes the numbers of PyTorch 2.13, in float64, that attention is held to.

python tests/data/torch_attention.py  # makes tests/data/attention_torch.npz

Each case is one pass: output, and the gradients of sum(y * dy) with respect to inputs and
parameters, all in fnn's layout and under fnn's names: `<case>/x`, `<case>/params/q/w`, and so on.
"""

import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
rng = np.random.default_rng(0)
BATCH, TIME, KEYS, FEATURES, HEADS = 2, 4, 5, 6, 2
stored = {}


def normal(*shape):
    return torch.from_numpy(rng.normal(size=shape))


def keep(case, **arrays):
    stored.update({f"{case}/{name}": np.asarray(a) for name, a in arrays.items()})


def graded(case, y, inputs, tensors, names):
    """Store output, inputs and all gradients; `names` lists params by our paths."""
    dy = normal(*y.shape)
    (y * dy).sum().backward()
    keep(case, y=y.detach(), dy=dy)
    for name, a in inputs.items():
        keep(case, **{name: a.detach(), f"d{name}": a.grad})
    for kind, pick in (("params", lambda a: a.detach()), ("slopes", lambda a: a.grad)):
        for path, a in names(tensors, pick).items():
            keep(case, **{f"{kind}/{path}": a})


def attention_names(module, pick):
    w = pick(module.in_proj_weight).reshape(3, FEATURES, FEATURES)
    b = pick(module.in_proj_bias).reshape(3, FEATURES)
    found = {}
    for i, name in enumerate("qkv"):
        found |= {f"{name}/w": w[i].T, f"{name}/b": b[i]}
    out = module.out_proj
    return found | {"out/w": pick(out.weight).T, "out/b": pick(out.bias)}


def block_names(module, pick):
    found = {f"attention/{k}": a for k, a in attention_names(module.self_attn, pick).items()}
    for ours, theirs in (("norm_1", module.norm1), ("norm_2", module.norm2)):
        found |= {f"{ours}/scale": pick(theirs.weight), f"{ours}/offset": pick(theirs.bias)}
    for ours, theirs in (("up", module.linear1), ("down", module.linear2)):
        found |= {f"mlp/{ours}/w": pick(theirs.weight).T, f"mlp/{ours}/b": pick(theirs.bias)}
    return found


def scatter(module):
    """Random biases and scales, which are 0 and 1 to begin with and would hide mistakes."""
    with torch.no_grad():
        for a in module.parameters():
            a.copy_(normal(*a.shape) * 0.5)
    return module


def multihead(case, context=None, **settings):
    module = scatter(nn.MultiheadAttention(FEATURES, HEADS, batch_first=True))
    x = normal(BATCH, TIME, FEATURES).requires_grad_()
    inputs = {"x": x}
    if context:
        inputs["context"] = context = normal(BATCH, KEYS, FEATURES).requires_grad_()
    to = x if context is None else context
    y, _ = module(x, to, to, need_weights=False, **settings)
    graded(case, y, inputs, module, attention_names)


past = nn.Transformer.generate_square_subsequent_mask(TIME)
unreal = torch.tensor([[False, False, True, True], [False, True, False, False]])  # True: masked
multihead("self")
multihead("causal", attn_mask=past, is_causal=True)
multihead("padded", key_padding_mask=unreal)
multihead("cross", context=True)
keep("padded", mask=~unreal)

q, k, v = (
    normal(BATCH, TIME, 4, 3).requires_grad_(),
    normal(BATCH, KEYS, 2, 3).requires_grad_(),
    normal(BATCH, KEYS, 2, 5).requires_grad_(),
)
y = functional.scaled_dot_product_attention(
    *(a.transpose(1, 2) for a in (q, k, v)), enable_gqa=True, scale=0.7
).transpose(1, 2)
graded("grouped", y, {"q": q, "k": k, "v": v}, None, lambda tensors, pick: {})

for case, first in (("pre", True), ("post", False)):
    module = nn.TransformerEncoderLayer(
        FEATURES, HEADS, 7, dropout=0.0, activation="gelu", batch_first=True, norm_first=first
    )
    x = normal(BATCH, TIME, FEATURES).requires_grad_()
    graded(case, scatter(module)(x), {"x": x}, module, block_names)

path = pathlib.Path(__file__).parent / "attention_torch.npz"
np.savez_compressed(path, **stored)
print(path.stat().st_size, "bytes")
