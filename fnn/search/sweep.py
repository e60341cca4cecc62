"""`sweep`: hundreds of training runs as a few compiled programs."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from fnn import processes
from fnn.checks import check_count, check_given_key
from fnn.core import Layer
from fnn.search.group import Group, Groups, prepared
from fnn.search.lane import Build, Carry, Look, pick
from fnn.search.space import Config, text
from fnn.train.evaluate import Metric
from fnn.train.step import Loss


class Result(NamedTuple):
    """What one run left.

    Attributes:
      loss: (checks,) mean training loss since the check before.
      val_loss: (checks,) held-out loss; NaN without held-out data.
      metrics: (checks,) of the held-out data, by name.
      best_loss, best_step: the least held-out loss (training loss without), and when.
    """

    loss: np.ndarray
    val_loss: np.ndarray
    metrics: dict[str, np.ndarray]
    best_loss: float
    best_step: int

    @property
    def diverged(self) -> bool:
        """Whether a loss or weights were not finite; the best before that counts."""
        return not (np.isfinite(self.loss).all() and np.isfinite(self.best_loss))


class Sweep(NamedTuple):
    """What a sweep found; the lanes are in the order of the configurations.

    Attributes:
      configs: what was tried.
      results: a `Result` for each.
      steps: (checks,) the steps at which was measured.
      best: which lane has the least loss.
      net: the network of the best.
      params, state: its weights at its best check.
      groups: how many programs were compiled, one for each combination of what is not a float.
      seconds: "compile" and "run".
    """

    configs: list[Config]
    results: list[Result]
    steps: np.ndarray
    best: int
    net: Layer
    params: Any
    state: Any
    groups: int
    seconds: dict[str, float]

    @property
    def losses(self) -> np.ndarray:
        """The best loss of each lane; infinity where none was finite."""
        return np.array([result.best_loss for result in self.results])

    def table(self, most: int = 10) -> str:
        """The best lanes, one a line.

        >>> Sweep([{"a": 1.0}], [Result(*[np.ones(1)] * 2, {}, 0.5, 3)], *[None] * 7).table()
        '  loss 0.5 at step 3: a=1'
        """
        order = np.argsort(self.losses, kind="stable")[:most]
        lines = []
        for at in order:
            found = self.results[at]
            note = ", diverged" if found.diverged else ""
            lines.append(
                f"  loss {found.best_loss:.4g} at step {found.best_step}{note}:"
                f" {text(self.configs[at])}"
            )
        return "\n".join(lines)


def sweep(
    build: Build,
    configs: Sequence[Config],
    x: Any,
    y: Any,
    *,
    loss: Loss,
    steps: int,
    key: jax.Array,
    batch_size: int | None = 32,
    validation: tuple[Any, Any] | None = None,
    rows: Any = None,
    held_out: Any = None,
    metrics: Mapping[str, Metric] | None = None,
    checks: int = 10,
    at_once: int | None = None,
    devices: Sequence[Any] | None = None,
    done: Mapping[int, Result] | None = None,
    on_results: Callable[[dict[int, Result]], None] | None = None,
) -> Sweep:
    r"""Train a run for every configuration, as one compiled program a group, on all devices.

    Each lane takes the steps that `train.run` takes for its configuration, and comes to the same
    numbers: with a `seed` in the configuration from the key `random.fold_in(key, seed)`, else from
    `key`, so that lanes without seeds differ by their configuration alone. A run that diverges is a
    value: its neighbours do not notice.

    Args:
      build: `build(**config)` gives `Candidate(net, optimizer, penalty=None)` or the pair. It is
        called within the compiled program: floats of the configuration are traced.
      configs: dicts with the same names, of `search.grid`, `random`, `sobol` or your own. Floats
        are arguments of one program; each combination of all else (ints, strings, functions)
        compiles one: a rate of 1 among floats is an int, write 1.0. `batch_size` and `seed` may be
        among the names, and are passed to a `build` that asks for them.
      x: inputs, as in `fit`.
      y: targets.
      loss: `loss(prediction, y)`, one number for each example.
      steps: of each run.
      key: seeds all.
      batch_size: examples a step; None takes all.
      validation: `(x, y)` by which lanes are judged; without them the training loss judges.
      rows: (lanes, n) which rows of x each lane trains on, such as a fold's; None for all.
      held_out: (lanes, m) which rows of x judge each lane, in place of `validation`.
      metrics: `(prediction, y) -> scalar` of the held-out data, by name.
      checks: at how many evenly spread steps to measure and to keep the best weights.
      at_once: lanes a program call holds; by default as many as fit half of the free memory, at
        most 64. More lanes are done by turns.
      devices: which; by default all, those of other processes among them (`fnn.shard.join`), which
        make the same call. On a CPU every core works once there are as many host devices:
        `jax.config.update("jax_num_cpu_devices", cores)` before JAX is used.
      done: results of lanes that an earlier call has finished, by their number: not done again.
      on_results: called with the results of the lanes that a program call has finished, by number,
        to save them or to tell of progress.

    Returns:
      A `Sweep`.

    Raises:
      ValueError: for data, budgets or configurations that do not fit together.
      TypeError: if `build` gives no network and optimizer, or decides by a float.

    >>> import fnn
    >>> x, y = fnn.datasets.linear(jax.random.key(0), n=64)
    >>> def build(rate):
    ...     return fnn.search.Candidate(fnn.layers.dense(1), fnn.optim.sgd(rate))
    >>> found = sweep(build, [{"rate": r} for r in (0.0, 0.1, 1e9)], x, y[:, None], steps=50,
    ...               loss=fnn.losses.squared_error, key=jax.random.key(1))
    >>> found.configs[found.best], [result.diverged for result in found.results], found.groups
    ({'rate': 0.1}, [False, False, True], 1)
    """
    check_given_key(key, "sweep")
    groups = prepared(
        "sweep", build, configs, x, y, loss=loss, steps=steps, key=key, batch_size=batch_size,
        validation=validation, rows=rows, held_out=held_out, metrics=metrics, at_once=at_once,
        devices=devices,
    )  # fmt: skip
    ends = check_ends("sweep", steps, checks)
    results, best = dict(done or {}), Best()
    for group in groups.all:
        left = [lane for lane in group.numbers if lane not in results]
        for found, carry in runs(groups, group, left, ends):
            results |= found
            best.offer(found, carry)
            if on_results is not None:
                on_results(found)
    ordered = [results[lane] for lane in range(len(groups.configs))]
    winner = int(np.argmin([result.best_loss for result in ordered]))
    if winner != best.lane:  # an earlier call has done it: its weights are made again
        for found, carry in runs(groups, groups.of(winner), [winner], ends):
            best.offer(found, carry, force=True)
    many, seconds = len(groups.all), groups.seconds
    net = groups.net(winner)
    return Sweep(groups.configs, ordered, ends, winner, net, *best.variables, many, seconds)


def check_ends(where: str, steps: int, checks: int) -> np.ndarray:
    """After how many steps the checks are.

    Raises:
      ValueError: if there are more of them than steps, or none.
    """
    if check_count(where, "checks", checks) > check_count(where, "steps", steps):
        raise ValueError(f"{where}: checks must be from 1 to steps = {steps}, got {checks}")
    return np.linspace(0, steps, checks + 1).round().astype(np.int32)[1:]


class Best:
    """The weights of the best lane so far, on the host."""

    def __init__(self):
        self.lane, self.loss = -1, np.inf
        self.variables: tuple[Any, Any] = ({}, {})

    def offer(self, found: Mapping[int, Result], carry: Carry, *, force: bool = False) -> None:
        for place, (lane, result) in enumerate(found.items()):
            if result.best_loss < self.loss or self.lane < 0 or force:
                self.lane, self.loss = lane, result.best_loss
                kept = (carry.params, carry.state)
                own = processes.whole(pick(kept, place))
                self.variables = jax.tree.map(np.asarray, own)


def runs(
    groups: Groups, group: Group, members: Sequence[int], ends: np.ndarray
) -> Iterator[tuple[dict[int, Result], Carry]]:
    """Whole runs of some lanes, by turns: their results by lane, and what they carried."""
    if not members:
        return
    programs, size = groups.programs(group)
    stretches = [groups.common(int(count)) for count in np.diff(ends, prepend=0)]
    for first in range(0, len(members), size):
        begun = time.perf_counter()
        now = members[first : first + size]
        lanes = groups.lanes(group, [*now, *[now[-1]] * (size - len(now))])  # the last, repeated
        carry, looks = programs.start(lanes, groups.shared), []
        for common in stretches:
            carry, look = programs.stretch((lanes, carry), common)
            looks.append(look)
        found = results_of(now, carry, jax.device_get(processes.whole(looks)))
        groups.seconds["run"] += time.perf_counter() - begun
        yield found, carry


def results_of(members: Sequence[int], carry: Carry, looks: Sequence[Look]) -> dict[int, Result]:
    """What each lane left, by its number; spare lanes beyond the members are left out."""
    losses, steps = map(np.asarray, processes.whole((carry.loss, carry.step)))
    stacked = jax.tree.map(lambda *each: np.stack(each), *looks)  # (checks, lanes)
    found = {}
    for place, lane in enumerate(members):
        loss, val_loss, metrics = jax.tree.map(lambda a, place=place: a[:, place], stacked)
        found[lane] = Result(loss, val_loss, metrics, float(losses[place]), int(steps[place]))
    return found
