"""`fit`: train with validation, stopping rules, a history and the best weights kept."""

import functools
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from fnn.checks import check_count, check_given_key, check_path
from fnn.core import Layer
from fnn.data import as_arrays
from fnn.data.orders import Order, shuffled
from fnn.optim import Optimizer, eval_params
from fnn.processes import is_first
from fnn.shard import Rules, layout, place, undivided
from fnn.stop import Report, Rule
from fnn.train.arguments import (
    check_function,
    check_metrics,
    check_number,
    check_pair,
    check_parts,
)
from fnn.train.bar import progress_bar
from fnn.train.evaluate import Metric
from fnn.train.log import Log
from fnn.train.numerics import Guard, OnNonfinite, check_policy, handled, locate
from fnn.train.programs import looked_at, measured, programs_of, started
from fnn.train.record import SETTINGS, ended, write_record
from fnn.train.resume import Keeper, identity, interruptible, keeping
from fnn.train.run import check_budget, examples, make_batch_at, no_progress
from fnn.train.step import Loss, TrainState, init
from fnn.train.together import SAVING, Between, agreed, watched
from fnn.train.watched import check_names, first_of
from fnn.train.watched import recorded as recorded_names

# Between looks at the clock, the bar and Ctrl-C. Each look lets go of the program's memory: at
# 0.2 s taking it again cost a transformer's step a fourth of its time.
CHUNK_SECONDS = 1.0


class Fit(NamedTuple):
    """What a training run leaves behind.

    Attributes:
      best: the train state at the check where the monitored quantity was best.
      last: the train state at the end.
      history: an array for each recorded quantity, one entry a check: "step", "epoch", "seconds",
        "loss", and with validation data "val_loss"; metrics as "val_<name>", or "train_<name>".
      stopped: why training ended, in words.
      best_step: the step at which `best` was taken.
      compile_seconds: how long compilation took, apart from the history's seconds.
    """

    best: TrainState
    last: TrainState
    history: dict[str, np.ndarray]
    stopped: str
    best_step: int
    compile_seconds: float

    @property
    def params(self) -> Any:
        """The best parameters; of an optimizer that averages them, the average."""
        return eval_params(self.best.opt_state, self.best.params)

    @property
    def state(self) -> Any:
        """The network's state that belongs to the best parameters."""
        return self.best.state


