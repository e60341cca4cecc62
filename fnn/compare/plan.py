"""The budget of a comparison, the same for every contestant."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

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
    """

    batch_size: int
    steps: int
    tune_steps: int
    seeds: int
    tune_seeds: int
    rates: tuple[float, ...]
    refine: tuple[float, ...]


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
    steps, tune_steps = (math.ceil(passes * a_pass) for passes in (epochs, tune_epochs))
    return Plan(batch_size, steps, tune_steps, seeds, tune_seeds, rates, refine)


def look_steps(steps: int, looks: int | None = None) -> list[int]:
    """After how many steps to look, closer together early on, where curves are steep.

    >>> look_steps(600, 5)
    [54, 152, 279, 429, 600]
    """
    looks = min(20, max(10, steps // 20)) if looks is None else looks
    ends = steps * (np.arange(1, looks + 1) / looks) ** 1.5
    return sorted({max(1, round(float(end))) for end in ends})
