"""`compare`: optimizers raced fairly, ours and optax's."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from fnn.compare.arena import Arena, Lane, Run, compile_all, make_arena, run, walk
from fnn.compare.contestants import DEFAULT, Entrants, contestants
from fnn.compare.machine import machine
from fnn.compare.plan import Plan, look_steps, make_plan
from fnn.compare.progress import Report, shown
from fnn.compare.result import (
    Comparison,
    Log,
    default_target,
    loss_by_rate,
    make_rows,
    path_distance,
)
from fnn.compare.task import check_net, make_task
from fnn.core import Layer, check_key
from fnn.models import mlp
from fnn.train.run import examples

RATES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
REFINE = (10 ** (-1 / 3), 10 ** (1 / 3))
WALK = 20  # steps over which ours and optax's paths are held together
WALK_RATE = (
    0.1  # of the tuned learning rate: at the whole of it paths are chaotic from the first step
)
COMPILE_WORTH = 300  # steps that take about as long as one compilation, for the progress bar


def compare(
    data: Any = "mnist",
    *,
    net: Layer | None = None,
    optimizers: Entrants = DEFAULT,
    peers: bool = True,
    key: jax.Array | None = None,
    epochs: float | None = None,
    tune_epochs: float | None = None,
    batch_size: int | None = None,
    seeds: int = 8,
    tune_seeds: int = 2,
    rates: Sequence[float] = RATES,
    refine: Sequence[float] = REFINE,
    target: float | None = None,
    out: Any = None,
    progress: bool | Report | None = None,
) -> Comparison:
    """Race optimizers on a data set: the same budget, the same weights, the same batches for each.

    Every contestant tries the same learning rates in short runs, then those around its best; the
    lowest validation loss decides. At that rate it races from several seeds. The test data choose
    nothing. A run whose loss is not finite is a result, the worst, and is shown.

    Args:
      data: a name for `fnn.datasets.load`, a `Dataset`, a pair of arrays `(x, y)`, or a `Task`.
      net: the network; `fnn.models.mlp(128, outputs)` if None.
      optimizers: names, and mappings from a name to a function `learning_rate -> Optimizer`, which
        brings your own into the race; it is called with a traced learning rate.
      peers: whether optax's version of each races too.
      key: seeds weights and batches; `jax.random.key(0)` if None.
      epochs: passes over the training data in a race; 10, or as many as make 300 steps, if None.
      tune_epochs: passes in a tuning run; three tenths of `epochs` if None.
      batch_size: examples a step; 128, or a quarter of the training data if less, if None.
      seeds: runs a race, >= 1; the interval needs two.
      tune_seeds: runs for each learning rate tried, >= 1; their seeds do not race.
      rates: the learning rates that all try first.
      refine: factors around the best of them that all try next; may be empty.
      target: validation score that counts as reached; 95 % of the best mean at the end if None.
      out: folder for report.html, curves.png, results.json and results.csv; None writes nothing.
      progress: True for a bar or plain lines on stderr, False for silence, None for a bar at a
        terminal only; or a function `(done, total, text)`.

    Returns:
      A `Comparison`; `print` it for the table. Ctrl-C stops the race and returns what is finished,
      marked as incomplete.

    Raises:
      ValueError: for unknown names, a network that does not fit the data, or a budget that cannot
        be. OSError: if `out` cannot be written, told before the race. ImportError: if a package is
        missing that the peers or the pictures need.

    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> found = compare((x, (x[:, 0] > 0).astype(int)), optimizers=["sgd"], peers=False,
    ...                 rates=[0.1], refine=[], seeds=2, epochs=2, progress=False)
    >>> found.rows[0].name, found.rows[0].seeds, found.complete
    ('sgd', 2, True)
    """
    entrants = contestants(optimizers, peers=peers)
    key = check_key(key, "compare")
    task = make_task(data)
    net = mlp(128, task.outputs) if net is None else net
    check_net(net, task)
    n = examples(task.data.x_train)
    plan = make_plan(
        n,
        epochs=epochs,
        tune_epochs=tune_epochs,
        batch_size=batch_size,
        seeds=seeds,
        tune_seeds=tune_seeds,
        rates=rates,
        refine=refine,
    )
    if out is not None:
        from fnn.compare.files import check_out

        check_out(out)
    logs = [Log(entrant) for entrant in entrants]
    clock = _Clock()
    complete = True
    with shown(progress, _work(plan, len(logs))) as report:
        try:
            _all_stages(logs, plan, task, net, key, clock, report)
        except KeyboardInterrupt:
            complete = False
    clock.stage("")
    target = default_target(logs) if target is None else float(target)
    settings = _settings(task, net, plan, key, n)
    found = Comparison(
        make_rows(logs, target), logs, target, settings, machine(), clock.seconds, complete
    )
    if out is not None:
        found.write(out)
    return found


def _all_stages(logs, plan, task, net, key, clock, report) -> None:
    """Fill the logs, stage by stage; what an interruption leaves is whole as far as it goes."""
    meter = _Meter(report)
    clock.stage("weights and batches")
    meter.add(0, "drawing weights and batches")
    arena = make_arena(
        task,
        net,
        jax.random.key(0) if key is None else key,
        seeds=plan.tune_seeds + plan.seeds,
        steps=max(plan.steps, plan.tune_steps, WALK + 1),
        batch_size=plan.batch_size,
        most=max(len(plan.rates) * plan.tune_seeds, plan.seeds),
    )
    clock.stage("compile")
    programs: list[Any] = [None] * len(logs)

    def compiled(index, program, seconds):
        programs[index], logs[index].compile_seconds = program, seconds
        meter.add(COMPILE_WORTH, f"compiled {logs[index].contestant.label}")

    compile_all(arena, [log.contestant for log in logs], compiled)

    clock.stage("tune")
    _tune(arena, programs, logs, meter, plan, lambda log: plan.rates)
    _tune(arena, programs, logs, meter, plan, lambda log: [log.rate * f for f in plan.refine])

    clock.stage("paths")
    _walk_pairs(arena, programs, logs, meter)

    clock.stage("race")
    ends = look_steps(plan.steps)
    seeds = range(plan.tune_seeds, plan.tune_seeds + plan.seeds)
    for some in _split(seeds, arena.lanes):
        for program, log in zip(programs, logs, strict=True):
            lanes = [Lane(log.rate, seed) for seed in some]
            log.races += _timed(arena, program, log, lanes, ends)
            meter.add(
                len(some) * plan.steps,
                f"race {log.contestant.label}, {len(log.races)} of {plan.seeds} seeds",
            )


def _tune(arena: Arena, programs, logs, meter, plan: Plan, rates_of: Callable) -> None:
    """Tuning runs at the rates of each, a few at a time, by turns; then the best rate of each."""
    wanted = [
        [Lane(float(rate), seed) for rate in rates_of(log) for seed in range(plan.tune_seeds)]
        for log in logs
    ]
    for place in range(0, len(wanted[0]), arena.lanes):
        for program, log, lanes in zip(programs, logs, wanted, strict=True):
            some = lanes[place : place + arena.lanes]
            log.tuning += _timed(arena, program, log, some, [plan.tune_steps])
            meter.add(
                len(some) * plan.tune_steps, f"tune {log.contestant.label} at {some[-1].rate:.2g}"
            )
    for log in logs:
        log.rate = best_rate(log.tuning)


def _timed(arena, program, log, lanes, ends):
    runs, seconds = run(arena, log.contestant.make, program, lanes, ends)
    log.step_us.append(1e6 * seconds / ends[-1])
    return runs


def best_rate(tuning: Sequence[Run]) -> float:
    """The learning rate of the lowest mean validation loss; the smallest if each has diverged."""
    losses = loss_by_rate(tuning)
    return min(losses, key=lambda rate: (math.isnan(losses[rate]), losses[rate], rate))


def _walk_pairs(arena, programs, logs, meter) -> None:
    """Lead ours and optax's side by side from one start, and note how far they part."""
    for place, log in enumerate(logs):
        name, by, make = log.contestant
        peers = [i for i, other in enumerate(logs) if other.contestant[:2] == (name, "optax")]
        if by != "fnn" or not peers:
            continue
        meter.add(0, f"path {name}")
        lane, peer = Lane(log.rate * WALK_RATE, 0), logs[peers[0]]
        ours = walk(arena, make, programs[place], lane, WALK)
        theirs = walk(arena, peer.contestant.make, programs[peers[0]], lane, WALK)
        log.path_distance = peer.path_distance = path_distance(ours, theirs)


