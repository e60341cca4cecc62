"""The budget of a comparison, the same for every contestant."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fnn.compare.knobs import FINER
from fnn.train.run import check_budget


class Plan(NamedTuple):
    """The budget.

    Attributes:
      batch_size: examples a step.
      steps: of a race.
      tune_steps: of a tuning run.
      seeds: runs a race.
      tune_seeds: runs for each learning rate, with seeds of their own.
      rates: learning rates that all try.
      refine: factors around the best of them that all try then.
      trials: settings of the knobs, or finer learning rates, that all try last.
    """

    batch_size: int
    steps: int
    tune_steps: int
    seeds: int
    tune_seeds: int
    rates: tuple[float, ...]
    refine: tuple[float, ...]
    trials: int

    @property
    def rounds(self) -> tuple[int, int, int]:
        """How many settings each round of tuning tries."""
        return len(self.rates), len(self.refine), self.trials


class Costs(NamedTuple):
    """What work costs on this machine, in seconds.

    Attributes:
      steps: a step of each contestant, all lanes at once.
      look: a look, the same for all.
      call: what a call needs beside its steps and looks.
    """

    steps: tuple[float, ...]
    look: float
    call: float


def make_plan(
    n: int,
    *,
    epochs: float | None,
    tune_epochs: float | None,
    batch_size: int | None,
    seeds: int,
    tune_seeds: int,
    rates: Sequence[float],
    refine: Sequence[float],
    trials: int,
) -> Plan:
    """The budget for n training examples, from what the caller of `compare` gave.

    Raises:
      ValueError: if it cannot be.
    """
    batch_size = min(128, max(1, n // 4)) if batch_size is None else batch_size
    check_budget(1, batch_size, n)
    a_pass = n / batch_size
    epochs = max(10.0, 300 / a_pass) if epochs is None else epochs
    tune_epochs = 0.3 * epochs if tune_epochs is None else tune_epochs
    if epochs <= 0 or tune_epochs <= 0:
        raise ValueError(f"compare: epochs must be > 0, got {epochs} and {tune_epochs} for tuning")
    if min(seeds, tune_seeds) < 1:
        raise ValueError(
            f"compare: seeds and tune_seeds must be at least 1, got {seeds} and {tune_seeds}"
        )
    rates, refine = tuple(map(float, rates)), tuple(map(float, refine))
    if not rates or not all(0 < value < math.inf for value in (*rates, *refine)):
        raise ValueError(
            f"compare: rates must be positive numbers, at least one, and refine positive factors;"
            f" got {rates} and {refine}"
        )
    if not 0 <= trials <= len(FINER):
        raise ValueError(f"compare: trials must be from 0 to {len(FINER)}, got {trials}")
    steps, tune_steps = (math.ceil(passes * a_pass) for passes in (epochs, tune_epochs))
    return Plan(batch_size, steps, tune_steps, seeds, tune_seeds, rates, refine, trials)


def seconds_of(plan: Plan, costs: Costs, lanes: int) -> float:
    """How long tuning and race take all contestants together.

    >>> seconds_of(Plan(8, 100, 30, 3, 1, (0.1, 1.0), (), 0), Costs((0.1, 0.3), 0.5, 0.0), 2)
    113.0
    """
    tunes = sum(-(-count * plan.tune_seeds // lanes) for count in plan.rounds)
    races = -(-plan.seeds // lanes)
    looks = tunes + races * len(look_steps(plan.steps))
    others = len(costs.steps) * (looks * costs.look + (tunes + races) * costs.call)
    return sum(costs.steps) * (tunes * plan.tune_steps + races * plan.steps) + others


def fitted(plan: Plan, costs: Costs, lanes: int, seconds: float) -> tuple[Plan, list[str]]:
    """The plan cut to fit the time, and what was cut, in words.

    First tuning loses its seeds but one; then race and tuning runs get shorter by one factor. No
    contestant, setting or racing seed is left out, and all keep the same budget. Runs are not cut
    below a tenth of the plan: if that still takes too long, the words say how long.

    >>> plan = Plan(8, 100, 30, 3, 2, (0.1, 1.0), (), 0)
    >>> cut, words = fitted(plan, Costs((0.1, 0.3), 0.5, 0.0), 2, 60.0)
    >>> cut.tune_seeds, cut.steps, cut.tune_steps, words[0]
    (1, 42, 12, 'tuning: 1 run of each setting, not 2')
    """
    if seconds_of(plan, costs, lanes) <= seconds:
        return plan, []
    cut, words = plan._replace(tune_seeds=1), []
    if plan.tune_seeds > 1:
        words.append(f"tuning: 1 run of each setting, not {plan.tune_seeds}")
    parts = 100
    while seconds_of(cut, costs, lanes) > seconds and parts > 10:
        parts -= 1
        steps, tune_steps = (
            max(1, count * parts // 100) for count in (plan.steps, plan.tune_steps)
        )
        cut = cut._replace(steps=steps, tune_steps=tune_steps)
    if cut.steps < plan.steps:
        words.append(
            f"{cut.steps} steps a race and {cut.tune_steps} a tuning run,"
            f" not {plan.steps} and {plan.tune_steps}"
        )
    needed = seconds_of(cut, costs, lanes)
    if needed > seconds:
        words.append(f"and still this takes about {needed / 60:.0f} minutes; race fewer optimizers")
    return cut, words


def look_steps(steps: int, looks: int | None = None) -> list[int]:
    """After how many steps to look, closer together early on, where curves are steep.

    >>> look_steps(600, 5)
    [54, 152, 279, 429, 600]
    """
    looks = min(20, max(10, steps // 20)) if looks is None else looks
    ends = steps * (np.arange(1, looks + 1) / looks) ** 1.5
    return sorted({max(1, round(float(end))) for end in ends})
