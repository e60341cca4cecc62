"""Plain convolutional networks: convolutions and pools, then fully connected layers."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from fnn import layers
from fnn.checks import check_count
from fnn.combine import serial
from fnn.core import Layer
from fnn.initializers import Initializer, he_normal, lecun_normal

Activation = Callable[[jax.Array], jax.Array] | Layer


def convnet(
    *stages: int | Sequence[int],
    classes: int,
    kernel: int | tuple[int, ...] = (3, 3),
    dense: int | Sequence[int] = 128,
    rate: float = 0.0,
    batch_norm: bool = False,
    activation: Activation = jax.nn.relu,
    w_init: Initializer = he_normal,
) -> Layer:
    r"""Stages of convolutions, each of which halves the image, then fully connected layers.

    .. math::
        h_i = \operatorname{pool}(a(\operatorname{conv}(\dots a(\operatorname{conv}(h_{i-1}))))),
        \quad y = \operatorname{mlp}(\operatorname{vec}(h_n))

    Args:
      *stages: the width of each stage's convolution, or of each of its convolutions, in a tuple:
        `convnet(32, 64, classes=10)` pools after each, `convnet((32, 64), classes=10)` once. A
        max-pool of 2 ends every stage.
      classes: the width of the last layer, which gets no activation: logits.
      kernel: the convolutions' window; a tuple fixes the number of spatial axes, so that images
        without a feature axis are refused and not taken for sequences.
      dense: the width of the hidden fully connected layer, or of each in a tuple; () for none.
      rate: probability to drop each input of every fully connected layer in training, in [0, 1);
        0 leaves no layer.
      batch_norm: whether each convolution is followed by batch norm, which has the bias then.
      activation: a, a function of x or a layer.
      w_init: initializer of all weights but the last layer's, whose is lecun_normal.

    Shapes:
      x: (batch, *space, inputs) -> y: (batch, classes).
      params: {"conv_0": {"w", "b"}, ..., "dense_7": {"w", "b"}}. state: {}, or batch norm's.

    Raises:
      ValueError: without stages, or if a width is less than 1. TypeError: if one is no int.

    >>> convnet((32, 64), classes=10)
    serial(
        conv(32, (3, 3), w_init=he_normal),
        relu,
        conv(64, (3, 3), w_init=he_normal),
        relu,
        max_pool(2),
        flatten(),
        dense(128, w_init=he_normal),
        relu,
        dense(10),
    )
    """
    if not stages:
        raise ValueError(
            "convnet: give the width of each stage, such as convnet(32, 64, classes=10); got none"
        )
    parts: list = []
    for stage in stages:
        for width in _widths("stages", stage):
            parts.append(layers.conv(width, kernel, bias=not batch_norm, w_init=w_init))
            parts += [layers.batch_norm(), activation] if batch_norm else [activation]
        parts.append(layers.max_pool(2))
    drop = [layers.dropout(rate)] if rate else []
    parts.append(layers.flatten())
    for width in _widths("dense", dense):
        parts += [*drop, layers.dense(width, w_init=w_init), activation]
    return serial(*parts, *drop, layers.dense(classes, w_init=lecun_normal))


def lenet(classes: int = 10, *, activation: Activation = jnp.tanh) -> Layer:
    r"""LeNet-5: two convolutions, each with a pool, and three fully connected layers.

    The paper's sizes, on 28x28 images, to which the first convolution adds the border that the
    paper's 32x32 images had. As in most later versions its trainable pools are plain means, its
    scaled tanh is tanh, each of the second convolution's neurons sees all six maps, not a chosen
    few, and the last layer gives logits, not distances to drawn letters.

    Args:
      classes: the width of the last layer.
      activation: a function of x or a layer.

    Shapes:
      x: (batch, height, width, inputs) -> y: (batch, classes). Height and width at least 12.
      params: {"conv_0": {"w": (5, 5, inputs, 6), "b"}, ..., "dense_11": ...}. state: {}.

    Source: LeCun et al. 1998, section II.B, https://doi.org/10.1109/5.726791

    >>> import fnn
    >>> params, _ = lenet().init(jax.random.key(0), jnp.ones((1, 28, 28, 1)))
    >>> fnn.trees.count(params)
    61706
    """
    return serial(
        layers.conv(6, (5, 5)),
        activation,
        layers.avg_pool(2),
        layers.conv(16, (5, 5), padding="VALID"),
        activation,
        layers.avg_pool(2),
        layers.flatten(),
        layers.dense(120),
        activation,
        layers.dense(84),
        activation,
        layers.dense(classes),
    )


def _widths(name: str, given: int | Sequence[int]) -> tuple[int, ...]:
    widths = given if isinstance(given, tuple | list) else (given,)
    return tuple(check_count("convnet", f"each width of {name}", width) for width in widths)
