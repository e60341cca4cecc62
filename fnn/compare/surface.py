"""Optimizers led over a surface, all at once, and what became of them: `fnn compare --surface`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.compare.contestants import DEFAULT, Make, contestants
from fnn.optim.averages import eval_params
from fnn.optim.base import apply_updates, extras_of
from fnn.surfaces import Surface, find

RATES = tuple(float(f"{10 ** (k / 4):.3g}") for k in range(-16, 9))  # 1e-4 to 100, four a decade


class Walks(NamedTuple):
    """Where optimizers went, from each start at each learning rate.

    Attributes:
      surface: what they walked on.
      rates: the learning rates of each optimizer by name, (rates,).
      paths: by name, (starts, rates, steps + 1, 2); the start is at place 0. For an optimizer that
        keeps an average to evaluate, it is the average's path.
      values: by name, (starts, rates, steps + 1), the surface's value at each point.
    """

    surface: Surface
    rates: dict[str, np.ndarray]
    paths: dict[str, np.ndarray]
    values: dict[str, np.ndarray]


class Entry(NamedTuple):
    """What became of one optimizer at the learning rate that tuning chose.

    Attributes:
      name: the optimizer's.
      learning_rate: the chosen one.
      at_edge: whether it is the smallest or the largest tried; a better may lie beyond.
      gap: how much higher than the lowest point the walk ended: the most in its last tenth, so that
        no single step is lucky; inf if it diverged.
      distance: from the end to the nearest global minimum; nan if the surface has none.
      steps: until the gap was a thousandth of the start's, or less, for good (a hundredth, where
        the surface falls without end); None if that never came.
      diverged: whether even the chosen rate diverged.
      diverges_from: the smallest rate from which on all that were tried diverged; None if none.
      path: (steps + 1, 2).
    """

    name: str
    learning_rate: float
    at_edge: bool
    gap: float
    distance: float
    steps: int | None
    diverged: bool
    diverges_from: float | None
    path: np.ndarray


def walk(
    surface: Surface,
    optimizers: Mapping[str, Make],
    rates: Sequence[float] | Mapping[str, Sequence[float]] = RATES,
    steps: int = 300,
    start: Any = None,
) -> Walks:
    """Lead every optimizer from every start at every learning rate, all in one compiled program.

    There is no noise: each step has the exact gradient, and the value and `value_fn` for those
    that ask for them. On a surface that falls without end a walk ends where it leaves the box.

    Args:
      surface: what to walk on.
      optimizers: by name, functions from a (traced) learning rate to an optimizer.
      rates: the learning rates that all try, or those of each by its name; of one number each.
      steps: how many, >= 1.
      start: (2,), or (starts, 2) for several; the surface's own if None.

    Raises:
      ValueError: if steps is less than 1, or a start is no point of the plane.

    >>> from fnn.optim import find as optimizer
    >>> from fnn.surfaces import quadratic
    >>> walks = walk(quadratic(1.0), {"sgd": optimizer("sgd")}, [0.5, 1.0], 3, (4.0, 2.0))
    >>> print(walks.paths["sgd"][0, 0])
    [[4.   2.  ]
     [2.   1.  ]
     [1.   0.5 ]
     [0.5  0.25]]
    """
    starts = jnp.atleast_2d(jnp.asarray(surface.start if start is None else start, float))
    if steps < 1:
        raise ValueError(f"walk: steps must be >= 1, got {steps}")
    if starts.ndim != 2 or starts.shape[1] != 2:
        raise ValueError(f"walk: start must be (2,) or (starts, 2), got {starts.shape}")
    of = rates if isinstance(rates, Mapping) else dict.fromkeys(optimizers, rates)
    tried = {name: jnp.asarray(of[name], starts.dtype) for name in optimizers}

    def program(tried, starts):
        return {name: _paths(surface, name, make, steps)(tried[name], starts)
                for name, make in optimizers.items()}  # fmt: skip

    found = jax.device_get(jax.jit(program)(tried, starts))
    return Walks(
        surface,
        {name: np.asarray(of[name], float) for name in optimizers},
        {name: paths for name, (paths, _) in found.items()},
        {name: values for name, (_, values) in found.items()},
    )


def _paths(surface: Surface, name: str, make: Make, steps: int) -> Callable:
    """From (rates,) and (starts, 2) to the paths and values of one optimizer."""

    def one(rate, start):
        optimizer = make(rate)
        pick = extras_of(optimizer.update)

        def step(carry, _):
            params, state = carry
            value, grad = jax.value_and_grad(surface.fun)(params)
            extra = pick({"value": value, "grad": grad, "value_fn": surface.fun})
            updates, state = optimizer.update(grad, state, params, **extra)
            params = apply_updates(params, updates)
            return (params, state), eval_params(state, params)

        _, path = jax.lax.scan(step, (start, optimizer.init(start)), None, length=steps)
        path = jnp.concatenate([start[None], path])
        if surface.lowest is None:
            path = _ended(surface, path)
        return path, surface.fun(path)

    def traced(rates, starts):
        try:
            return jax.vmap(jax.vmap(one, (0, None)), (None, 0))(rates, starts)
        except Exception as error:
            error.add_note(f"in walk, of optimizer {name!r}")
            raise

    return traced


def _ended(surface: Surface, path: jax.Array) -> jax.Array:
    """The path, which stays where it first is outside of the box."""
    outside = ~_inside(surface, path)
    first = jnp.where(outside.any(), jnp.argmax(outside), len(path))
    return path[jnp.minimum(jnp.arange(len(path)), first)]


def _inside(surface: Surface, points: Any) -> Any:
    low, high = np.array(surface.box, np.float32).T
    return ((points >= low) & (points <= high)).all(-1)


def gaps(surface: Surface, points: Any) -> np.ndarray:
    """How much higher the surface is at each point than at its lowest; (..., 2) -> (...).

    Points outside of the box count as the nearest on its edge, and what is not finite as infinitely
    high. Where there is no minimum, the lowest is that of the box.
    """
    points = np.asarray(points)
    low, high = np.array(surface.box).T
    lowest = surface.lowest
    if lowest is None:
        grid = np.stack(np.meshgrid(*np.linspace(low, high, 101).T), axis=-1)
        lowest = float(np.min(surface.fun(jnp.asarray(grid))))
    held = np.clip(np.where(np.isfinite(points), points, 0.0), low, high)
    above = np.maximum(np.asarray(surface.fun(jnp.asarray(held)), float) - lowest, 0.0)
    return np.where(np.isfinite(points).all(-1), above, np.inf)


def lost(surface: Surface, ends: Any) -> np.ndarray:
    """Whether walks that ended there have diverged; (..., 2) -> (...).

    They have if the end is not finite, or outside of the box; but off a surface that falls without
    end they may step wherever it is lower than at the start.
    """
    outside = ~_inside(surface, np.asarray(ends))
    if surface.lowest is not None:
        return outside
    return outside & (gaps(surface, ends) >= gaps(surface, surface.start))


def choose(walks: Walks) -> list[Entry]:
    """For each optimizer the rate whose walk from the first start ends lowest, by one rule for all.

    The end is the highest point in the last tenth of the steps, for one that bounces about comes by
    the minimum too. A walk that diverged counts as infinitely high. Ends below a millionth of the
    start's gap are equal (below a hundredth, where the surface falls without end and walks end at
    the box's edge): then the lower mean gap on the way decides, that is, who came there sooner.
    """
    return [_chosen(walks, name) for name in walks.paths]


def _chosen(walks: Walks, name: str) -> Entry:
    surface, rates, paths = walks.surface, walks.rates[name], walks.paths[name][0]
    above = gaps(surface, paths)  # (rates, steps + 1)
    begun = above[0, 0]
    astray = lost(surface, paths[:, -1])
    tail = max(1, above.shape[1] // 10)
    end = np.where(astray, np.inf, above[:, -tail:].max(-1))
    equal = begun * (1e-2 if surface.lowest is None else 1e-6)
    keys = [(max(gap, equal), way) for gap, way in zip(end, above.mean(-1), strict=True)]
    best = min(range(len(rates)), key=lambda place: keys[place])
    far = np.flatnonzero(above[best] > max(equal, 1e-3 * begun))
    fine = np.flatnonzero(~astray)
    beyond = rates[fine[-1] + 1 :] if len(fine) else rates
    reached = [np.linalg.norm(paths[best, -1] - np.array(point)) for point in surface.minima]
    return Entry(
        name,
        learning_rate=float(rates[best]),
        at_edge=len(rates) > 1 and best in (0, len(rates) - 1),
        gap=float(end[best]),
        distance=float(min(reached, default=np.nan)),
        steps=None if astray[best] or far[-1] + 1 == len(above[best]) else int(far[-1]) + 1,
        diverged=bool(astray[best]),
        diverges_from=float(beyond[0]) if len(beyond) else None,
        path=paths[best],
    )


def surface_race(
    surface: str | Surface,
    optimizers: Sequence[str] | Mapping[str, Make] = DEFAULT,
    *,
    rates: Sequence[float] = RATES,
    steps: int = 300,
    start: Any = None,
    out: Any = None,
) -> list[Entry]:
    """Lead optimizers over a surface, each at the best of the same learning rates.

    Args:
      surface: a name that `fnn.surfaces.find` knows, or a `Surface` of your own.
      optimizers: names that `fnn.optim.find` knows, ("all",) for all of them, or a mapping from
        names of your choice to functions `learning_rate -> Optimizer`.
      rates: what all try; rates on the way to divergence are part of the answer.
      steps: of each walk.
      start: (2,); the surface's own if None.
      out: folder for the picture, the animation as GIF and as a page, and the numbers: NAME.png,
        NAME.gif, NAME.html and NAME.json; None writes nothing.

    Returns:
      An `Entry` for each optimizer, the best first: by gap, then by steps.

    Raises:
      ValueError: for unknown names. OSError: if `out` cannot be written. ImportError: if
        matplotlib is missing for the pictures.

    >>> [entry.name for entry in surface_race("quadratic", ["sgd", "momentum"], steps=100)]
    ['momentum', 'sgd']
    """
    surface = find(surface) if isinstance(surface, str) else surface
    makes = {entrant.name: entrant.make for entrant in contestants(optimizers, peers=False)}
    if out is not None:
        from fnn.compare.files import check_out

        check_out(out)
    entries = choose(walk(surface, makes, rates, steps, start))
    entries.sort(key=lambda e: (e.diverged, e.gap, np.inf if e.steps is None else e.steps))
    if out is not None:
        from fnn.compare.surface_files import write

        write(surface, entries, out)
    return entries
