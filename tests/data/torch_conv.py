"""Writes the numbers of PyTorch 2.13, in float64, that tests/test_conv.py holds layers to.

python tests/data/torch_conv.py, which writes tests/data/conv_torch.npz

Of each case: the input, the parameters, the output y, and the gradients of sum(y * cos(0, 1, 2...))
with respect to input and parameters; all with the features last and w as (*kernel, inputs / groups,
features).
"""

import pathlib

import numpy as np
import torch
from torch import nn

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
rng = np.random.default_rng(0)
CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
PAINTS = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


def conv(n, *args, **knobs):
    return CONVS[n](*args, **knobs)


def paint(n, *args, **knobs):
    return PAINTS[n](*args, **knobs)


# name: (the shape of x, features first, and the module)
CASES = {
    "conv 1": ((2, 3, 7), conv(1, 3, 4, 3)),
    "conv 1 strided": ((2, 3, 8), conv(1, 3, 4, 3, stride=2, padding=1)),
    "conv 1 dilated": ((2, 3, 9), conv(1, 3, 4, 3, dilation=2, padding="same")),
    "conv 2": ((2, 3, 5, 6), conv(2, 3, 4, 3, padding=1)),
    "conv 2 valid": ((2, 3, 5, 6), conv(2, 3, 4, (2, 3))),
    "conv 2 same": ((2, 3, 5, 6), conv(2, 3, 4, (3, 4), padding="same")),
    "conv 2 strided": ((2, 3, 6, 7), conv(2, 3, 4, 3, stride=(2, 3), padding=(1, 2))),
    "conv 2 dilated": ((2, 3, 6, 7), conv(2, 3, 4, 3, dilation=(2, 1), padding=1)),
    "conv 2 grouped": ((2, 4, 5, 4), conv(2, 4, 6, 3, groups=2, padding=1, stride=2)),
    "conv 2 bare": ((2, 3, 4, 5), conv(2, 3, 4, 1, bias=False)),
    "conv 2 reflect": ((2, 3, 5, 6), conv(2, 3, 4, 3, padding=1, padding_mode="reflect")),
    "conv 2 replicate": ((2, 3, 5, 6), conv(2, 3, 4, 5, padding=2, padding_mode="replicate")),
    "conv 2 circular": (
        (2, 3, 5, 6),
        conv(2, 3, 4, 3, stride=2, padding=1, padding_mode="circular"),
    ),
    "conv 3": ((1, 2, 4, 3, 4), conv(3, 2, 3, (2, 2, 3), padding=1)),
    "conv 3 strided": ((1, 2, 5, 4, 4), conv(3, 2, 3, 3, stride=2, padding=1)),
    "depthwise 1": ((2, 3, 6), conv(1, 3, 3, 3, groups=3, padding=1)),
    "depthwise 2": ((2, 3, 5, 4), conv(2, 3, 6, 3, groups=3, padding=1)),
    "depthwise 2 strided": ((2, 3, 6, 6), conv(2, 3, 3, 3, groups=3, padding=1, stride=2)),
    "transpose 1": ((2, 3, 5), paint(1, 3, 4, 3)),
    "transpose 1 strided": ((2, 3, 5), paint(1, 3, 4, 4, stride=2, padding=1)),
    "transpose 1 gaps": ((2, 3, 4), paint(1, 3, 2, 2, stride=3, output_padding=1)),
    "transpose 2": ((2, 3, 4, 3), paint(2, 3, 4, 3, padding=1)),
    "transpose 2 strided": (
        (2, 3, 4, 3),
        paint(2, 3, 4, 3, stride=2, padding=1, output_padding=1),
    ),
    "transpose 2 uneven": (
        (2, 3, 4, 3),
        paint(2, 3, 4, (3, 2), stride=(3, 2), padding=(1, 0), output_padding=(2, 1)),
    ),
    "transpose 2 dilated": ((2, 3, 4, 3), paint(2, 3, 4, 3, stride=2, padding=2, dilation=2)),
    "transpose 2 grouped": ((2, 4, 3, 3), paint(2, 4, 6, 3, stride=2, padding=1, groups=2)),
    "transpose 3": ((1, 2, 2, 3, 2), paint(3, 2, 3, 3, stride=2, padding=1, output_padding=1)),
    "max 1": ((2, 3, 7), nn.MaxPool1d(3)),
    "max 2": ((2, 3, 6, 5), nn.MaxPool2d(2)),
    "max 2 strided": ((2, 3, 6, 7), nn.MaxPool2d(3, stride=2, padding=1)),
    "max 2 uneven": ((2, 3, 6, 7), nn.MaxPool2d((2, 3), stride=(1, 2), padding=(1, 0))),
    "max 3": ((1, 2, 4, 5, 4), nn.MaxPool3d(2)),
    "avg 1": ((2, 3, 7), nn.AvgPool1d(2)),
    "avg 2": ((2, 3, 6, 5), nn.AvgPool2d(2)),
    "avg 2 of zeros": ((2, 3, 6, 7), nn.AvgPool2d(3, stride=2, padding=1)),
    "avg 2 without zeros": (
        (2, 3, 6, 7),
        nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
    ),
    "avg 3": ((1, 2, 4, 5, 4), nn.AvgPool3d((2, 1, 2))),
    "adaptive avg 1": ((2, 3, 7), nn.AdaptiveAvgPool1d(3)),
    "adaptive avg 2": ((2, 3, 6, 5), nn.AdaptiveAvgPool2d((4, 7))),
    "adaptive max 2": ((2, 3, 7, 6), nn.AdaptiveMaxPool2d(3)),
    "nearest 1": ((2, 3, 4), nn.Upsample(scale_factor=3)),
    "nearest 2": ((2, 3, 4, 3), nn.Upsample(scale_factor=(2, 3))),
    "linear 1": ((2, 3, 4), nn.Upsample(scale_factor=3, mode="linear")),
    "linear 2": ((2, 3, 4, 3), nn.Upsample(scale_factor=(2, 3), mode="bilinear")),
    "linear 3": ((1, 2, 2, 3, 2), nn.Upsample(scale_factor=2, mode="trilinear")),
    "shuffle": ((2, 8, 3, 2), nn.PixelShuffle(2)),
    "unshuffle": ((2, 3, 4, 6), nn.PixelUnshuffle(2)),
}


