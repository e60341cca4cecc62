"""Autoencoders: through a narrow code and back, to learn what matters of the data."""

import math
from collections.abc import Callable
from typing import Any

import jax

from fnn import layers
from fnn.checks import check_count
from fnn.combine import serial
from fnn.core import Layer
from fnn.models.mlp import mlp

Activation = Callable[[jax.Array], jax.Array] | Layer


def autoencoder(
    *features: int,
    shape: int | tuple[int, ...],
    corrupt: Layer | None = None,
    activation: Activation = jax.nn.relu,
) -> Layer:
    r"""Fully connected layers down to a code, and the same widths back up to the input's shape.

    .. math:: \hat x = \operatorname{decoder}(\operatorname{encoder}(\operatorname{corrupt}(x)))

    Train it with x as the target too: `fit(net, x, x, loss=fnn.losses.squared_error, ...)`. With
    linear activations and squared errors it learns what principal components span. `encode` and
    `decode` apply its halves.

    Args:
      *features: the width of each layer of the encoder; the last is the code's.
      shape: of one example, such as (28, 28, 1), or the number of its features.
      corrupt: a layer that spoils the input in training, for the network to mend: a denoising
        autoencoder. `fnn.layers.dropout(0.3)` is the paper's masking noise,
        `fnn.layers.gaussian_noise(0.3)` another.
      activation: a function of x or a layer, behind each layer but the code's and the last.

    Shapes:
      x: (batch, *shape) -> y: the same; no activation ends it: read it as logits, or as numbers.
      params: {"encoder": {"dense_1", ...}, "decoder": ...}. state: {}.

    Raises:
      ValueError: without features, or if a size is less than 1. TypeError: if one is no int.

    Source: Hinton & Salakhutdinov 2006, https://doi.org/10.1126/science.1127647; with `corrupt`
      Vincent et al. 2008, https://doi.org/10.1145/1390156.1390294

    >>> net = autoencoder(128, 8, shape=(28, 28, 1))
    >>> net
    serial(
        encoder=serial(flatten(), dense(128), relu, dense(8)),
        decoder=serial(flatten(), dense(128), relu, dense(784), reshape(28, 28, 1)),
    )
    >>> x = jax.numpy.ones((5, 28, 28, 1))
    >>> params, state = net.init(jax.random.key(0), x)
    >>> encode(net, params, state, x).shape, net.apply(params, state, x)[0].shape
    ((5, 8), (5, 28, 28, 1))
    """
    if not features:
        raise ValueError(
            "autoencoder: give the width of each layer of the encoder, the code's last, such as"
            " autoencoder(128, 8, shape=(28, 28, 1)); got none"
        )
    parts: dict[str, Any] = {} if corrupt is None else {"corrupt": corrupt}
    return serial(
        **parts,
        encoder=mlp(*features, activation=activation),
        decoder=decoder(*features[-2::-1], shape=shape, activation=activation),
    )


def decoder(
    *features: int, shape: int | tuple[int, ...], activation: Activation = jax.nn.relu
) -> Layer:
    """An mlp whose output has the shape of an example: from a code to what it stands for.

    Args:
      *features: the width of each hidden layer, maybe none.
      shape: of the output, without the batch axis, or how many features it has.
      activation: as of `mlp`.

    >>> decoder(16, shape=(2, 2))
    serial(flatten(), dense(16), relu, dense(4), reshape(2, 2))
    """
    shape = shape_of("decoder", shape)
    body = mlp(*features, math.prod(shape), activation=activation)
    return serial(*body.children.values(), layers.reshape(*shape))


