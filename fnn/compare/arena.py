"""Where the contestants run: the same weights and batches for each, on all devices, timed."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.compare.contestants import Contestant, Make
from fnn.compare.program import (
    Look,
    Start,
    first_state,
    make_look,
    make_starts,
    make_stretch,
    placements,
)
from fnn.compare.task import Task
from fnn.core import Layer
from fnn.train.run import examples


class Run(NamedTuple):
    """One training run, looked at from time to time; the arrays have an entry for each look.

    Attributes:
      rate: the learning rate.
      seed: which of the seeds; the first ones are for tuning, the others race.
      steps: steps done by then.
      loss: mean training loss since the look before.
      val_loss, val_score, test_score: as in `Look`; scores are NaN once the run has diverged.
    """

    rate: float
    seed: int
    steps: np.ndarray
    loss: np.ndarray
    val_loss: np.ndarray
    val_score: np.ndarray
    test_score: np.ndarray

    @property
    def diverged(self) -> bool:
        """Whether a loss was not finite at any look."""
        return not (np.isfinite(self.loss).all() and np.isfinite(self.val_loss).all())


class Arena(NamedTuple):
    """What all contestants share.

    Attributes:
      task: the data, the loss and the score.
      net: the network.
      devices: those that work.
      lanes: how many runs one call holds.
      starts: initial weights and batches of each seed.
      data: the task's arrays, on every device.
      look: the compiled measurement.
    """

    task: Task
    net: Layer
    devices: list[Any]
    lanes: int
    starts: Start
    data: Any
    look: Callable[..., Look]


class Lane(NamedTuple):
    """One run to be done: its learning rate and its seed."""

    rate: float
    seed: int


def make_arena(
    task: Task, net: Layer, key: jax.Array, *, seeds: int, steps: int, batch_size: int, most: int
) -> Arena:
    """Draw the weights and the batches of all seeds, and put the data in place.

    Args:
      task: what is learned.
      net: the network.
      key: seeds everything.
      seeds: how many seeds, the one for tuning included.
      steps: of the longest run.
      batch_size: examples a step.
      most: how many runs an accelerator does at once; a CPU does one on each device.
    """
    devices = jax.devices()
    count = len(devices)
    lanes = count if devices[0].platform == "cpu" else -(-most // count) * count
    n = examples(task.data.x_train)
    starts = make_starts(net, task.data.x_train, n=n, steps=steps, batch_size=batch_size)
    keys = jax.vmap(lambda seed: jax.random.fold_in(key, seed))(jnp.arange(seeds))
    drawn = jax.jit(starts)(keys)
    dealt, shared = placements(devices)
    data = jax.device_put(task.data, shared)
    first = jax.device_put(_pick(drawn, [0] * lanes), dealt)
    look = make_look(net, task, devices).lower((first.params, first.state), data).compile()
    return Arena(task, net, devices, lanes, drawn, data, look)


def compile_all(
    arena: Arena, contestants: Sequence[Contestant], done: Callable[[int, Any, float], None]
) -> None:
    """Compile every contestant's program, several at a time, and report each with its seconds.

    Tracing stays in this thread, where the caller's settings hold; XLA's part goes to others.
    `done(index, program, seconds)` is called as they are ready, in order.
    """
    pool = ThreadPoolExecutor(max(2, len(arena.devices)))

    def finish(lowered, spent):
        begun = time.perf_counter()
        return lowered.compile(), spent + time.perf_counter() - begun

    try:
        waiting = []
        for index, contestant in enumerate(contestants):
            begun = time.perf_counter()
            dealt = _enter(arena, contestant.make, [Lane(1e-3, 0)])
            program = make_stretch(arena.net, arena.task, contestant.make, arena.devices)
            lowered = program.lower(dealt, (_count(arena, 0), arena.data))
            waiting.append(pool.submit(finish, lowered, time.perf_counter() - begun))
            while waiting and waiting[0].done():
                done(index + 1 - len(waiting), *waiting.pop(0).result())
        while waiting:
            done(len(contestants) - len(waiting), *waiting.pop(0).result())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def run(
    arena: Arena, make: Make, program: Any, lanes: Sequence[Lane], ends: Sequence[int]
) -> tuple[list[Run], float]:
    """Do up to `arena.lanes` runs side by side, with a look after each of `ends` steps.

    Returns:
      The runs, and the seconds that their steps took, the looks not counted.
    """
    rates, states, orders = _enter(arena, make, lanes)
    seconds, columns = 0.0, []
    for count in np.diff(ends, prepend=0):
        count = _count(arena, int(count))
        begun = time.perf_counter()
        states, losses = jax.block_until_ready(
            program((rates, states, orders), (count, arena.data))
        )
        seconds += time.perf_counter() - begun
        look = arena.look((states.params, states.state), arena.data)
        columns.append([np.asarray(part) for part in (losses, *look)])
    table = np.array(columns, np.float64).transpose(2, 1, 0)  # (lanes, quantities, looks)
    return [
        _as_run(lane, np.array(ends), *table[place]) for place, lane in enumerate(lanes)
    ], seconds


def _as_run(lane: Lane, ends: np.ndarray, loss, val_loss, val_score, test_score) -> Run:
    sound = np.logical_and.accumulate(np.isfinite(loss) & np.isfinite(val_loss))
    scores = (np.where(sound, score, np.nan) for score in (val_score, test_score))
    return Run(lane.rate, lane.seed, ends, loss, val_loss, *scores)


def walk(arena: Arena, make: Make, program: Any, lane: Lane, steps: int) -> list[list[np.ndarray]]:
    """The parameters before and after each of the first `steps` steps, as lists of arrays."""
    rates, states, orders = _enter(arena, make, [lane])
    count, path = _count(arena, 1), []
    for _ in range(steps + 1):
        path.append([np.asarray(leaf)[0] for leaf in jax.tree.leaves(states.params)])
        states, _ = program((rates, states, orders), (count, arena.data))
    return path


def _enter(arena: Arena, make: Make, lanes: Sequence[Lane]) -> tuple[Any, Any, Any]:
    """Rates, first states and orders of the lanes, in place; spare lanes repeat the last one."""
    full = [*lanes, *[lanes[-1]] * (arena.lanes - len(lanes))]
    starts = _pick(arena.starts, [lane.seed for lane in full])
    rates = jnp.array([lane.rate for lane in full], jnp.float32)
    states = jax.vmap(lambda rate, start: first_state(make, rate, start))(rates, starts)
    dealt, _ = placements(arena.devices)
    return jax.device_put((rates, states, starts.order), dealt)


def _pick(starts: Start, seeds: Sequence[int]) -> Start:
    return jax.tree.map(lambda a: a[jnp.array(seeds)], starts)


def _count(arena: Arena, count: int) -> jax.Array:
    return jax.device_put(jnp.int32(count), placements(arena.devices)[1])
