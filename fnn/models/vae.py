"""The variational autoencoder: codes that are distributions, and a decoder that can be drawn from.

net = fnn.models.vae(2, shape=(28, 28, 1))
trained = fnn.fit(net, x, x, loss=fnn.models.negative_elbo, ...)
drawn = fnn.models.decode(net, *trained.best[:2], jax.random.normal(key, (64, 2)))
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from fnn import losses, random
from fnn.checks import check_count, check_given_key
from fnn.combine import parallel, serial
from fnn.compose import compose
from fnn.core import Layer
from fnn.layers import dense, gaussian_sample
from fnn.models.autoencoder import Activation, decode, decoder, encode
from fnn.models.mlp import mlp
from fnn.show import spec_text

Reconstruction = Callable[[jax.Array, jax.Array], jax.Array]


def vae(
    latent: int,
    *,
    shape: int | tuple[int, ...],
    hidden: int | Sequence[int] = 256,
    activation: Activation = jax.nn.relu,
) -> Layer:
    r"""A variational autoencoder of fully connected layers.

    .. math::
        \mu, \log \sigma^2 = \operatorname{encoder}(x), \quad
        z = \mu + \sigma \odot n, \; n \sim \mathcal N(0, 1), \quad
        \hat x = \operatorname{decoder}(z)

    With `train=True` z is drawn and a key is needed; at inference z is the mean. Train it by
    `negative_elbo` with x as the target too; a validation loss is then that of z = mean, which is
    no bound: `elbo` is. `encode` and `decode` apply its halves; to draw new examples, decode
    standard normal codes. For other halves than these, such as convolutions, write
    `compose(variational, encoder=..., sample=gaussian_sample(), decoder=...)` with an encoder that
    ends in `parallel(mean_and_log_variance, mean=dense(latent), log_variance=dense(latent))`.

    Args:
      latent: how many numbers a code z has.
      shape: of one example, such as (28, 28, 1), or the number of its features.
      hidden: the width of the encoder's hidden layer, or of each in a tuple; the decoder has the
        same in reverse.
      activation: a function of x or a layer.

    Shapes:
      x: (batch, *shape) -> y: {"logits": (batch, *shape), "mean": (batch, latent),
        "log_variance": (batch, latent)}.
      params: {"encoder": {"body", "head": {"mean", "log_variance"}}, "decoder"}. state: {}.

    Raises:
      ValueError: if a size is less than 1. TypeError: if one is no int.

    Source: Kingma & Welling 2014, https://arxiv.org/abs/1312.6114

    >>> net = vae(2, shape=(8, 8), hidden=16)
    >>> x = jnp.zeros((5, 8, 8))
    >>> params, state = net.init(jax.random.key(0), x)
    >>> y, _ = net.apply(params, state, x, key=jax.random.key(1), train=True)
    >>> jax.tree.map(jnp.shape, y)
    {'log_variance': (5, 2), 'logits': (5, 8, 8), 'mean': (5, 2)}
    """
    widths = tuple(hidden) if isinstance(hidden, Sequence) else (hidden,)
    latent = check_count("vae", "latent", latent)
    if not widths:
        raise ValueError("vae: hidden must hold the width of one layer at least, such as 256")
    return compose(
        variational,
        encoder=serial(
            body=serial(*mlp(*widths, activation=activation).children.values(), activation),
            head=parallel(mean_and_log_variance, mean=dense(latent), log_variance=dense(latent)),
        ),
        sample=gaussian_sample(),
        decoder=decoder(*widths[::-1], shape=shape, activation=activation),
    )


def variational(f: Any, x: Any) -> dict[str, jax.Array]:
    """The wiring of `vae`."""
    normal = f.encoder(x)
    return {"logits": f.decoder(f.sample(normal)), **normal}


def mean_and_log_variance(mean: jax.Array, log_variance: jax.Array) -> dict[str, jax.Array]:
    """The two by name: what ends an encoder, by `parallel(mean_and_log_variance, ...)`."""
    return {"mean": mean, "log_variance": log_variance}


def negative_elbo(
    prediction: Mapping[str, jax.Array],
    target: jax.Array,
    *,
    reconstruction: Reconstruction = losses.binary_cross_entropy,
    beta: float = 1.0,
) -> jax.Array:
    r"""Minus the evidence lower bound: what a `vae` is trained by, in nats per example.

    .. math::
        L = -\log p(x | z) + \beta \operatorname{KL}(q(z | x) \,\|\, \mathcal N(0, 1)), \quad
        z \sim q(z | x)

    With beta = 1 and z drawn, its mean is at least -log p(x), whatever the encoder.

    Args:
      prediction: what the network gave: {"logits", "mean", "log_variance"}.
      target: the examples x, of the shape of the logits.
      reconstruction: `reconstruction(logits, x)` -> -log p of each number, added up here. The
        default is for x in [0, 1]. `fnn.losses.gaussian_nll` with a variance of your choice is for
        real numbers: `lambda mean, x: fnn.losses.gaussian_nll(mean, x, jnp.full_like(x, 0.1))`.
      beta: >= 0, how much the codes' distance from the prior counts; above 1 tells the causes of
        the data apart at the price of sharpness.

    Returns:
      (batch,).

    Source: Kingma & Welling 2014, eq. 7 and 10, https://arxiv.org/abs/1312.6114; beta: Higgins et
      al. 2017, eq. 4, https://openreview.net/forum?id=Sy2fzU9gl

    >>> normal = {"mean": jnp.ones((1, 2)), "log_variance": jnp.zeros((1, 2))}
    >>> y = {"logits": jnp.zeros((1, 4)), **normal}
    >>> print(negative_elbo(y, jnp.ones((1, 4))).round(4))  # 4 log 2 + 2 / 2
    [3.7726]
    """
    wanted = ("logits", "mean", "log_variance")
    if not isinstance(prediction, Mapping) or any(name not in prediction for name in wanted):
        raise TypeError(
            "negative_elbo: prediction must be a vae's output, a dict of 'logits', 'mean' and"
            f" 'log_variance', got {spec_text(prediction)}"
        )
    missing = reconstruction(prediction["logits"], target)
    distance = losses.gaussian_kl(prediction["mean"], prediction["log_variance"])
    return missing.reshape(len(missing), -1).sum(1) + beta * distance


def elbo(
    net: Layer,
    params: Any,
    state: Any,
    x: jax.Array,
    /,
    *,
    key: jax.Array,
    draws: int = 1,
    reconstruction: Reconstruction = losses.binary_cross_entropy,
) -> jax.Array:
    r"""The evidence lower bound of each example, in nats: log p(x) is at least this, on average.

    .. math::
        \operatorname{mean}_{z \sim q(z|x)} \log p(x | z)
            - \operatorname{KL}(q(z | x) \| \mathcal N(0, 1))

    All but z is as at inference (no dropout), whereas z is drawn.

    Args:
      net: a `vae`, or another whose children "encoder" and "decoder" are like a vae's.
      params: its parameters.
      state: its state.
      x: (batch, *shape).
      key: seeds the draws.
      draws: of z for each example; more make the number steadier, not larger.
      reconstruction: as of `negative_elbo`.

    Returns:
      (batch,).

    Source: Kingma & Welling 2014, eq. 7, https://arxiv.org/abs/1312.6114
    """
    check_given_key(key, "elbo")
    draws = check_count("elbo", "draws", draws)
    normal = encode(net, params, state, x)

    def bound(count):
        own = random.fold_in(key, count)
        z, _ = gaussian_sample().apply({}, {}, normal, key=own, train=True)
        prediction = {"logits": decode(net, params, state, z), **normal}
        return -negative_elbo(prediction, x, reconstruction=reconstruction)

    return jax.lax.map(bound, jnp.arange(draws)).mean(0)
