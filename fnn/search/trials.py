"""The trials of a selection: null, linear and network models on the same splits, as tables of loss.

The networks are lanes of one program for each width: a lane is a configuration on a split. It
standardises by its own training rows, trains, and measures what is held out at every check.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from fnn.search.folds import Folds
from fnn.search.linear import linear_outputs, null_weights, ridge_path
from fnn.search.pieces import Pieces
from fnn.search.plan import ACTIVATIONS, Config, Plan
from fnn.search.problem import Problem, Scaling, scaling_of
from fnn.search.programs import Shape, logistic_program, train_program, trial_program
from fnn.trees import fingerprint

KEPT_NOWHERE = Pieces(None, "")


class Table(NamedTuple):
    """What a family of models does on the splits.

    Attributes:
      loss: (candidates, splits) what is chosen by: the mean log loss, or the mean squared error in
        units of the target's variance.
      error: (candidates, splits) what is reported: the share of wrong classes, or as the loss.
    """

    loss: np.ndarray
    error: np.ndarray

    def of(self, splits: Sequence[int]) -> "Table":
        """The columns of these splits."""
        return Table(*(a[:, list(splits)] for a in self))


class Tables(NamedTuple):
    """The tables of all families on the same splits.

    Attributes:
      null: the null model's, of one row.
      linear: that of the linear models, a row for each of `DECAYS`.
      network: that of a plan's configurations and, within each, its checks.
    """

    null: Table
    linear: Table
    network: Table


def next_rung(linear: Table, network: Table, plan: Plan) -> Plan | None:
    """The plan to go on with, where networks are promising and the best of them still improves.

    Promising: its loss is below the linear models', or fell by a tenth over the run's second half.
    """
    means = finite_means(network.loss).reshape(-1, plan.checks)
    best, check = np.unravel_index(np.argmin(means), means.shape)
    if check + 1 < 0.75 * plan.checks:
        return None
    falls = means[best, check] < 0.9 * means[best, plan.checks // 2 - 1]
    promising = falls or means.min() < finite_means(linear.loss).min()
    return plan.next_rung(means) if promising else None


def finite_means(losses: np.ndarray) -> np.ndarray:
    """The mean of each row, infinite where one is not finite."""
    means = losses.mean(1)
    return np.where(np.isfinite(means), means, np.inf)


def all_tables(
    problem: Problem, folds: Folds, plan: Plan, key: jax.Array, pieces: Pieces = KEPT_NOWHERE
) -> Tables:
    """The tables of the null model, the linear models and the networks, computed side by side."""
    with ThreadPoolExecutor(max_workers=1) as pool:  # XLA compiles outside of Python's lock
        linear = pool.submit(linear_tables, problem, folds)
        network = network_table(problem, folds, plan, key, pieces)
        return Tables(*linear.result(), network)


def linear_tables(problem: Problem, folds: Folds) -> tuple[Table, Table]:
    """The tables of the null model and of the linear ones, a row for each of `DECAYS`."""
    null, path = [], []
    scaled = [scaling_of(problem.x[rows]) for rows in folds.rows]
    weights = linear_weights(problem, folds.rows, scaled)
    for split, (scale, of) in enumerate(zip(scaled, weights, strict=True)):
        rows, kept = folds.of(split)
        x, y = scale(problem.x[kept]), problem.y[kept]
        nothing = null_weights(x, problem.y[rows], classes=_count(problem))
        null.append(measure(linear_outputs(x, nothing)[None], y, problem))
        path.append(measure(linear_outputs(x, of), y, problem))
    return _table(null), _table(path)


def _table(measured: list) -> Table:
    losses, errors = zip(*measured, strict=True)
    return Table(np.stack(losses, 1), np.stack(errors, 1))


def _count(problem: Problem) -> int | None:
    return None if problem.classes is None else len(problem.classes)


def measure(outputs: np.ndarray, y: np.ndarray, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The mean loss and error of each model: outputs (models, rows, outputs) -> two (models,)."""
    if problem.classes is None:
        loss = ((outputs[..., 0] - y) ** 2).mean(-1)
        return loss, loss
    top = outputs.max(-1, keepdims=True)
    logs = outputs - top - np.log(np.exp(outputs - top).sum(-1, keepdims=True))
    loss = -np.take_along_axis(logs, y[None, :, None], -1)[..., 0].mean(-1)
    return loss, (outputs.argmax(-1) != y).mean(-1)


