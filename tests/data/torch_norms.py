"""Writes the numbers of PyTorch 2.13, in float64, that tests/test_norms.py holds layers to.

python tests/data/torch_norms.py  # makes tests/data/norms_torch.npz

Each case is a walk of three steps: output, gradients of sum(y * dy), a step of gradient descent,
buffers; then the output at inference. All arrays are stored in fnn's layout: features last.
"""

import pathlib
import warnings

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm

warnings.simplefilter("ignore")
torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
STEPS, RATE = 3, 0.1
rng = np.random.default_rng(0)
stored = {}


def same(a):
    return a


def turned(a):  # a linear layer's (outputs, inputs)
    return a.transpose(0, 1)


def kernel(a):  # OIHW to HWIO
    return a.permute(2, 3, 1, 0)


def walk(name, module, x, params, buffers=None, first=False):
    """`x` is (steps, batch, *space, features); `params` maps our path to a tensor and a layout."""
    for parameter in module.parameters():
        with torch.no_grad():
            parameter.add_(torch.from_numpy(rng.normal(size=tuple(parameter.shape)) * 0.3))

    def out(tensor):
        return tensor.detach().clone().numpy()

    def note(key, value):
        stored.setdefault(f"{name}|{key}", []).append(out(value))

    def run(a):
        if isinstance(a, tuple):
            return module(*a)
        a = a.movedim(-1, 1) if first else a
        y = module(a)
        return y.movedim(1, -1) if first else y

    xs = x if isinstance(x, tuple) else (x,)
    for i, a in enumerate(xs):
        stored[f"{name}|x{i}"] = a
    for path, (tensor, layout) in params.items():
        stored[f"{name}|params/{path}"] = out(layout(tensor))
    for path, (get, layout) in (buffers or {}).items():
        stored[f"{name}|state/{path}"] = out(layout(get()))
    module.train()
    for step in range(STEPS):
        here = [torch.from_numpy(a[step]) for a in xs]
        floating = [a.requires_grad_() for a in here if a.is_floating_point()]
        y = run(tuple(here) if isinstance(x, tuple) else here[0])
        dy = torch.from_numpy(rng.normal(size=tuple(y.shape)))
        tensors = [tensor for tensor, _ in params.values()]
        slopes = torch.autograd.grad((y * dy).sum(), floating + tensors)
        note("y", y)
        note("dy", dy)
        for i, slope in enumerate(slopes[: len(floating)]):
            note(f"dx{i}", slope)
        for (path, (tensor, layout)), slope in zip(
            params.items(), slopes[len(floating) :], strict=True
        ):
            note(f"dparams/{path}", layout(slope))
            with torch.no_grad():
                tensor.sub_(RATE * slope)
        for path, (get, layout) in (buffers or {}).items():
            note(f"after/{path}", layout(get()))
    module.eval()
    here = tuple(torch.from_numpy(a[0]) for a in xs)
    stored[f"{name}|eval"] = out(run(here if isinstance(x, tuple) else here[0]))


def normal(*shape):
    return rng.normal(size=(STEPS, *shape)) * 1.5 + 0.7


def affine(module):
    return {"scale": (module.weight, same), "offset": (module.bias, same)}


def running(module):
    return {
        "mean": (lambda: module.running_mean, same),
        "var": (lambda: module.running_var, same),
    }


m = nn.BatchNorm1d(3)
walk("batch_norm", m, normal(5, 3), affine(m), running(m))
m = nn.BatchNorm2d(3, momentum=0.3, eps=1e-3)
walk("batch_norm of images", m, normal(2, 3, 2, 3), affine(m), running(m), first=True)
m = nn.BatchNorm1d(3, affine=False)
walk("batch_norm bare", m, normal(2, 4, 3), {}, running(m), first=True)
m = nn.LayerNorm(5)
walk("layer_norm", m, normal(2, 3, 5), affine(m))
m = nn.LayerNorm((3, 5))
walk("layer_norm of two axes", m, normal(2, 3, 5), affine(m))
m = nn.RMSNorm(5, eps=1e-6)
walk("rms_norm", m, normal(2, 3, 5), {"scale": (m.weight, same)})
m = nn.RMSNorm((3, 5), eps=1e-3)
walk("rms_norm of two axes", m, normal(2, 3, 5), {"scale": (m.weight, same)})
m = nn.GroupNorm(2, 6)
walk("group_norm", m, normal(2, 3, 2, 6), affine(m), first=True)
m = nn.GroupNorm(2, 6)
walk("group_norm without space", m, normal(3, 6), affine(m), first=True)
m = nn.InstanceNorm1d(3, affine=True)
walk("instance_norm of sequences", m, normal(2, 5, 3), affine(m), first=True)
m = nn.InstanceNorm2d(3)
walk("instance_norm bare", m, normal(2, 3, 2, 3), {}, first=True)
m = nn.LocalResponseNorm(3, alpha=0.6, beta=0.7, k=1.5)
walk("local_response_norm", m, normal(2, 2, 2, 5), {}, first=True)
m = nn.LocalResponseNorm(4, alpha=0.6)
walk("local_response_norm of four", m, normal(2, 2, 6), {}, first=True)

m = nn.Linear(4, 3)
walk("dense", m, normal(2, 4), {"w": (m.weight, turned), "b": (m.bias, same)})
m = nn.Bilinear(4, 2, 3)
walk(
    "bilinear",
    m,
    (normal(3, 4), normal(3, 2)),
    {"w": (m.weight, lambda a: a.permute(1, 2, 0)), "b": (m.bias, same)},
)
m = nn.Embedding(6, 3)
walk("embed", m, rng.integers(0, 6, (STEPS, 2, 4)), {"w": (m.weight, same)})


def parts(module, layout):
    split = module.parametrizations.weight
    return {
        "body/w/g": (split.original0, lambda a: a.reshape(-1)),
        "body/w/v": (split.original1, layout),
        "body/b": (module.bias, same),
    }


m = parametrizations.weight_norm(nn.Linear(4, 3))
walk("weight_norm", m, normal(5, 4), parts(m, turned))
m = parametrizations.weight_norm(nn.Conv2d(2, 3, 2))
walk("weight_norm of conv", m, normal(2, 3, 3, 2), parts(m, kernel), first=True)


def power(module, layout):
    return {
        "singular/w/u": (lambda: module.weight_u, same),
        "singular/w/v": (lambda: module.weight_v, layout),
    }


m = spectral_norm(nn.Linear(4, 3))
walk(
    "spectral_norm",
    m,
    normal(5, 4),
    {"body/w": (m.weight_orig, turned), "body/b": (m.bias, same)},
    power(m, same),
)
m = spectral_norm(nn.Conv2d(2, 3, 2), n_power_iterations=2)
walk(
    "spectral_norm of conv",
    m,
    normal(2, 3, 3, 2),
    {"body/w": (m.weight_orig, kernel), "body/b": (m.bias, same)},
    power(m, lambda v: v.reshape(2, 2, 2).permute(1, 2, 0).reshape(-1)),
    first=True,
)

# what becomes of 1 if it is dropped and if it is kept
for rate in (0.1, 0.5):
    y = nn.functional.alpha_dropout(torch.ones(1000), rate, training=True)
    stored[f"alpha_dropout {rate}"] = np.unique(y.numpy())

path = pathlib.Path(__file__).with_name("norms_torch.npz")
np.savez_compressed(path, **{name: np.asarray(array) for name, array in stored.items()})