def fit(
    net: Layer,
    x: Any,
    y: Any,
    *,
    loss: Loss,
    optimizer: Optimizer,
    key: jax.Array,
    epochs: float = 10,
    steps: int | None = None,
    batch_size: int | None = 32,
    validation: tuple[Any, Any] | None = None,
    metrics: Mapping[str, Metric] | None = None,
    stop: Rule | Sequence[Rule] = (),
    monitor: str | None = None,
    mode: str = "min",
    check_every: int | None = None,
    penalty: Callable[[Any], jax.Array] | None = None,
    order: Order = shuffled,
    start: TrainState | None = None,
    on_nonfinite: OnNonfinite = "stop",
    checkpoint: str | os.PathLike[str] | None = None,
    save_seconds: float | None = None,
    progress: bool | None = None,
    mesh: Mesh | None = None,
    sharding: Rules | None = None,
) -> Fit:
    """Train a network: compiled chunks of many steps, and between them the host's work.

    Args:
      net: the network.
      x: NumPy or JAX arrays, data frames, or pytrees of them; first axes count the examples.
      y: the targets, likewise.
      loss: `loss(prediction, y)` -> one number per example, as in `fnn.losses`.
      optimizer: ours or optax's.
      key: seeds parameters, order and layers; equal keys give bit-identical results.
      epochs: passes over the data at most, may be a fraction; `steps` overrides it.
      steps: steps at most.
      batch_size: examples a step; None takes all. No example is dropped: batches may straddle two
        passes.
      validation: `(x, y)` held out, looked at once a check.
      metrics: functions `(prediction, y) -> scalar` by name, of the validation data, or of the
        training data where there are none.
      stop: rules of `fnn.stop`; a list stops at the first that has a reason.
      monitor: the quantity that decides which weights are best: by default "val_loss" with
        validation data and "loss" without.
      mode: "min" if less of it is better, "max" if more.
      check_every: steps between checks (validation, history, rules); one pass by default.
      penalty: a function of the parameters added to the loss, as in `make_step`.
      order: which examples a step takes, of `fnn.data.orders`: freshly shuffled each pass, or such
        as a curriculum.
      start: a train state to go on from, such as another fit's `last`; its own key and step stay.
      on_nonfinite: what a step does that would make the loss or the weights NaN or infinite. "stop"
        ends the run and says where it began: which layer, and which way. "skip" leaves all but the
        step count as it was. "reduce" goes back to the best weights so far, with half the learning
        rate, and on to the next step; a rate that is a schedule stays. The last two count such
        steps in the history, as "skipped", and give up after ten in a row: of "skip" without a good
        step, of "reduce" without a check between them. None costs anything while all is well.
      checkpoint: a folder in which the run saves itself twice a minute, when it ends and when it is
        interrupted. The same call goes on where it stopped, to the same parameters, bit for bit;
        `train.replay` does the run again by the `run.json` in it.
      save_seconds: seconds between saves while training goes on, 30 by default.
      progress: True shows a bar, False none; None shows it at a terminal.
      mesh: devices that share the run, such as `jax.make_mesh((8,), ("data",))`: the same numbers
        but for rounding. The devices may be those of several processes, all of which make the same
        call (`fnn.shard.join`). The data lie whole on each, unless they come divided
        (`fnn.shard.joined`).
      sharding: rules of `fnn.shard` for what lies where; `data_parallel()` by default.

    Returns:
      A `Fit`: best and last train state, history, and why it stopped. Ctrl-C or SIGTERM stop it
      and return what there is, a second Ctrl-C at once; a loss that is not finite stops it too,
      unless `on_nonfinite` says otherwise, and leaves the best as it was.

    Raises:
      ValueError: for data, budgets or names that do not fit together; each says what to do.

    >>> import fnn
    >>> x, y = fnn.datasets.linear(jax.random.key(0), n=100, noise=0.0)
    >>> done = fit(fnn.layers.dense(1), x, y[:, None], loss=fnn.losses.squared_error,
    ...            optimizer=fnn.optim.adam(0.05), key=jax.random.key(1), epochs=200,
    ...            stop=fnn.stop.until(fnn.stop.loss < 1e-3))
    >>> done.stopped.split(" after")[0].split(" ")[0], bool(done.history["loss"][-1] < 1e-3)
    ('loss', True)
    """
    check_parts("fit", net, loss, optimizer)
    check_metrics("fit", metrics)
    check_number("fit", "epochs", epochs)
    check_function("fit", "penalty", penalty, "lambda params: 1e-4 * fnn.trees.norm(params) ** 2")
    check_function("fit", "order", order, "fnn.data.orders.curriculum(...)")
    checkpoint = None if checkpoint is None else check_path("fit", checkpoint)
    if check_every is not None:
        check_count("fit", "check_every", check_every)
    if start is None:
        check_given_key(key, "fit")
    if start is not None and not isinstance(start, TrainState):
        got = type(start).__name__
        raise TypeError(f"fit: start must be a TrainState, such as another fit's last, got {got}")
    if validation is not None:
        check_pair("fit", "validation", validation)
    x, y, rows = undivided(x, y)
    x, y = as_arrays(x, y, where="fit")
    held_out = None if validation is None else as_arrays(*validation, where="fit: validation")
    n = examples(x) if rows is None else rows
    if steps is None:
        check_budget(1, batch_size, n)
        steps = math.ceil(epochs * n / (batch_size or n))
    check_budget(steps, batch_size, n)
    every = check_every or math.ceil(n / (batch_size or n))
    monitor = monitor or ("val_loss" if validation is not None else "loss")
    rule = first_of(stop)
    recorded = recorded_names(metrics, validation is not None, on_nonfinite != "stop")
    check_names(rule, monitor, mode, recorded)

    named = tuple(sorted((metrics or {}).items()))
    where = None
    first = jax.tree.map(lambda a: jnp.zeros((1, *a.shape[1:]), a.dtype), x)
    if mesh is not None:
        like = start or jax.eval_shape(functools.partial(init, net, optimizer), key, first)
        where = layout(like, mesh, sharding, batch_size or n, divided=rows is not None)
        (x, y) = jax.device_put((x, y), where.data)
        held_out = jax.device_put(held_out, where.whole)
    elif sharding is not None or rows is not None:
        what = "sharding" if rows is None else "divided data"
        raise ValueError(f"fit: {what} needs a mesh; add mesh=jax.make_mesh((8,), ('data',))")
    programs = programs_of(net, loss, optimizer, penalty, n, batch_size, order, named, where)
    advance, looked = programs.advance, looked_at((x, y), held_out, bool(named))
    measure = functools.partial(measured, programs, looked)
    begun = time.perf_counter()
    if start is None:
        train_state = started(programs, key, first, (x, y), looked)
    else:
        train_state = place(start, where)
    check_policy(on_nonfinite, train_state)
    *_, finite = advance(train_state, (x, y), 0, no_progress())
    jax.block_until_ready(measure(train_state))
    compile_seconds = time.perf_counter() - begun

    log = Log(train_state, monitor, mode, n / (batch_size or n), on_nonfinite != "stop")
    batch_at = make_batch_at(n, batch_size, order)
    find = functools.partial(locate, net, loss, penalty, batch_at, (x, y))
    guard = Guard(on_nonfinite, advance, (x, y), find, watches=bool(finite))
    keeper, told = Keeper.of(checkpoint, save_seconds), None
    record = None
    if keeper is not None:
        run = identity(net, train_state, (x, y, n), held_out, batch_size, every, monitor, mode)
        told = keeper.resume(log, run)
        log.last, log.best = place(log.last, where), place(log.best, where)
        values = (batch_size, every, monitor, mode, on_nonfinite)
        settings: dict[str, Any] = dict(zip(SETTINGS, values, strict=True))
        record = functools.partial(write_record, checkpoint, run, train_state.key, settings)
        record(None)
    with keeping(keeper, log), interruptible() as interrupted:
        show = progress if is_first() else False
        with progress_bar("training", steps, show=show) as report, watched() as tick:
            try:
                stopped = told or _loop(
                    guard, measure, log, rule, steps, every, report, keeper, interrupted, tick
                )
            except KeyboardInterrupt:
                stopped = f"interrupted after {log.step} steps"
        if keeper is not None and record is not None:
            keeper.save(log, stopped)
            record(ended(log.step, stopped, log.last.params))
    history = {name: np.asarray(values) for name, values in log.history.items()}
    return Fit(log.best, log.last, history, stopped, log.best_step, compile_seconds)


