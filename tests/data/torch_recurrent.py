"""Writes the numbers of PyTorch 2.13, in float64, that tests/test_recurrent.py holds layers to.

python tests/data/torch_recurrent.py  # makes tests/data/recurrent_torch.npz

Each case is one pass: outputs, final states, and the gradients of sum(y * dy) + sum(h * dh) + ...
with respect to inputs, initial states and parameters. Everything is stored in fnn's layout: of a
layer's parameters `w_x, w_h` are transposed and the two biases one, but for the part of the second
that stands inside the GRU's reset. Parameters and states are named `<layer>/<direction>/<name>`.
"""

import pathlib

import numpy as np
import torch
from torch import nn

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
rng = np.random.default_rng(0)
BATCH, TIME, INPUTS, FEATURES = 3, 4, 2, 3
stored = {}


def normal(*shape):
    return torch.from_numpy(rng.normal(size=shape))


def ours(module, tensors):
    """Parameters or their gradients, under our names."""
    found = {}
    both = module.bidirectional
    for layer in range(module.num_layers):
        for way, suffix in (("forward", ""), ("backward", "_reverse"))[: 1 + both]:
            w_x, w_h, b_x, b_h = (
                tensors[f"{kind}_l{layer}{suffix}"].numpy()
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            at = f"{layer}/{way}"
            found |= {f"{at}/w_x": w_x.T, f"{at}/w_h": w_h.T, f"{at}/b": (b_x, b_h)}
            if isinstance(module, nn.GRU):
                found[f"{at}/b_h"] = b_h[2 * FEATURES :]
    return found


def one_bias(module, b_x, b_h):
    if isinstance(module, nn.GRU):  # the candidate's second bias stays apart
        b_h = np.where(np.arange(3 * FEATURES) < 2 * FEATURES, b_h, 0)
    return b_x + b_h


def states(module, names, tensors):
    ways = ("forward", "backward")[: 1 + module.bidirectional]
    for name, tensor in zip(names, tensors, strict=True):
        for i, h in enumerate(tensor.detach().numpy()):
            yield f"{i // len(ways)}/{ways[i % len(ways)]}/{name}", h


def case(name, module, lengths=None, start=False):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.6)
    lstm, count = isinstance(module, nn.LSTM), module.num_layers * (1 + module.bidirectional)
    names = ("h", "c") if lstm else ("h",)
    x = normal(BATCH, TIME, INPUTS).requires_grad_()
    begin = [normal(count, BATCH, FEATURES) * start for _ in names]
    begin = [a.requires_grad_() for a in begin]
    given = x
    if lengths is not None:
        given = nn.utils.rnn.pack_padded_sequence(
            x, torch.tensor(lengths), batch_first=True, enforce_sorted=False
        )
        stored[f"{name}|lengths"] = np.array(lengths)
    y, end = module(given, tuple(begin) if lstm else begin[0])
    if lengths is not None:
        y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=TIME)
    end = list(end) if lstm else [end]
    dy, dend = normal(*y.shape), [normal(*a.shape) for a in end]
    total = (y * dy).sum() + sum((a * da).sum() for a, da in zip(end, dend, strict=True))
    total.backward()

    put = lambda key, value: stored.__setitem__(f"{name}|{key}", np.asarray(value))  # noqa: E731
    for key, value in {"x": x.detach(), "y": y.detach(), "dy": dy, "dx": x.grad}.items():
        put(key, value)
    pairs = {"start": begin, "end": end, "dend": dend, "dstart": [a.grad for a in begin]}
    for key, tensors in pairs.items():
        for path, h in states(module, names, tensors):
            put(f"{key}/{path}", h)
    parameters = dict(module.named_parameters())
    for path, value in ours(module, {k: v.detach() for k, v in parameters.items()}).items():
        put(f"params/{path}", one_bias(module, *value) if path.endswith("/b") else value)
    for path, value in ours(module, {k: v.grad for k, v in parameters.items()}).items():
        put(f"dparams/{path}", value[0] if path.endswith("/b") else value)


SIZES, PLAIN = (INPUTS, FEATURES), {"batch_first": True}
BOTH = {"bidirectional": True, "num_layers": 2, **PLAIN}
case("rnn", nn.RNN(*SIZES, **PLAIN))
case("rnn relu", nn.RNN(*SIZES, nonlinearity="relu", **PLAIN), start=True)
case("lstm", nn.LSTM(*SIZES, **PLAIN), start=True)
case("gru", nn.GRU(*SIZES, **PLAIN), start=True)
case("rnn packed", nn.RNN(*SIZES, **BOTH), lengths=[2, 4, 1])
case("lstm both ways", nn.LSTM(*SIZES, **BOTH))
case("lstm packed", nn.LSTM(*SIZES, **BOTH), lengths=[2, 4, 1], start=True)
case("gru packed", nn.GRU(*SIZES, **BOTH), lengths=[3, 1, 4], start=True)

path = pathlib.Path(__file__).with_name("recurrent_torch.npz")
np.savez_compressed(path, **stored)
