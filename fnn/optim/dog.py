"""DoG: the farthest distance so far over the root of the sum of squared gradients."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, check_alike, each, need_params
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers, Values
from fnn.optim.sums import copied
from fnn.trees import norm


class DogState(NamedTuple):
    """Where it started, how far it came, how much gradient it saw, and the hyperparameters.

    Attributes:
      count: updates done so far.
      start: like params, theta_0.
      distance: the farthest from there so far; in `l_dog` one number for each leaf.
      square_sum: of all gradients' norms squared; in `l_dog` one number for each leaf.
      learning_rate: of the latest update. eps, initial_distance: as given.
    """

    count: jax.Array
    start: Any
    distance: Any
    square_sum: Any
    learning_rate: HyperLeaf
    eps: HyperLeaf
    initial_distance: HyperLeaf


def dog(
    learning_rate: Hyper = 1.0, *, eps: Hyper = 1e-8, initial_distance: Hyper = 1e-6
) -> Optimizer:
    r"""Step by the farthest distance from the start over the root of all squared gradients.

    .. math::
        \bar r_t &= \max(r_\epsilon (1 + \lVert \theta_0 \rVert),
                    \max_{i \le t} \lVert \theta_i - \theta_0 \rVert) \\
        u_t &= - \frac{\eta \, \bar r_t}{\sqrt{\textstyle\sum_{i \le t} \lVert g_i \rVert^2
               + \epsilon}} \, g_t

    There is no learning rate to tune: it is the step that a known distance to the solution would
    call for, with the distance travelled in its place.

    Args:
      learning_rate: eta, usually 1; or a schedule.
      eps: added inside the root, in units of the gradient squared.
      initial_distance: r_eps > 0, the first steps' length against the size of the parameters. Any
        small value does; too large a one cannot be taken back.

    Raises:
      ValueError: in update, if it is called without the parameters.

    The latest point of DoG is noisy; the paper evaluates an average: wrap it, `ema(dog())`.

    Source: Ivgi et al. 2023, equation 3, https://arxiv.org/abs/2302.12022
    Same as: optax.contrib.dog

    >>> optimizer, x = dog(initial_distance=0.01), jnp.array([3.0, 4.0])
    >>> updates, _ = optimizer.update(jnp.array([0.0, 7.0]), optimizer.init(x), x)
    >>> print(updates)  # 0.01 (1 + 5) along the gradient
    [-0.   -0.06]
    """
    return _dog(
        "dog", lambda function, *trees: function(*trees), learning_rate, eps, initial_distance
    )


def l_dog(
    learning_rate: Hyper = 1.0, *, eps: Hyper = 1e-8, initial_distance: Hyper = 1e-6
) -> Optimizer:
    r"""`dog` for each leaf by itself, each with its own distance and its own gradients.

    .. math::
        u_t^l = - \frac{\eta \, \bar r_t^l}{\sqrt{\textstyle\sum_{i \le t} \lVert g_i^l \rVert^2
                + \epsilon}} \, g_t^l

    Args:
      learning_rate: eta, usually 1; or a schedule.
      eps: added inside the root, in units of the gradient squared.
      initial_distance: r_eps > 0, the first steps' length against the size of each leaf.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Source: Ivgi et al. 2023, section 4.1 (L-DoG), https://arxiv.org/abs/2302.12022

    >>> optimizer, x = l_dog(initial_distance=0.01), {"a": jnp.array(3.0), "b": jnp.array(7.0)}
    >>> updates, _ = optimizer.update(x, optimizer.init(x), x)
    >>> print(updates["a"], updates["b"])
    -0.04 -0.08
    """
    return _dog("l_dog", jax.tree.map, learning_rate, eps, initial_distance)


def _dog(owner: str, over: Any, learning_rate: Hyper, eps: Hyper, initial: Hyper) -> Optimizer:
    """`over(function, *trees)` applies a function to whole trees (DoG) or to each leaf (L-DoG)."""
    hypers = Hypers(owner, learning_rate=learning_rate, eps=eps, initial_distance=initial)

    def init(params):
        start, now = copied(params), hypers.init()

        def first(part):
            size = norm(part)
            return now["initial_distance"].astype(size.dtype) * (1 + size)

        none = over(lambda part: jnp.zeros_like(norm(part)), start)
        return DogState(jnp.zeros((), jnp.int32), start, over(first, start), none, **now)

    def update(grads, state, params=None):
        need_params(owner, params, "its distance needs")
        check_alike(owner, grads, state.start, "state")
        check_alike(owner, grads, params, "params")
        now = hypers.at(state.count, state)
        away = jax.tree.map(lambda p, s: p - s, params, state.start)
        distance = over(lambda r, part: jnp.maximum(r, norm(part)), state.distance, away)
        total = over(lambda s, part: s + (norm(part) ** 2).astype(s.dtype), state.square_sum, grads)

        def one(r, s, part):
            knobs = Values(owner)
            knobs["size"] = now["learning_rate"] * r / jnp.sqrt(s + now["eps"])
            return each(lambda h, g: (-h.size * g,), knobs, part)[0]

        updates = over(one, distance, total, grads)
        return updates, DogState(advance(state.count), state.start, distance, total, **now)

    return Optimizer(init, update)