def _loop(
    guard: Guard,
    measure: Callable[[TrainState], dict[str, float]],
    log: Log,
    rule: Rule,
    steps: int,
    every: int,
    report: Callable[[int, str], None],
    keeper: Keeper | None,
    interrupted: Callable[[], bool],
    tick: Callable[..., None],
) -> str:
    """Run chunks until there is a reason to stop, and return it.

    A chunk ends at the next check at the latest; its length follows the speed seen, so that the
    clock, the bar and Ctrl-C are looked at about once a second.
    """
    before = log.history["seconds"][-1] if log.history else 0.0
    first, chunk = log.first, 1
    begun = time.perf_counter() - before
    while log.step - first < steps:
        done = log.step - first
        check = min(steps, (done // every + 1) * every)
        since, begin = time.perf_counter(), (log.last, log.progress)
        count = min(chunk, check - done)
        after, progress, finite = guard.advance(log.last, guard.data, count, log.progress)
        log.add(after, progress, count)
        now = time.perf_counter()
        chunk = max(1, int(count * CHUNK_SECONDS / (now - since)))
        if log.first_bad or (guard.watches and not finite):
            if reason := handled(guard, log, begin, count):
                return reason
            # bad steps come in swarms: what is run in vain after the next one should be little
            chunk = min(chunk, log.step - first - done)
        chunk = min(chunk, 4 * count) if log.had_faults else chunk
        done, begin = log.step - first, None
        if done == check:
            log.check(now - begun, measure(log.last))
        reason = rule.check(Report(log.history, log.step, time.perf_counter() - begun))
        due = keeper is not None and keeper.is_due()
        plan = agreed(Between(reason or "", interrupted(), due, chunk))
        chunk = plan.chunk
        tick(SAVING if plan.save else 0.0)
        if plan.stop or plan.interrupted:
            return plan.stop or f"interrupted after {log.step} steps"
        if keeper is not None and plan.save:
            keeper.save(log, None)
            tick()
        report(done, log.text())
    return f"all {steps} steps are done"
