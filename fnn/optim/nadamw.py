"""NAdamW: Nadam that also shrinks the parameters, outside of its averages."""

from typing import Any

from fnn.optim.adam import looking_ahead, two_moments_and_decay
from fnn.optim.base import Optimizer
from fnn.optim.hypers import Hyper, Hypers


def nadamw(
    learning_rate: Hyper = 1e-3,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    weight_decay: Hyper = 1e-4,
    mask: Any = None,
) -> Optimizer:
    r"""`nadam`'s step and a share of the parameters.

    .. math::
        \bar m_t &= \frac{\beta_1 m_t}{1 - \beta_1^{t+1}}
                    + \frac{(1 - \beta_1) g_t}{1 - \beta_1^t} \\
        u_t &= -\eta \left( \frac{\bar m_t}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}
              + \lambda \theta_{t-1} \right)

    with m and v as in `adam`.

    Args:
      learning_rate: eta, about the size of each parameter's step; >= 0, or a schedule.
      b1: decay of the average gradient, in [0, 1).
      b2: decay of the average square, in [0, 1).
      eps: added to the root, in units of the gradient.
      eps_root: added inside the root, in units of the gradient squared.
      weight_decay: lambda >= 0; a step takes the share eta lambda off each parameter.
      mask: which parameters decay; as in `add_decayed_weights`.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Where implementations disagree: as for `nadam`; PyTorch's NAdam with decoupled_weight_decay
    also lets b1 grow with t.

    Source: Dozat 2016, algorithm 2, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ; decay:
      Loshchilov & Hutter 2019, algorithm 2, https://arxiv.org/abs/1711.05101
    Same as: optax.nadamw

    >>> import jax.numpy as jnp
    >>> optimizer, params = nadamw(0.1, weight_decay=0.5), jnp.array([2.0])
    >>> updates, _ = optimizer.update(jnp.array([5.0]), optimizer.init(params), params)
    >>> print(round(float(updates[0]), 5))  # nadam's first step, and 0.1 * 0.5 * 2
    -0.24737
    """
    hypers = Hypers(
        "nadamw",
        learning_rate=learning_rate,
        b1=b1,
        b2=b2,
        eps=eps,
        eps_root=eps_root,
        weight_decay=weight_decay,
    )

    return two_moments_and_decay(hypers, looking_ahead, mask)
