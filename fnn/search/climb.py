"""How far a selection goes: all networks in short runs, and the best of them in longer ones."""

import time
from typing import NamedTuple

import jax
import numpy as np

from fnn.search.folds import Folds
from fnn.search.pieces import Pieces
from fnn.search.plan import Plan
from fnn.search.problem import Problem
from fnn.search.trials import (
    KEPT_NOWHERE,
    Table,
    Tables,
    all_tables,
    network_table,
    network_tables,
    next_rung,
)


class Climbed(NamedTuple):
    """What was tried.

    Attributes:
      tables: of the last rung.
      rungs: the plan of each rung and the networks' table, from the shortest runs.
      left_out: in words, what there was no time for; empty if there was.
    """

    tables: Tables
    rungs: list[tuple[Plan, Table]]
    left_out: str


def climb(
    problem: Problem,
    folds: Folds,
    plan: Plan,
    key: jax.Array,
    pieces: Pieces = KEPT_NOWHERE,
    *,
    minutes: float | None = None,
) -> Climbed:
    """Try a plan and, while networks promise more, the rungs above it, within a time.

    Within a time a plan is tried in four parts, each of which has every value of the grid about
    equally often. The first is always tried; what follows begins only if what came before took
    no longer than the time that is left.
    """
    clock = _Clock(minutes)
    parts = [plan] if minutes is None else parts_of(plan)
    null, linear, network = all_tables(problem, folds, parts[0], key, pieces)
    tried, tables = [parts[0]], [network]
    for part in parts[1:]:
        if not clock.has_time():
            break
        tables.append(network_table(problem, folds, part, key, pieces))
        tried.append(part)
    configs = tuple(config for part in tried for config in part.configs)
    whole, plan = plan, plan._replace(configs=configs, deepest=plan.depth)
    network = Table(*(np.concatenate(each) for each in zip(*tables, strict=True)))
    rungs, words = [(plan, network)], ""
    if len(configs) < len(whole.configs):
        words = f" In the time given {len(configs)} of {len(whole.configs)} networks were tried."
    while (more := next_rung(linear, network, plan)) is not None:
        if not clock.has_time():
            words += f" There was no time for runs of {more.steps} steps, which promised more."
            break
        plan, network = more, network_table(problem, folds, more, key, pieces)
        rungs.append((plan, network))
    return Climbed(Tables(null, linear, network), rungs, words)


class _Clock:
    """Time that is given, and what the last stage took of it."""

    def __init__(self, minutes: float | None):
        self.end = None if minutes is None else time.perf_counter() + 60 * minutes
        self.stage = time.perf_counter()

    def has_time(self) -> bool:
        """Whether a stage as long as the last, which ends here, would end in time."""
        now = time.perf_counter()
        took, self.stage = now - self.stage, now
        return self.end is None or now + took <= self.end


def parts_of(plan: Plan, count: int = 4) -> list[Plan]:
    """The plan in parts; of the grid of five pairs of values each has all equally often."""
    n = len(plan.configs)
    order = sorted(range(n), key=lambda i: (i.bit_count() % 2, (i & 0b11001).bit_count() % 2))
    cuts = np.array_split(order, min(count, n))
    return [
        plan._replace(configs=tuple(plan.configs[i] for i in sorted(cut)), deepest=plan.depth)
        for cut in cuts
    ]


def climb_each(
    problem: Problem, folds: Folds, plan: Plan, key: jax.Array, splits: int
) -> tuple[list[Tables], list[Plan]]:
    """Of each block of so many splits the tables and the plan, after the rungs that it deserves."""
    count = folds.splits // splits
    blocks = [range(i * splits, (i + 1) * splits) for i in range(count)]
    tables = all_tables(problem, folds, plan, key)
    parts = [Tables(*(table.of(own) for table in tables)) for own in blocks]
    plans, under_way = [plan] * count, list(range(count))
    while under_way:
        wanted: dict[Plan, list[int]] = {}
        still = []
        for i in under_way:
            more = next_rung(parts[i].linear, parts[i].network, plans[i])
            if more is not None:
                still.append(i)
                plans[i] = more
                wanted.setdefault(more, []).extend(blocks[i])
        found = network_tables(problem, folds, wanted, key) if wanted else {}
        for i in still:
            place = wanted[plans[i]].index(blocks[i][0])
            network = found[plans[i]].of(range(place, place + splits))
            parts[i] = parts[i]._replace(network=network)
        under_way = still
    return parts, plans
