"""Residual networks for small images: each block learns only what to add to its input."""

import functools
from typing import Literal

import jax
import jax.numpy as jnp

from fnn import layers
from fnn.checks import check_count
from fnn.combine import residual, serial
from fnn.core import Layer
from fnn.initializers import he_normal


def resnet(
    depth: int = 20,
    *,
    classes: int = 10,
    width: int = 16,
    shortcut: Literal["A", "B"] = "A",
    decay: float | jax.Array = 0.9,
) -> Layer:
    r"""A convolution, three stages of residual blocks, the mean over all places, a dense layer.

    .. math:: h_{i+1} = \operatorname{relu}(\operatorname{shortcut}(h_i) + F_i(h_i))

    F is conv, batch norm, relu, conv, batch norm. The stages have `width`, 2 `width` and 4 `width`
    features; the second and the third begin by halving the image.

    Args:
      depth: layers with weights, 6 n + 2 for n >= 1 blocks a stage: 8, 14, 20, 32, 44, 56, 110.
      classes: the width of the last layer, which gives logits.
      width: features of the first stage, >= 1; 16 in the paper.
      shortcut: what carries h where shapes change. "A", the paper's choice here: every second place
        of h, and zeros for the new features; no weights. "B": a 1x1 convolution and batch norm.
      decay: weight of the old average in batch norm, in [0, 1].

    Shapes:
      x: (batch, height, width, inputs) -> y: (batch, classes).
      params: {"stem", "stage_1", "stage_2", "stage_3", "head"}, nested by block. state: likewise,
        of batch norm.

    Raises:
      ValueError: if depth is not 6 n + 2, or for another shortcut.

    Convolutions pad by 1 on either side, as in PyTorch, so that their windows are centred on the
    places that shortcut "A" keeps. No bias where batch norm follows; he_normal weights.

    Source: He et al. 2016, section 4.2, https://arxiv.org/abs/1512.03385

    >>> import fnn
    >>> params, state = resnet(20).init(jax.random.key(0), jnp.ones((1, 32, 32, 3)))
    >>> fnn.trees.count(params)
    269722
    """
    depth = check_count("resnet", "depth", depth, 8)
    width = check_count("resnet", "width", width)
    if (depth - 2) % 6:
        near = (depth - 2) // 6 * 6 + 2
        raise ValueError(
            f"resnet: depth must be 6 n + 2 for n blocks in each of three stages, got {depth};"
            f" try {near} or {near + 6}"
        )
    if shortcut not in ("A", "B"):
        raise ValueError(f"resnet: shortcut must be 'A' or 'B', got {shortcut!r}")
    stages = {}
    for number in (1, 2, 3):
        features, first = width * 2 ** (number - 1), number == 1
        blocks = [_block(features, 1 if first else 2, None if first else shortcut, decay)]
        blocks += [_block(features, 1, None, decay)] * ((depth - 2) // 6 - 1)
        stages[f"stage_{number}"] = serial(*blocks)
    return serial(
        stem=serial(_conv(width, 3, 1), layers.batch_norm(decay=decay), jax.nn.relu),
        **stages,
        head=serial(layers.global_avg_pool(), layers.dense(classes)),
    )


def narrower(x: jax.Array, *, features: int) -> jax.Array:
    """Every second place of x, with zeros for as many features as it lacks: shortcut "A".

    >>> print(narrower(jnp.arange(3.0).reshape(1, 3, 1, 1), features=2).reshape(2, 2))
    [[0. 0.]
     [2. 0.]]
    """
    lacking = features - x.shape[-1]
    return jnp.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (0, lacking)))


def _block(features: int, stride: int, shortcut: str | None, decay: float | jax.Array) -> Layer:
    body = serial(
        _conv(features, 3, stride),
        layers.batch_norm(decay=decay),
        jax.nn.relu,
        _conv(features, 3, 1),
        layers.batch_norm(decay=decay),
    )
    around = {
        None: None,
        "A": functools.partial(narrower, features=features),
        "B": serial(_conv(features, 1, stride), layers.batch_norm(decay=decay)),
    }[shortcut]
    return serial(residual(body, around), jax.nn.relu)


def _conv(features: int, size: int, stride: int) -> Layer:
    return layers.conv(
        features, (size, size), stride=stride, padding=size // 2, bias=False, w_init=he_normal
    )
