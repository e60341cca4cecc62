"""`compare`: optimizers raced fairly, ours and optax's."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from fnn.compare import stages
from fnn.compare.arena import make_arena
from fnn.compare.contestants import DEFAULT, Entrants, contestants
from fnn.compare.knobs import KNOBS, Trial
from fnn.compare.machine import machine
from fnn.compare.nets import make_net
from fnn.compare.plan import Plan, make_plan
from fnn.compare.progress import Report, shown
from fnn.compare.result import Comparison, Log, default_target, make_rows
from fnn.compare.stages import COMPILE_WORTH, WALK, WALK_RATE, Job
from fnn.compare.store import Store
from fnn.compare.task import Task, check_net, make_task
from fnn.core import Layer, check_key
from fnn.train.run import examples

RATES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
REFINE = (10 ** (-1 / 3), 10 ** (1 / 3))
WRITING = 20.0  # seconds of a time budget that are kept for the report


def compare(
    data: Any = "mnist",
    *,
    net: Layer | str = "mlp",
    optimizers: Entrants = DEFAULT,
    peers: bool | None = None,
    knobs: Mapping[str, Sequence[Trial]] = KNOBS,
    key: jax.Array | None = None,
    epochs: float | None = None,
    tune_epochs: float | None = None,
    batch_size: int | None = None,
    seeds: int = 8,
    tune_seeds: int = 2,
    rates: Sequence[float] = RATES,
    refine: Sequence[float] = REFINE,
    trials: int = 4,
    minutes: float | None = None,
    target: float | None = None,
    out: Any = None,
    fresh: bool = False,
    progress: bool | Report | None = None,
) -> Comparison:
    """Race optimizers on a data set: the same budget, the same weights, the same batches for each.

    Every contestant tries the same learning rates in short runs, then those around its best, and
    last its knobs, or finer rates if it has none; all try equally many settings. The lowest
    validation loss decides, and with that setting it races from several seeds. The test data choose
    nothing. A run whose loss is not finite is a result, the worst, and is shown; so is an error in
    an optimizer's own code, and the others go on.

    Args:
      data: a name for `fnn.datasets.load`, a `Dataset`, a pair of arrays `(x, y)`, or a `Task`.
      net: the network, or the name of one: "mlp" (`fnn.models.mlp(128, outputs)`), "cnn" for images
        or "linear".
      optimizers: names, "all" for all of fnn's, and mappings from a name to a function
        `learning_rate -> Optimizer`, which brings your own into the race; it is called with a
        traced learning rate.
      peers: whether optax's version of each races too; if None, they do unless `optimizers` is
        "all".
      knobs: what is tuned beside the learning rate, by name: for each optimizer a sequence of
        `(knobs, factor of the best rate)`. Those of `fnn.compare.knobs` if not given; `{}` for
        none.
      key: seeds weights and batches; `jax.random.key(0)` if None.
      epochs: passes over the training data in a race; 10, or as many as make 300 steps, if None.
      tune_epochs: passes in a tuning run; three tenths of `epochs` if None.
      batch_size: examples a step; 128, or a quarter of the training data if less, if None.
      seeds: runs a race, >= 1; the interval needs two.
      tune_seeds: runs for each learning rate tried, >= 1; their seeds do not race.
      rates: the learning rates that all try first.
      refine: factors around the best of them that all try next; may be empty.
      trials: how many settings of its knobs each tries last; finer learning rates where it has
        fewer. From 0 to 4.
      minutes: cut the plan so that everything ends in about that time on this machine: each step is
        measured first. What was cut stands in `settings["cut"]`. No limit if None.
      target: validation score that counts as reached; 95 % of the best mean at the end if None.
      out: folder for report.html, its pictures, results.json and results.csv, and for
        progress.jsonl, which keeps each finished piece of work: the same call goes on where an
        earlier one stopped, and finds the same numbers. None writes nothing.
      fresh: forget what an earlier call has finished.
      progress: True for a bar or plain lines on stderr, False for silence, None for a bar at a
        terminal only; or a function `(done, total, text)`.

    Returns:
      A `Comparison`; `print` it for the table. Ctrl-C stops the race and returns what is finished,
      marked as incomplete.

    Raises:
      ValueError: for unknown names, a network that does not fit the data, or a budget that cannot
        be. Refused: if `out` holds a comparison with other settings (`fnn.compare.store`). OSError:
        if `out` cannot be written, told before the race. ImportError: if a package is missing that
        the peers or the pictures need.

    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> found = compare((x, (x[:, 0] > 0).astype(int)), optimizers=["sgd"], peers=False,
    ...                 rates=[0.1], refine=[], seeds=2, epochs=2, progress=False)
    >>> found.rows[0].name, found.rows[0].seeds, found.complete
    ('sgd', 2, True)
    """
    clock = _Clock()
    peers = optimizers != "all" if peers is None else peers
    entrants = contestants(optimizers, peers=peers, knobs=knobs)
    key = check_key(key, "compare")
    key = jax.random.key(0) if key is None else key
    task = make_task(data)
    net = make_net(net, task) if isinstance(net, str) else net
    check_net(net, task)
    plan = make_plan(
        examples(task.data.x_train),
        epochs=epochs,
        tune_epochs=tune_epochs,
        batch_size=batch_size,
        seeds=seeds,
        tune_seeds=tune_seeds,
        rates=rates,
        refine=refine,
        trials=trials,
    )
    if out is not None:
        from fnn.compare.files import check_out

        check_out(out)
    settings = _settings(task, net, plan, key) | {"minutes": minutes, "cut": [], "resumed": 0}
    logs = [Log(entrant) for entrant in entrants]
    complete = True
    with shown(progress, _work(plan, len(logs))) as report:
        try:
            _all_stages(logs, plan, task, net, key, clock, report, settings, out, fresh)
        except KeyboardInterrupt:
            complete = False
    clock.stage("")
    target = default_target(logs) if target is None else float(target)
    found = Comparison(
        make_rows(logs, target), logs, target, settings, machine(), clock.seconds, complete
    )
    if out is not None:
        found.write(out)
    return found


def _all_stages(logs, plan, task, net, key, clock, report, settings, out, fresh) -> None:
    """Fill the logs, stage by stage; what an interruption leaves is whole as far as it goes."""
    meter = _Meter(report)
    clock.stage("weights and batches")
    meter.add(0, "drawing weights and batches")
    arena = make_arena(
        task,
        net,
        key,
        seeds=plan.tune_seeds + plan.seeds,
        steps=max(plan.steps, plan.tune_steps, WALK + 1),
        batch_size=plan.batch_size,
        most=max(max(plan.rounds) * plan.tune_seeds, plan.seeds),
    )
    labels = [log.contestant.label for log in logs]
    limits = {} if settings["minutes"] is None else {"optimizers": labels}
    known = {name: settings[name] for name in settings.keys() - {"cut", "resumed"}}
    store = Store(out, {**known, **limits, "start": arena.fingerprint, **_place()}, fresh=fresh)
    try:
        settings["resumed"] = store.found
        if store.found:
            meter.add(0, f"going on: {store.found} pieces are finished")
        job = Job(arena, store, plan, logs, meter.add, [None] * len(logs))
        clock.stage("compile")
        stages.trace_all(job)
        cut = [] if settings["minutes"] is None else stages.stored_plan(job)
        stages.compile_all(job)
        clock.stage("fit")
        if cut is None:
            seconds = 60 * settings["minutes"] - WRITING
            cut = stages.fit_plan(job, lambda: seconds - clock.spent())
        settings |= _sizes(job.plan, examples(task.data.x_train)) | {"cut": cut}
        meter.left(_work(plan, len(logs)), _work(job.plan, len(logs), compiled=True))
        clock.stage("tune")
        stages.tune(job)
        clock.stage("paths")
        stages.walk_pairs(job)
        clock.stage("race")
        stages.race(job)
    finally:
        store.close()


def _work(plan: Plan, count: int, *, compiled: bool = False) -> float:
    """The size of the job in steps, compilation among them unless it is done."""
    tuning = sum(plan.rounds) * plan.tune_seeds * plan.tune_steps
    return count * (tuning + plan.seeds * plan.steps + (0 if compiled else COMPILE_WORTH))


def _place() -> dict[str, Any]:
    """What else decides the last bits of the numbers."""
    devices = jax.devices()
    return {"jax": jax.__version__, "platform": devices[0].platform, "devices": len(devices)}


class _Meter:
    """Adds up what is done and reports it."""

    def __init__(self, report: Callable[[float, str], None]):
        self.report, self.done, self.factor = report, 0.0, 1.0

    def add(self, steps: float, text: str) -> None:
        self.done += steps * self.factor
        self.report(self.done, text)

    def left(self, total: float, rest: float) -> None:
        """From now on, `rest` steps are what is missing to `total`."""
        self.factor = (total - self.done) / rest


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._first = self._begun = time.perf_counter()
        self._now = "data"

    def spent(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._first

    def stage(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[self._now] = self.seconds.get(self._now, 0.0) + now - self._begun
        self._now, self._begun = name, now


def _settings(task: Task, net: Layer, plan: Plan, key: jax.Array) -> dict[str, Any]:
    parts = {part: examples(getattr(task.data, f"x_{part}")) for part in ("train", "val", "test")}
    return {
        "data": task.name,
        "examples": parts,
        "score": task.score_name,
        "net": " ".join(repr(net).split()),
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        **_sizes(plan, parts["train"]),
        "walk_steps": WALK,
        "walk_rate": WALK_RATE,
    }


def _sizes(plan: Plan, n: int) -> dict[str, Any]:
    return {"epochs": plan.steps * plan.batch_size / n, **plan._asdict()}
