"""A pair of networks against each other: one makes examples, the other tells them from true ones.

pair = fnn.models.gan(16, shape=2)
start, step = fnn.models.make_gan_step(pair, optim.adam(1e-3, b1=0.5), optim.adam(1e-3, b1=0.5))
gan_state = start(key, x)
gan_state, losses = jax.lax.scan(step, gan_state, batches)  # or one step at a time
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn import random
from fnn.checks import check_count, check_given_key
from fnn.combine import resting
from fnn.core import Layer, key_for
from fnn.inference import predict
from fnn.losses import binary_cross_entropy
from fnn.models.autoencoder import Activation, decoder
from fnn.models.mlp import mlp
from fnn.optim.base import Optimizer, apply_updates
from fnn.trees import wide

_leaky_relu = partial(jax.nn.leaky_relu, negative_slope=0.2)


class Gan(NamedTuple):
    """The pair: any two layers will do.

    Attributes:
      generator: (batch, latent) -> (batch, *shape).
      discriminator: (batch, *shape) -> (batch, 1), the logit of "this is true".
      latent: how many standard normal numbers the generator is given.
    """

    generator: Layer
    discriminator: Layer
    latent: int


class GanState(NamedTuple):
    """All that training carries; each dict has the entries "generator" and "discriminator".

    Attributes:
      params: the parameters of both.
      state: the networks' states.
      opt_state: the optimizers' states.
      key: of the whole run; step t draws from `fold_in(key, t)`.
      step: how many steps are done.
    """

    params: dict[str, Any]
    state: dict[str, Any]
    opt_state: dict[str, Any]
    key: jax.Array
    step: jax.Array


class GanLosses(NamedTuple):
    """The mean losses of a step, each before its own network moved.

    Where nothing can be told apart they are log 2 and 2 log 2.
    """

    generator: jax.Array
    discriminator: jax.Array


def gan(
    latent: int,
    *,
    shape: int | tuple[int, ...],
    hidden: int | Sequence[int] = (128, 128),
    activation: Activation = _leaky_relu,
) -> Gan:
    r"""A generator and a discriminator of fully connected layers.

    .. math:: \hat x = G(z), \; z \sim \mathcal N(0, 1), \qquad p(\text{true} | x) = \sigma(D(x))

    Args:
      latent: how many numbers z has.
      shape: of one example, such as (28, 28, 1), or the number of its features.
      hidden: the width of each hidden layer, the discriminator's in this order, the generator's in
        reverse.
      activation: a function of x or a layer.

    Returns:
      `Gan(generator, discriminator, latent)`. `make_gan_step` trains it, `draw_examples` uses it.

    Source: Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661

    >>> gan(4, shape=2, hidden=8, activation=jax.nn.relu).generator
    serial(flatten(), dense(8), relu, dense(2), reshape(2))
    """
    widths = tuple(hidden) if isinstance(hidden, Sequence) else (hidden,)
    return Gan(
        decoder(*widths[::-1], shape=shape, activation=activation),
        mlp(*widths, 1, activation=activation),
        check_count("gan", "latent", latent),
    )


def make_gan_step(
    pair: Gan,
    generator_optimizer: Optimizer,
    discriminator_optimizer: Optimizer,
    *,
    r1: float = 0.0,
) -> tuple[
    Callable[[jax.Array, Any], GanState],
    Callable[[GanState, jax.Array], tuple[GanState, GanLosses]],
]:
    r"""The alternating step of a `gan`, and the state before the first, both pure and not jitted.

    .. math::
        L_D = -\log \sigma(D(x)) - \log (1 - \sigma(D(G(z)))) + \tfrac{\gamma}{2}
            \lVert \nabla_x D(x) \rVert^2, \qquad L_G = -\log \sigma(D(G(z')))

    First the discriminator moves, then the generator against the discriminator that has moved, with
    a fresh z'. L_G is the non-saturating loss: its gradient is large where the fake is found out.

    Args:
      pair: the networks.
      generator_optimizer: ours or optax's.
      discriminator_optimizer: likewise.
      r1: gamma, >= 0. Above 0 the discriminator's slope at true examples is held down, without
        which the two may circle each other for ever; 0 is the paper's game.

    Returns:
      start: `start(key, x) -> GanState`; of x, a batch or its spec, only the shape counts.
      step: `step(gan_state, x) -> (gan_state, GanLosses)`, as `lax.scan` takes it.

    Raises:
      ValueError: if r1 is negative.

    Source: Goodfellow et al. 2014, algorithm 1 with k = 1 and section 3,
      https://arxiv.org/abs/1406.2661; r1: Mescheder et al. 2018, eq. 9,
      https://arxiv.org/abs/1801.04406

    >>> from fnn import optim
    >>> start, step = make_gan_step(gan(4, shape=2), optim.adam(1e-3), optim.adam(1e-3))
    >>> x = jnp.ones((10, 8, 2))  # ten batches of eight points
    >>> gan_state, losses = jax.lax.scan(step, start(jax.random.key(0), x[0]), x)
    >>> int(gan_state.step), losses.generator.shape
    (10, (10,))
    """
    if not r1 >= 0:
        raise ValueError(f"make_gan_step: r1 must be >= 0, got {r1}")
    optimizers = {"generator": generator_optimizer, "discriminator": discriminator_optimizer}

    def start(key, x):
        check_given_key(key, "make_gan_step")
        z = jax.ShapeDtypeStruct((1, pair.latent), jnp.float32)
        made = {
            "generator": pair.generator.init(key_for(key, "generator"), z),
            "discriminator": pair.discriminator.init(key_for(key, "discriminator"), x),
        }
        params = {name: variables.params for name, variables in made.items()}
        state = {name: variables.state for name, variables in made.items()}
        opt_state = {name: optimizers[name].init(own) for name, own in params.items()}
        return GanState(params, state, opt_state, key_for(key, "steps"), jnp.zeros((), jnp.int32))

    def move(gan_state, name, loss, key):
        """One network's step, by the gradient of `loss(its params, all states, key)`."""
        own = gan_state.params[name]
        (value, state), grads = jax.value_and_grad(loss, has_aux=True)(own, gan_state, key)
        updates, opt_state = optimizers[name].update(grads, gan_state.opt_state[name], own)
        moved = gan_state._replace(
            params={
                **gan_state.params,
                name: apply_updates(own, resting(getattr(pair, name), updates)),
            },
            state=state,
            opt_state={**gan_state.opt_state, name: opt_state},
        )
        return moved, value

    def step(gan_state, x):
        key = random.fold_in(gan_state.key, gan_state.step)
        against = partial(_discriminator_loss, pair, x, r1)
        gan_state, told = move(gan_state, "discriminator", against, key_for(key, "discriminator"))
        fooling = partial(_generator_loss, pair, x)
        gan_state, fooled = move(gan_state, "generator", fooling, key_for(key, "generator"))
        return gan_state._replace(step=gan_state.step + 1), GanLosses(fooled, told)

    return start, step


def draw_examples(pair: Gan, gan_state: GanState, key: jax.Array, *, n: int) -> jax.Array:
    """n examples that the generator makes of normal noise, at inference: (n, *shape).

    >>> from fnn import optim
    >>> pair = gan(4, shape=(2, 2))
    >>> start, _ = make_gan_step(pair, optim.sgd(0.1), optim.sgd(0.1))
    >>> gan_state = start(jax.random.key(0), jnp.ones((1, 2, 2)))
    >>> draw_examples(pair, gan_state, jax.random.key(1), n=5).shape
    (5, 2, 2)
    """
    z = jax.random.normal(key, (check_count("draw_examples", "n", n, low=0), pair.latent))
    params, state = gan_state.params["generator"], gan_state.state["generator"]
    return predict(pair.generator, params, state, z)


def _made(pair, params, state, x, key):
    """As many fake examples as x has true ones, and the generator's state afterwards."""
    z = jax.random.normal(key_for(key, "z"), (len(x), pair.latent), jnp.float32)
    return pair.generator.apply(params, state, z, key=key_for(key, "layers"), train=True)


def _discriminator_loss(pair, x, r1, params, gan_state, key):
    fake, of_generator = _made(
        pair, gan_state.params["generator"], gan_state.state["generator"], x, key_for(key, "fake")
    )
    before = gan_state.state["discriminator"]

    def judge(x, state, name):
        own = key_for(key, name)
        return pair.discriminator.apply(params, state, x, key=own, train=True)

    on_true, own = judge(x, before, "judge_true")
    on_fake, own = judge(fake, own, "judge_fake")
    loss = _cost(on_true, 1) + _cost(on_fake, 0)
    if r1:
        slope = jax.grad(lambda x: judge(x, before, "judge_true")[0].sum())(x)
        loss += r1 / 2 * jnp.sum(slope**2, dtype=wide(slope.dtype)) / len(x)
    return loss, {"generator": of_generator, "discriminator": own}


def _generator_loss(pair, x, params, gan_state, key):
    before = gan_state.state
    fake, own = _made(pair, params, before["generator"], x, key_for(key, "fake"))
    logits, _ = pair.discriminator.apply(
        gan_state.params["discriminator"],
        before["discriminator"],
        fake,
        key=key_for(key, "judge"),
        train=True,
    )
    return _cost(logits, 1), {**before, "generator": own}


def _cost(logits: jax.Array, truth: int) -> jax.Array:
    return jnp.mean(binary_cross_entropy(logits, jnp.full_like(logits, truth)))