def _split(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[place : place + size] for place in range(0, len(items), size)]


def _work(plan: Plan, count: int) -> float:
    tuning = (len(plan.rates) + len(plan.refine)) * plan.tune_seeds * plan.tune_steps
    return count * (COMPILE_WORTH + tuning + plan.seeds * plan.steps)


class _Meter:
    """Adds up what is done and reports it."""

    def __init__(self, report: Callable[[float, str], None]):
        self.report, self.done = report, 0.0

    def add(self, steps: float, text: str) -> None:
        self.done += steps
        self.report(self.done, text)


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._now, self._begun = "data", time.perf_counter()

    def stage(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[self._now] = self.seconds.get(self._now, 0.0) + now - self._begun
        self._now, self._begun = name, now


def _settings(task, net, plan: Plan, key, n: int) -> dict[str, Any]:
    sizes = {part: len(jax.tree.leaves(getattr(task.data, f"x_{part}"))[0])
             for part in ("train", "val", "test")}  # fmt: skip
    words = np.asarray(jax.random.key_data(jax.random.key(0) if key is None else key))
    return {
        "data": task.name,
        "examples": sizes,
        "score": task.score_name,
        "net": " ".join(repr(net).split()),
        "key": words.tolist(),
        "epochs": plan.steps * plan.batch_size / n,
        **plan._asdict(),
        "walk_steps": WALK,
        "walk_rate": WALK_RATE,
    }