def shape_of(where: str, shape: int | tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one example as a tuple of sizes >= 1.

    >>> shape_of("vae", 3)
    (3,)
    """
    sizes = shape if isinstance(shape, tuple | list) else (shape,)
    if not sizes:
        raise ValueError(f"{where}: shape must hold a size, such as (28, 28, 1), got {shape!r}")
    return tuple(check_count(where, "each size of shape", size) for size in sizes)


def conv_autoencoder(
    *features: int,
    code: int,
    shape: tuple[int, int, int],
    corrupt: Layer | None = None,
    activation: Activation = jax.nn.relu,
) -> Layer:
    r"""Convolutions that halve the image down to a code, and back by doubling and convolving.

    The way up doubles each pixel and then convolves, which leaves none of the chessboards that
    transposed convolutions can paint.

    Args:
      *features: the width of each stage; each halves height and width.
      code: how many numbers the code has.
      shape: (height, width, inputs) of one image; the sides must be divisible by 2^stages.
      corrupt: as of `autoencoder`.
      activation: a function of x or a layer.

    Shapes:
      x: (batch, height, width, inputs) -> y: the same; no activation ends it.
      params: {"encoder": {"conv_0", ...}, "decoder": {"dense_0", ...}}. state: {}.

    Raises:
      ValueError: without stages, or if the sides cannot be halved so often.

    Source: for the way up Odena et al. 2016, https://doi.org/10.23915/distill.00003

    >>> net = conv_autoencoder(8, 16, code=4, shape=(28, 28, 1))
    >>> x = jax.ShapeDtypeStruct((5, 28, 28, 1), float)
    >>> params, state = net.init(jax.random.key(0), x)
    >>> params["decoder"]["dense_0"]["w"].shape, params["decoder"]["conv_7"]["w"].shape
    ((4, 784), (3, 3, 8, 1))
    """
    if not features:
        raise ValueError("conv_autoencoder: give the width of each stage, such as (16, 32)")
    height, width, inputs = _image("conv_autoencoder", shape, 2 ** len(features))
    down: list[Any] = []
    for size in features:
        down += [layers.conv(size, (3, 3), stride=2), activation]
    small = (height // 2 ** len(features), width // 2 ** len(features), features[-1])
    up: list[Any] = [layers.dense(math.prod(small)), activation, layers.reshape(*small)]
    for size in features[-2::-1]:
        up += [layers.upsample(2), layers.conv(size, (3, 3)), activation]
    up += [layers.upsample(2), layers.conv(inputs, (3, 3))]
    parts: dict[str, Any] = {} if corrupt is None else {"corrupt": corrupt}
    return serial(
        **parts,
        encoder=serial(*down, layers.flatten(), layers.dense(code)),
        decoder=serial(*up),
    )


def _image(where: str, shape: Any, factor: int) -> tuple[int, ...]:
    sizes = shape_of(where, shape)
    if len(sizes) != 3 or sizes[0] % factor or sizes[1] % factor:
        raise ValueError(
            f"{where}: shape must be (height, width, inputs) with sides divisible by {factor}, got"
            f" {shape!r}; take fewer stages, or pad the images"
        )
    return sizes


def encode(net: Layer, params: Any, state: Any, x: Any, /) -> Any:
    """What the part of `net` called "encoder" makes of x, at inference: the code.

    For `autoencoder`, `conv_autoencoder`, `vae`, and any network with children "encoder" and
    "decoder". Of a `vae` it is {"mean", "log_variance"}: a normal distribution for each example.

    Args:
      net: the whole network.
      params: its parameters, all of them.
      state: its state.
      x: a batch of examples.

    Raises:
      ValueError: if `net` has no child "encoder".
    """
    return _part(net, "encoder", params, state, x)


def decode(net: Layer, params: Any, state: Any, code: Any, /) -> Any:
    """What the part of `net` called "decoder" makes of codes, at inference: examples.

    Of a `vae`, codes drawn from the standard normal distribution become new examples (as logits):
    `decode(net, params, state, jax.random.normal(key, (n, latent)))`.

    Args:
      net: the whole network.
      params: its parameters, all of them.
      state: its state.
      code: (n, width of the code).

    Raises:
      ValueError: if `net` has no child "decoder".

    >>> net = autoencoder(3, shape=(2, 2))
    >>> params, state = net.init(jax.random.key(0), jax.numpy.ones((1, 2, 2)))
    >>> decode(net, params, state, jax.numpy.zeros((7, 3))).shape
    (7, 2, 2)
    """
    return _part(net, "decoder", params, state, code)


def _part(net: Layer, name: str, params: Any, state: Any, x: Any) -> Any:
    if name not in net.children:
        raise ValueError(
            f"{name.removesuffix('r')}: net has no child {name!r}, its children are"
            f" {', '.join(net.children) or 'none'}; build it by autoencoder or vae, or as"
            " serial(encoder=..., decoder=...)"
        )
    return net.children[name].apply(params.get(name, {}), state.get(name, {}), x)[0]
