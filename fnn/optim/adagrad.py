"""Adagrad: each parameter's steps shrink with all the gradients that it has seen."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fnn.optim.base import Optimizer, advance, each, filled, one_of
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers, check_hyper


class AdagradState(NamedTuple):
    """Adagrad's sum and hyperparameters.

    Attributes:
      count: updates done so far.
      sum_of_squares: like params, the sum of the squared gradients, on top of its initial value.
      learning_rate: eta of the latest update. eps: as given.
    """

    count: jax.Array
    sum_of_squares: Any
    learning_rate: HyperLeaf
    eps: HyperLeaf


def adagrad(
    learning_rate: Hyper = 1e-2,
    *,
    initial_accumulator: float | jax.Array = 0.1,
    eps: Hyper = 1e-7,
    eps_place: Literal["inside", "outside"] = "inside",
) -> Optimizer:
    r"""Step by the gradient over the root of the sum of all its squares so far.

    .. math::
        s_t &= s_{t-1} + g_t^2 \\
        u_t &= -\eta \, g_t / \sqrt{s_t + \epsilon}

    Parameters with rare gradients keep large steps; under a constant gradient steps shrink as
    1/sqrt(t).

    Args:
      learning_rate: eta, about the size of a parameter's first steps; >= 0, or a schedule.
      initial_accumulator: s_0 >= 0, in units of the gradient squared; more makes the first steps
        smaller. Read by `init` alone, so it is no leaf of the state.
      eps: keeps the division finite, in units of s where it stands inside the root.
      eps_place: "inside" the root, sqrt(s + eps), or "outside" it, sqrt(s) + eps.

    Where implementations disagree: the default is optax's, because without an initial sum every
    parameter's first step has length eta whatever its gradient. Ruder: `initial_accumulator=0,
    eps=1e-8`. PyTorch: `initial_accumulator=0, eps=1e-10, eps_place="outside"`; Duchi et al. also
    add a small number outside.

    Source: Duchi, Hazan & Singer 2011, figure 1, https://jmlr.org/papers/v12/duchi11a.html
    Same as: optax.adagrad

    >>> optimizer = adagrad(0.5, initial_accumulator=0.0)
    >>> updates, _ = optimizer.update(jnp.array([3.0, -0.2]), optimizer.init(jnp.zeros(2)))
    >>> [round(float(u), 4) for u in updates]
    [-0.5, 0.5]
    """
    hypers = Hypers("adagrad", learning_rate=learning_rate, eps=eps)
    check_hyper("adagrad", "initial_accumulator", initial_accumulator)
    one_of("adagrad", "eps_place", eps_place, ("inside", "outside"))

    def init(params):
        start = filled(params, initial_accumulator)
        return AdagradState(jnp.zeros((), jnp.int32), start, **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, s):
            s = s + g**2
            over = lax.rsqrt(s + h.eps) if eps_place == "inside" else 1 / (jnp.sqrt(s) + h.eps)
            over = jnp.where(s > 0, over, 0)  # a parameter without gradients rests, even at eps = 0
            return -h.learning_rate * (over * g), s

        now = hypers.at(state.count, state)
        updates, total = each(rule, now, grads, state.sum_of_squares)
        return updates, AdagradState(advance(state.count), total, **now)

    return Optimizer(init, update)