def linear_weights(problem: Problem, rows: np.ndarray, scaled: list[Scaling]) -> np.ndarray:
    """(lanes, decays, d + 1, outputs) weights for inputs standardised so, of each lane's rows."""
    if problem.classes is None:
        pairs = zip(scaled, rows, strict=True)
        return np.stack([ridge_path(scale(problem.x[own]), problem.y[own]) for scale, own in pairs])
    mean, scale = (np.stack([getattr(s, name) for s in scaled]) for name in ("mean", "scale"))
    weight = np.zeros((len(rows), len(problem.x)), np.float32)
    np.put_along_axis(weight, rows, 1.0, 1)
    lanes = logistic_program(len(problem.classes))
    return np.asarray(lanes(weight, mean, scale, shared=(problem.x, problem.y)), float)


def network_table(
    problem: Problem, folds: Folds, plan: Plan, key: jax.Array, pieces: Pieces = KEPT_NOWHERE
) -> Table:
    """The table of the networks: row `config * checks + check`, in the order of the plan."""
    return network_tables(problem, folds, {plan: range(folds.splits)}, key, pieces)[plan]


def network_tables(
    problem: Problem,
    folds: Folds,
    plans: Mapping[Plan, Sequence[int]],
    key: jax.Array,
    pieces: Pieces = KEPT_NOWHERE,
) -> dict[Plan, Table]:
    """The table of each plan on splits of its own; the plans differ in their configurations alone.

    What a configuration does on a split depends on nothing else: a table is the same among others.
    """
    lanes = [
        (plan, config, split)
        for plan, splits in plans.items()
        for config in plan.configs
        for split in splits
    ]
    any_plan = next(iter(plans))
    loss, error = np.empty((2, len(lanes), any_plan.checks))

    def trials(width):
        own = [i for i, (_, config, _) in enumerate(lanes) if config.width == width]
        settings = _settings([lanes[i][1] for i in own])
        split = np.asarray([lanes[i][2] for i in own], np.int32)

        def compute():
            program = trial_program(_shape(problem, any_plan, width))
            shared = problem.x, problem.y, key, any_plan.ends()
            return program(settings, split, *(a[split] for a in folds[:3]), shared=shared)

        which = fingerprint(repr([lanes[i][1:] for i in own]))[:8]
        return own, pieces(f"{any_plan.steps}-steps-{width}-wide-{which}", compute)

    widths = sorted({config.width for _, config, _ in lanes}, reverse=True)
    with ThreadPoolExecutor(max_workers=len(widths)) as pool:
        for own, found in pool.map(trials, widths):
            loss[own], error[own] = found
    tables, begin = {}, 0
    for plan, splits in plans.items():
        end = begin + len(plan.configs) * len(splits)
        size = len(plan.configs), len(splits), plan.checks
        parts = (a[begin:end].reshape(size).transpose(0, 2, 1) for a in (loss, error))
        tables[plan], begin = Table(*(a.reshape(-1, len(splits)) for a in parts)), end
    return tables


def train_networks(
    problem: Problem, rows: np.ndarray, plan: Plan, chosen: Sequence[tuple[Config, int]], key: Any
) -> list[tuple[Any, Scaling]]:
    """Train configurations on rows of their own, each for a number of steps of its own.

    Args:
      problem: the data.
      rows: (lanes, n) the rows of each.
      plan: as of the trials; its `steps` are the length of the cosine.
      chosen: a configuration and a number of steps for each lane.
      key: seeds the runs.

    Returns:
      For each lane the parameters and the scaling.
    """
    found: list[Any] = [None] * len(chosen)
    for width in sorted({config.width for config, _ in chosen}):
        own = [i for i, (config, _) in enumerate(chosen) if config.width == width]
        settings = _settings([chosen[i][0] for i in own])
        counts = np.asarray([chosen[i][1] for i in own], np.int32)
        program = train_program(_shape(problem, plan, width))
        shared = (problem.x, problem.y, key, np.int32(plan.steps))
        trained = program(settings, counts, np.asarray(own, np.int32), rows[own], shared=shared)
        for place, lane in enumerate(own):
            found[lane] = jax.tree.map(lambda a, place=place: a[place], trained)
    return found


def _shape(problem: Problem, plan: Plan, width: int) -> Shape:
    return Shape(_count(problem), width, plan.depth, plan.batch_size)


def _settings(configs: list[Config]) -> dict[str, np.ndarray]:
    """What is traced of configurations, one a lane."""
    names = list(ACTIVATIONS)
    return {
        "depth": np.asarray([c.depth for c in configs], np.int32),
        "activation": np.asarray([names.index(c.activation) for c in configs], np.int32),
        "decay": np.asarray([c.decay for c in configs], np.float32),
        "rate": np.asarray([c.rate for c in configs], np.float32),
    }
