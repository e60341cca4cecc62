"""What a fit does about a step that is not finite: find it, say where it began, stop or go on.

The steps run as they always do, without looking: a bad one is seen at the end of its chunk, by the
loss or by the weights. Then the chunk is run again from its start, halved and halved again, up to
the state just before the bad step. A step depends on its train state alone, so these are the same
numbers bit for bit, and a run in which all is well pays nothing.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from fnn import processes, trees
from fnn.core import Layer, key_for
from fnn.inspect.faults import Fault, first_nonfinite
from fnn.optim import hyperparameters
from fnn.random import fold_in
from fnn.train.log import Log
from fnn.train.run import Progress
from fnn.train.step import Loss, TrainState

OnNonfinite = Literal["stop", "skip", "reduce"]
IN_A_ROW = 10  # bad steps that a run survives
FACTOR = 0.5  # what "reduce" multiplies the learning rate by

# (train_state, data, count, progress) -> the same after count steps, and whether weights are finite
Advance = Callable[..., tuple[TrainState, Progress, jax.Array]]


class Guard(NamedTuple):
    """What it takes to deal with a bad step.

    Attributes:
      policy: "stop", "skip" or "reduce".
      advance: the compiled chunk of steps.
      data: the training data.
      locate: from the train state before the bad step to the fault, or None.
      watches: whether weights that are not finite are bad; not if they were so from the start.
    """

    policy: OnNonfinite
    advance: Advance
    data: Any
    locate: Callable[[TrainState], Fault | None]
    watches: bool


class Bad(NamedTuple):
    """A bad step, the first of its chunk.

    Attributes:
      before: the train state before it.
      progress: of the steps since the last check, up to there.
      good: steps of the chunk that went well.
    """

    before: TrainState
    progress: Progress
    good: int


def check_policy(policy: Any, start: TrainState) -> None:
    """Raise a `ValueError` unless `fit` knows the policy and can follow it."""
    if policy not in ("stop", "skip", "reduce"):
        raise ValueError(f"fit: on_nonfinite must be 'stop', 'skip' or 'reduce', got {policy!r}")
    if policy == "reduce" and not _rates(start.opt_state):
        raise ValueError(
            "fit: on_nonfinite='reduce' makes the optimizer's learning_rate smaller, but its state"
            " has none; take an optimizer of fnn.optim with a rate, or on_nonfinite='skip'"
        )


def handled(guard: Guard, log: Log, begin: tuple[TrainState, Progress], count: int) -> str | None:
    """Deal with a chunk that went bad: why to stop, or None when the log is fit to go on.

    Args:
      guard: the policy and its means.
      log: of the fit; it stands at the end of the bad chunk.
      begin: the train state and the progress at the chunk's start.
      count: how many steps it has.
    """
    loss_step = log.first_bad
    bad = first_bad_step(guard, *begin, count)
    step = int(bad.before.step) + 1
    if guard.policy == "stop":
        return _why(guard, log, bad, step, loss_step)
    after = "step" if guard.policy == "skip" else "check"
    log.go_back(bad.before, bad.progress, count - bad.good)
    if log.note_fault(step, in_a_row_until=after) > IN_A_ROW:
        why = _why(guard, log, bad, step, loss_step)
        return f"gave up after {IN_A_ROW} bad steps in a row ({guard.policy}): {why}"
    state = bad.before if guard.policy == "skip" else _reduced(log.best, bad.before)
    log.go_on(state._replace(step=bad.before.step + 1))
    return None


def first_bad_step(guard: Guard, state: TrainState, progress: Progress, count: int) -> Bad:
    """The first step of a bad chunk after which the loss or the weights were not finite."""
    good, bad = 0, count
    while bad - good > 1:
        middle = (good + bad) // 2
        later, sums, finite = guard.advance(state, guard.data, middle - good, progress)
        if int(sums.first_bad) or (guard.watches and not finite):
            bad = middle
        else:
            good, state, progress = middle, later, sums
    return Bad(state, progress, good)


def locate(
    net: Layer,
    loss: Loss,
    penalty: Callable[[Any], jax.Array] | None,
    batch_at: Callable[[TrainState, Any], tuple[Any, Any]],
    data: Any,
    before: TrainState,
) -> Fault | None:
    """`first_nonfinite` of the step that follows this train state."""
    x, y = processes.whole(jax.jit(batch_at)(before, data))
    before = processes.whole(before)
    key = fold_in(key_for(before.key, "layers"), before.step)
    params, state = before.params, before.state
    return first_nonfinite(net, params, state, x, y, loss, key=key, penalty=penalty)


def _why(guard: Guard, log: Log, bad: Bad, step: int, loss_step: int) -> str:
    """Why a run stopped at a bad step, where it began, and what to do."""
    try:
        fault = guard.locate(bad.before)
    except Exception as error:  # a network whose layers cannot be looked into still has a reason
        began = f"where it began could not be seen ({type(error).__name__})"
        cure = "try a smaller learning rate, or clip the gradients"
    else:
        began = _began(fault, step)
        cure = fault.cure if fault else "try a smaller learning rate, or clip the gradients"
    if loss_step == 1:  # before anything was learned
        cure = (
            "it had taken no step yet, so look at the data: labels must be from 0 to one less than"
            " the network's outputs, and features of moderate size"
        )
    what = f"the loss was not finite at step {loss_step}"
    if not loss_step:
        what = f"the weights were not finite after step {step}"
    return f"{what}; {began}; best holds the weights of step {log.best_step}; {cure}"


def _began(fault: Fault | None, step: int) -> str:
    if fault is None:
        return (
            f"it began at step {step}, after a loss and gradients that were finite: in the update"
        )
    return f"it began at step {step} {fault.where()}"


def _rates(opt_state: Any) -> set[str]:
    """The paths of the learning rates in a state."""
    return {p for p in hyperparameters(opt_state) if p.split("/")[-1] == "learning_rate"}


def _reduced(best: TrainState, before: TrainState) -> TrainState:
    """The best train state with learning rates that are smaller than those before the bad step."""
    rates, old = _rates(best.opt_state), trees.paths(before.opt_state)

    def leaf(path, a):
        return jnp.asarray(old[path] * FACTOR, a.dtype) if path in rates else a

    return best._replace(opt_state=trees.map_with_path(leaf, best.opt_state))
