"""AMSGrad: Adam with a memory of the largest gradients."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, each, one_of, zeros
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers


class AmsgradState(NamedTuple):
    """Adam's averages, the largest second moment `nu_max` so far, and hyperparameters."""

    count: jax.Array
    mu: Any
    nu: Any
    nu_max: Any
    learning_rate: HyperLeaf
    b1: HyperLeaf
    b2: HyperLeaf
    eps: HyperLeaf
    eps_root: HyperLeaf


def amsgrad(
    learning_rate: Hyper = 1e-3,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    debias: Literal["before", "after", "never"] = "before",
) -> Optimizer:
    r"""Adam whose second moment never falls, so that no step grows after rare large gradients.

    .. math::
        \hat v_t &= \max(\hat v_{t-1}, v_t / (1 - \beta_2^t)) \\
        u_t &= -\eta \, \frac{m_t / (1 - \beta_1^t)}{\sqrt{\hat v_t} + \epsilon}

    with m and v as in `adam`.

    Args:
      learning_rate: eta, about the size of each parameter's step; >= 0, or a schedule.
      b1: decay of the average gradient, in [0, 1).
      b2: decay of the average square, in [0, 1).
      eps: added to the root, in units of the gradient.
      eps_root: added inside the root, in units of the gradient squared.
      debias: when the moments are corrected for their start at zero: v "before" the maximum is
        taken, or "after" it; or "never", neither v nor m.

    Where implementations disagree: "before" is optax's and the default, "after" PyTorch's, "never"
    that of the paper and of Ruder.

    Source: Reddi, Kale & Kumar 2018, algorithm 2, https://arxiv.org/abs/1904.09237
    Same as: optax.amsgrad

    >>> optimizer = amsgrad(0.1)
    >>> _, state = optimizer.update(jnp.array([5.0]), optimizer.init(jnp.ones(1)))
    >>> _, state = optimizer.update(jnp.array([0.0]), state)
    >>> print(state.nu_max)
    [25.]
    """
    one_of("amsgrad", "debias", debias, ("before", "after", "never"))
    hypers = Hypers(
        "amsgrad", learning_rate=learning_rate, b1=b1, b2=b2, eps=eps, eps_root=eps_root
    )

    def init(params):
        moments = (zeros(params) for _ in range(3))
        return AmsgradState(jnp.zeros((), jnp.int32), *moments, **hypers.init())

    def update(grads, state, params=None):
        def rule(h, g, m, v, top):
            m = h.b1 * m + (1 - h.b1) * g
            v = h.b2 * v + (1 - h.b2) * g**2
            top = jnp.maximum(top, v * h.debias("b2") if debias == "before" else v)
            v_hat = top * h.debias("b2") if debias == "after" else top
            m_hat = m if debias == "never" else m * h.debias("b1")
            return -h.learning_rate * (m_hat / (jnp.sqrt(v_hat + h.eps_root) + h.eps)), m, v, top

        now = hypers.at(state.count, state)
        updates, *moments = each(
            rule, now, grads, state.mu, state.nu, state.nu_max, count=state.count
        )
        return updates, AmsgradState(advance(state.count), *moments, **now)

    return Optimizer(init, update)