def few_bits(array):
    """Rounded, so that the file packs well; no two numbers of a window should be equal, though."""
    return np.round(array * 1024) / 1024


def last(array):
    """The features last, as ours are."""
    return np.moveaxis(array.detach().numpy(), 1, -1)


def ours(module, name, array):
    """A parameter as we shape it."""
    array = array.detach().numpy()
    if name == "bias":
        return array
    if "Transpose" not in type(module).__name__:
        return np.moveaxis(array, (0, 1), (-1, -2))
    groups = module.groups  # (inputs, features / groups, *kernel), the inputs group after group
    parts = [np.moveaxis(part, (0, 1), (-2, -1)) for part in np.split(array, groups)]
    return np.concatenate(parts, -1)


numbers = {}
for case, (shape, module) in CASES.items():
    x = torch.tensor(few_bits(rng.normal(size=shape)), requires_grad=True)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.from_numpy(few_bits(parameter.numpy())))
    y = module(x)
    weights = np.cos(np.arange(y.numel())).reshape(last(y).shape)
    (y * torch.from_numpy(np.moveaxis(weights, -1, 1))).sum().backward()
    numbers |= {f"{case}/x": last(x), f"{case}/y": last(y), f"{case}/dx": last(x.grad)}
    for name, parameter in module.named_parameters():
        letter = {"weight": "w", "bias": "b"}[name]
        numbers[f"{case}/{letter}"] = ours(module, name, parameter)
        numbers[f"{case}/d{letter}"] = ours(module, name, parameter.grad)

path = pathlib.Path(__file__).with_name("conv_torch.npz")
np.savez_compressed(path, **numbers)
print(f"{path.name}: {len(CASES)} cases, {path.stat().st_size} bytes")
