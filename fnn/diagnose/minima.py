"""Where training ends from many starts: local minima against global, saddles and plateaus."""

import math
import os
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.checks import check_count, check_given_key
from fnn.compiler import compiled
from fnn.core import Layer
from fnn.data import as_arrays
from fnn.diagnose.symmetry import canonical, hidden_layers
from fnn.optim import Optimizer, adam, curvature
from fnn.train.arguments import check_parts
from fnn.train.objective import objective
from fnn.train.run import examples, make_advance
from fnn.train.step import Loss, init, make_step

MOVING = 0.01  # a loss that fell by more than this part in the last tenth still moves
ROUNDING = 1e-7  # of the loss at the start; it falls no further in 32 bits
FLAT = 1e-3  # of the largest curvature; less is none
COUNTED = 200  # end points of a level that are compared with one another


class Interval(NamedTuple):
    """A share with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1%} ({self.low:.1%} to {self.high:.1%})"


class Level(NamedTuple):
    """The starts that end at one loss.

    Attributes:
      loss: of the best of them.
      share: of all starts, with its interval.
      starts: their numbers.
      distinct: how many end points there are but for order and signs of hidden units, counted
        among the first 200; None while they move, and for nets whose symmetries are not known.
      gradient: the gradient's norm at the best of them.
      smallest, largest: eigenvalues of the Hessian there.
      verdict: "minimum", "saddle", "plateau", "still moving", or "diverged".
      params: of the best of them.
    """

    loss: float
    share: Interval
    starts: np.ndarray
    distinct: int | None
    gradient: float
    smallest: float
    largest: float
    verdict: str
    params: Any


class Minima(NamedTuple):
    """What `minima` found.

    Attributes:
      levels: by loss, the lowest first.
      losses: (starts,) where each start ended; infinity where it is not finite.
      steps: taken from each.
    """

    levels: list[Level]
    losses: np.ndarray
    steps: int

    @property
    def success(self) -> Interval:
        """The share of starts that end at the lowest level."""
        return self.levels[0].share

    def __str__(self) -> str:
        """A table of the levels."""
        lines = [f"{len(self.losses)} starts, {self.steps} steps each"]
        lines += ["    loss  starts  share (95 %)            |gradient|  curvature  what it is"]
        for level in self.levels:
            range_ = f"{level.smallest:.2g} to {level.largest:.2g}"
            lines.append(
                f"{level.loss:8.4f}  {len(level.starts):6d}  {level.share!s:22}"
                f"  {level.gradient:10.1e}  {range_:>9}  {level.verdict}"
            )
        return "\n".join(lines)

    def picture(self, path: str | os.PathLike[str] | None = None) -> bytes:
        """The end losses in order, with the levels named, as a PNG."""
        from fnn.diagnose.minima_picture import minima_picture

        return minima_picture(self, path)


def minima(
    net: Layer,
    x: Any,
    y: Any,
    *,
    loss: Loss,
    key: jax.Array,
    starts: int = 1000,
    steps: int = 3000,
    optimizer: Optimizer | None = None,
    within: float = 0.01,
) -> Minima:
    r"""Train from many starts at once, and say what kind of place each end is.

    All starts are one compiled program, on the whole data at each step. Ends whose losses lie
    within a hundredth of the mean loss at the start are one level. At the best end of each level
    stand the norm of the gradient and, by Lanczos' method, the ends of the Hessian's spectrum:

    - the loss still falls by more than 1 % in the last tenth of the steps: still moving;
    - :math:`\lambda_{\min} < -10^{-3} \lambda_{\max}`: a saddle, which has a way down;
    - :math:`\lambda_{\min} > 10^{-3} \lambda_{\max}`: a minimum, global if no lower level is known;
    - else there are directions without curvature: a plateau, or a minimum with flat directions, as
      networks with more parameters than data have; which one, second derivatives cannot say.

    A loss without a minimum, such as cross-entropy where the classes can be told apart, goes on
    falling towards 0 as the weights grow: its lowest level is still moving whenever one looks.

    XOR with two tanh units and the mean binary cross-entropy has plateaus at
    :math:`\tfrac{2}{4} \ln 2 = 0.3466`, where two of the four points are told apart and the other
    two get probability 1/2, and at :math:`\tfrac34 H(\tfrac13) = 0.4774`, where three points get
    their mean, 1/3 or 2/3.

    Args:
      net: a network without state, or whose state training does not change.
      x: inputs.
      y: targets.
      loss: `loss(prediction, y)`, one number per example.
      key: seeds the starts.
      starts: how many, >= 1.
      steps: from each, >= 10.
      optimizer: `adam(0.05)` by default.
      within: levels are at least so far apart, as a part of the mean loss at the start.

    Returns:
      A `Minima`; print it.

    Raises:
      ValueError: if no start ends at a finite loss, or numbers are out of range.

    Source: Nocedal & Wright 2006, section 2.1 (conditions of second order); Hamey 1998,
      https://doi.org/10.1016/S0893-6080(97)00134-2 (XOR has no strict local minima)

    >>> import fnn
    >>> x = jnp.linspace(-1, 1, 9)[:, None]
    >>> found = minima(fnn.layers.dense(1), x, 2 * x, loss=fnn.losses.squared_error,
    ...                key=jax.random.key(0), starts=20, steps=400)
    >>> [level.verdict for level in found.levels], found.success.value
    (['minimum'], 1.0)
    """
    optimizer = adam(0.05) if optimizer is None else optimizer
    check_parts("minima", net, loss, optimizer)
    check_given_key(key, "minima")
    check_count("minima", "starts", starts)
    check_count("minima", "steps", steps, low=10)
    if not 0 < within < 1:
        raise ValueError(f"minima: within must be in (0, 1), got {within}; such as 0.01")
    x, y = as_arrays(x, y, where="minima")
    run = compiled(jax.vmap(_run(net, loss, optimizer, x, y, steps)))
    params, states, losses = run(jax.random.split(key, starts))
    before, late, ends = (np.asarray(a, float) for a in losses)
    ends = np.where(np.isfinite(ends), ends, math.inf)
    if not np.isfinite(ends).any():
        raise ValueError(
            f"minima: none of {starts} starts ends at a finite loss; take a smaller learning rate"
        )
    state = jax.tree.map(lambda a: a[0], states)
    look = _looks(net, loss, state, x, y)
    levels, scale = [], float(np.mean(before[np.isfinite(before)]))
    for members in _levels(ends, within * scale):
        best = members[np.argmin(ends[members])]
        own = jax.tree.map(lambda a, best=best: a[best], params)
        share = wilson(len(members), starts)
        if not math.isfinite(ends[best]):
            nothing = (math.nan, math.nan, math.nan)
            levels.append(Level(math.inf, share, members, None, *nothing, "diverged", own))
            continue
        gradient, low, high = (float(a) for a in look(own, key))
        falls = bool(late[best] - ends[best] > max(MOVING * late[best], ROUNDING * scale))
        verdict = _verdict(falls, low, high)
        distinct = None if falls else _distinct(net, params, members[:COUNTED])
        found = (distinct, gradient, low, high, verdict, own)
        levels.append(Level(float(ends[best]), share, members, *found))
    return Minima(levels, ends, steps)


def wilson(count: int, of: int, *, level: float = 0.95) -> Interval:
    r"""A share with Wilson's interval, which holds for few trials and shares near 0 and 1, too.

    .. math:: \frac{\hat p + z^2/2n \pm z \sqrt{\hat p (1 - \hat p)/n + z^2/4n^2}}{1 + z^2/n}

    Args:
      count: successes, 0 to `of`.
      of: n, trials, >= 1.
      level: the probability with which the interval holds the true share.

    Source: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953

    >>> print(wilson(8, 10))
    80.0% (49.0% to 94.3%)
    """
    check_count("wilson", "of", of)
    if not 0 <= count <= of or not 0 < level < 1:
        raise ValueError(
            f"wilson: count must be in [0, {of}] and level in (0, 1), got {count} and {level}"
        )
    z, p = statistics.NormalDist().inv_cdf((1 + level) / 2), count / of
    middle = p + z * z / (2 * of)
    half = z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    low = 0.0 if count == 0 else (middle - half) / scale
    high = 1.0 if count == of else (middle + half) / scale
    return Interval(p, low, high)


def _run(
    net: Layer, loss: Loss, optimizer: Optimizer, x: Any, y: Any, steps: int
) -> Callable[[jax.Array], Any]:
    """From a key to the end of a run: parameters, state, and the losses on the way."""
    advance = make_advance(make_step(net, loss, optimizer), examples(x), None)

    def run(key):
        start = init(net, optimizer, key, x)
        middle, _ = advance(start, (x, y), steps - steps // 10)
        end, _ = advance(middle, (x, y), steps // 10)
        losses = [
            jnp.mean(loss(net.apply(at.params, at.state, x)[0], y)) for at in (start, middle, end)
        ]
        return end.params, end.state, losses

    return run


def _looks(net: Layer, loss: Loss, state: Any, x: Any, y: Any) -> Callable[..., Any]:
    """The gradient's norm and the ends of the Hessian's spectrum at a point."""
    goal = objective(net, loss, x, y, state=state)

    def look(params, key):
        slopes = jax.tree.leaves(jax.grad(goal)(params))
        norm = jnp.sqrt(sum(jnp.sum(a**2) for a in slopes))
        return norm, *curvature.extreme_eigenvalues(goal, params, key)

    return jax.jit(look)


def _levels(losses: np.ndarray, apart: float) -> list[np.ndarray]:
    """Groups of starts, by loss: a new one where the loss is further above the group's first."""
    groups: list[list[int]] = []
    first = -math.inf
    for start in np.argsort(losses, kind="stable"):
        if not groups or not losses[start] - first <= apart:
            if not (groups and math.isinf(losses[start]) and math.isinf(first)):
                groups.append([])
            first = losses[start]
        groups[-1].append(int(start))
    return [np.array(group) for group in groups]


def _verdict(falls: bool, low: float, high: float) -> str:
    """What kind of place this is, by its curvature."""
    if falls:
        return "still moving"
    scale = FLAT * max(abs(low), abs(high))
    if low < -scale:
        return "saddle"
    return "minimum" if low > scale else "plateau"


def _distinct(net: Layer, params: Any, members: np.ndarray) -> int | None:
    """How many end points there are, those that are one network counted once."""
    if not hidden_layers(net):
        return None
    host = jax.tree.map(np.asarray, params)
    points = []
    for start in members:
        own = canonical(net, jax.tree.map(lambda a, start=start: a[start], host))
        points.append(np.concatenate([np.ravel(a) for a in jax.tree.leaves(own)]))
    kept: list[np.ndarray] = []
    for point in points:
        near = 0.05 * max(float(np.linalg.norm(point)), 1e-6)
        if not any(np.linalg.norm(point - other) < near for other in kept):
            kept.append(point)
    return len(kept)
