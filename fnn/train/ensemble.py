"""Deep ensembles: one network trained from many seeds as lanes of one program, and its doubts."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn import random
from fnn.checks import check_count, check_given_key
from fnn.compiler import compiled
from fnn.core import Layer
from fnn.data import as_arrays
from fnn.data.orders import Order, shuffled
from fnn.losses import gaussian_nll
from fnn.optim import Optimizer, eval_params
from fnn.train.evaluate import outputs
from fnn.train.lanes import over_lanes
from fnn.train.run import run
from fnn.train.step import Loss


class Ensemble(NamedTuple):
    """Networks of one kind, trained from different seeds.

    Attributes:
      net: the network that all of them are.
      params: their parameters, stacked: every leaf has a first axis of members.
      state: their states, likewise.
      losses: (members, checks), the mean training loss over the steps before each check.
    """

    net: Layer
    params: Any
    state: Any
    losses: jax.Array


class ClassBeliefs(NamedTuple):
    """What an ensemble believes of classes; in nats where it is information.

    Attributes:
      probabilities: (n, classes), the mean of the members'.
      members: (members, n, classes), each member's.
      entropy: (n,), of the mean: all doubt there is.
      mutual_information: (n,), the part of it that is disagreement among the members, >= 0; the
        rest is noise that all of them see.
    """

    probabilities: jax.Array
    members: jax.Array
    entropy: jax.Array
    mutual_information: jax.Array


class NumberBeliefs(NamedTuple):
    """What an ensemble believes of numbers; variances in units of the target squared.

    Attributes:
      mean: (n, ...), the mean of the members'.
      members: (members, n, ...), each member's mean.
      aleatoric: (n, ...), the variance that the members themselves predict; 0 if they do not.
      epistemic: (n, ...), the variance among the members' means.
    """

    mean: Any
    members: Any
    aleatoric: Any
    epistemic: Any

    @property
    def variance(self) -> Any:
        """Of the mixture: aleatoric and epistemic together."""
        return self.aleatoric + self.epistemic


def ensemble(
    key: jax.Array,
    net: Layer,
    x: Any,
    y: Any,
    *,
    loss: Loss,
    optimizer: Optimizer,
    steps: int,
    members: int = 5,
    batch_size: int | None = 32,
    checks: int = 1,
    order: Order = shuffled,
) -> Ensemble:
    """Train `members` networks on the same data, each from a seed of its own, in one program.

    Member i is the network of `train.run(fnn.random.fold_in(key, i), net, x, y, ...)`: seeds differ
    in the parameters, the order of the examples and the layers' noise, and that is enough.

    Args:
      key: seeds all of them.
      net: the network.
      x: arrays or pytrees of them; the first axis counts the examples.
      y: the targets, likewise.
      loss: one number per example, such as `fnn.losses.cross_entropy` or `gaussian_loss`.
      optimizer: ours or optax's.
      steps: how many steps each member takes.
      members: how many networks, >= 1.
      batch_size: examples a step; None takes all.
      checks: how many times to record the loss, from 1 to `steps`.
      order: which examples a step takes.

    Raises:
      ValueError: for fewer than one member, or budgets that `train.run` does not take.

    Source: Lakshminarayanan et al. 2017, algorithm 1 without its adversarial examples,
      https://arxiv.org/abs/1612.01474

    >>> import fnn
    >>> x, y = fnn.datasets.linear(jax.random.key(0), n=32)
    >>> found = ensemble(jax.random.key(1), fnn.layers.dense(1), x, y[:, None], members=3, steps=9,
    ...                  loss=fnn.losses.squared_error, optimizer=fnn.optim.sgd(0.1))
    >>> found.params["w"].shape, member_outputs(found, x).shape
    ((3, 1, 1), (3, 32, 1))
    """
    check_count("ensemble", "members", members)
    check_given_key(key, "ensemble")
    x, y = as_arrays(x, y, where="ensemble")
    train = _program(net, loss, optimizer, steps, batch_size, checks, order)
    keys = jax.vmap(lambda i: random.fold_in(key, i))(jnp.arange(members))
    return Ensemble(net, *train(keys, (x, y)))


def member_outputs(ensemble: Ensemble, x: Any) -> jax.Array:
    """Each member's output at inference: (members, n, ...)."""
    return jax.vmap(lambda params, state: outputs(ensemble.net, params, state, x))(
        ensemble.params, ensemble.state
    )


def class_beliefs(logits: Any) -> ClassBeliefs:
    r"""The members' probabilities, their mean, and what part of the doubt is disagreement.

    .. math::
        \bar p = \tfrac1M \sum_m p_m, \quad
        I = H[\bar p] - \tfrac1M \sum_m H[p_m], \quad H[p] = -\sum_c p_c \log p_c

    Args:
      logits: (members, n, classes).

    Source: the mean: Lakshminarayanan et al. 2017, section 2.4, https://arxiv.org/abs/1612.01474;
      the split: Houlsby et al. 2011, eq. 2, https://arxiv.org/abs/1112.5745

    >>> beliefs = class_beliefs(jnp.array([[[50.0, 0.0]], [[0.0, 50.0]]]))
    >>> print(beliefs.probabilities, beliefs.mutual_information.round(4))  # log 2
    [[0.5 0.5]] [0.6931]
    """
    members = jax.nn.softmax(jnp.asarray(logits))
    mean = jnp.mean(members, 0)
    entropy = _entropy(mean)
    within = jnp.mean(_entropy(members), 0)
    return ClassBeliefs(mean, members, entropy, jnp.maximum(entropy - within, 0))


def number_beliefs(means: Any, variances: Any = None) -> NumberBeliefs:
    r"""The mean and the variance of the equal mixture of the members' normal distributions.

    .. math::
        \mu_* = \tfrac1M \sum_m \mu_m, \quad
        \sigma_*^2 = \underbrace{\tfrac1M \sum_m \sigma_m^2}_{\text{aleatoric}}
        + \underbrace{\tfrac1M \sum_m (\mu_m - \mu_*)^2}_{\text{epistemic}}

    Args:
      means: (members, n, ...).
      variances: the same shape, >= 0; None if the members predict none.

    Source: Lakshminarayanan et al. 2017, section 2.4, https://arxiv.org/abs/1612.01474

    >>> beliefs = number_beliefs(jnp.array([[1.0], [3.0]]), jnp.array([[0.5], [1.5]]))
    >>> print(beliefs.mean, beliefs.aleatoric, beliefs.epistemic, beliefs.variance)
    [2.] [1.] [1.] [2.]
    """
    means = jnp.asarray(means)
    mean = jnp.mean(means, 0)
    aleatoric = jnp.zeros_like(mean) if variances is None else jnp.mean(variances, 0)
    return NumberBeliefs(mean, means, aleatoric, jnp.mean((means - mean) ** 2, 0))


def mean_and_variance(prediction: jax.Array) -> tuple[jax.Array, jax.Array]:
    """An output (..., 2 k) as k means, and k variances by softplus and 1e-6 more.

    Source: Lakshminarayanan et al. 2017, section 2.2.1 and its footnote on the variance.
    """
    if prediction.shape[-1] % 2:
        raise ValueError(
            f"mean_and_variance: the last axis must be even, a mean and a variance for each target,"
            f" got shape {prediction.shape}; give the network twice as many outputs as targets"
        )
    mean, raw = jnp.split(prediction, 2, -1)
    return mean, jax.nn.softplus(raw) + 1e-6


def gaussian_loss(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """`fnn.losses.gaussian_nll` for a network with two outputs a target: mean, and variance.

    Source: Lakshminarayanan et al. 2017, eq. 1, https://arxiv.org/abs/1612.01474

    >>> gaussian_loss(jnp.zeros((5, 4)), jnp.zeros((5, 2))).shape
    (5, 2)
    """
    mean, variance = mean_and_variance(prediction)
    return gaussian_nll(mean, target, variance)


def _entropy(p: jax.Array) -> jax.Array:
    return -jnp.sum(jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1)), 0), -1)


@functools.lru_cache(maxsize=8)
def _program(
    net: Layer,
    loss: Loss,
    optimizer: Optimizer,
    steps: int,
    batch_size: int | None,
    checks: int,
    order: Order,
) -> Any:
    """The compiled program of an ensemble, kept so that training again need not compile again."""

    def member(key, data):
        last, trace = run(
            key,
            net,
            *data,
            loss=loss,
            optimizer=optimizer,
            steps=steps,
            batch_size=batch_size,
            checks=checks,
            order=order,
        )
        return eval_params(last.opt_state, last.params), last.state, trace.loss

    lanes = over_lanes(member)
    return compiled(lambda keys, data: lanes(keys, shared=data))
