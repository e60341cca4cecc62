"""What the runs of a comparison say: each part of the report, as numbers and words."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fnn.compare.ranking import Friedman, cliques, critical_difference, friedman
from fnn.compare.statistics import Interval, Reach, difference, expected_best, reach, sign_flip_p

if TYPE_CHECKING:
    from fnn.compare.arena import Run
    from fnn.compare.result import Log

ROUNDING = 1e-3  # paths that part by less, relative to their way, part by float32 rounding


def final_scores(log: "Log") -> dict[int, float]:
    """The test score at the end of the race by seed; NaN of a run that diverged."""
    return {run.seed: math.nan if run.diverged else float(run.test_score[-1]) for run in log.races}


def pairs(ours: "Log", theirs: "Log") -> tuple[list[float], list[float]]:
    """The final test scores of two contestants at the seeds that both ran."""
    left, right = final_scores(ours), final_scores(theirs)
    seeds = [seed for seed in left if seed in right]
    return [left[seed] for seed in seeds], [right[seed] for seed in seeds]


def paired(ours: "Log", theirs: "Log") -> Interval:
    """The interval of the mean paired difference of their final test scores."""
    return difference(*pairs(ours, theirs))


def one_a_name(logs: Sequence["Log"]) -> list["Log"]:
    """The contestants without the peers that repeat a rule: of each name the first that is ours.

    A rule that races twice would take two ranks and two places in every picture.
    """
    chosen: dict[str, Log] = {}
    for log in sorted(logs, key=lambda log: log.contestant.by == "optax"):
        chosen.setdefault(log.contestant.name, log)
    return [log for log in logs if chosen[log.contestant.name] is log]


class Ranking(NamedTuple):
    """How the contestants rank over the seeds.

    Attributes:
      names: the best mean rank first.
      ranks: their mean ranks, 1 is best.
      test: of whether all are alike; its mean ranks stand in the order of entry.
      distance: the critical difference between two mean ranks.
      groups: first and last place of each group that the test cannot tell apart.
      seeds: over how many.
    """

    names: list[str]
    ranks: list[float]
    test: Friedman
    distance: float
    groups: list[tuple[int, int]]
    seeds: int


def ranking(logs: Sequence["Log"]) -> Ranking | None:
    """Rank them by final test score on each seed; None of fewer than two contestants or seeds.

    A run that diverged ranks last. Seeds that not all have run, after an interruption, count not.
    """
    raced = [log for log in one_a_name(logs) if log.races]
    scores = [final_scores(log) for log in raced]
    seeds = [seed for seed in scores[0] if all(seed in of for of in scores)] if scores else []
    if len(raced) < 2 or len(seeds) < 2:
        return None
    test = friedman([[of[seed] for of in scores] for seed in seeds])
    order = np.argsort(test.mean_ranks, kind="stable")
    distance = critical_difference(len(raced), len(seeds))
    mean = [float(test.mean_ranks[place]) for place in order]
    names = [raced[place].contestant.name for place in order]
    return Ranking(names, mean, test, distance, cliques(mean, distance), len(seeds))


def time_to(log: "Log", target: float) -> Reach:
    """When each of its races reached the target."""
    steps = log.races[0].steps if log.races else []
    return reach(steps, [run.val_score for run in log.races], target)


class RatePoint(NamedTuple):
    """How the tuning runs at one learning rate ended.

    Attributes:
      rate: the learning rate.
      loss: mean final validation loss of the runs that did not diverge; NaN if all did.
      low, high: the least and the largest of them.
      runs: how many there were. diverged: how many of them ended in a loss that is not finite.
    """

    rate: float
    loss: float
    low: float
    high: float
    runs: int
    diverged: int


def sensitivity(log: "Log") -> list[RatePoint]:
    """How the tuning runs ended at each learning rate, in rising order.

    Where other knobs were tuned too, those runs count that had them as most rates were tried with.
    """
    points = []
    tried = [_knobs(run) for run in log.tuning]
    usual = max(tried, key=tried.count, default=())
    some = [run for run in log.tuning if _knobs(run) == usual]
    for rate in sorted({run.rate for run in some}):
        runs = [run for run in some if run.rate == rate]
        ends = [float(run.val_loss[-1]) for run in runs if not run.diverged]
        mean = float(np.mean(ends)) if ends else math.nan
        low, high = min(ends, default=math.nan), max(ends, default=math.nan)
        points.append(RatePoint(rate, mean, low, high, len(runs), len(runs) - len(ends)))
    return points


def chosen_loss(log: "Log") -> float:
    """The mean final validation loss of the setting that tuning chose; NaN if it diverged."""
    runs = [
        run for run in log.tuning if run.rate == log.rate and dict(run.knobs) == dict(log.knobs)
    ]
    if not runs or any(run.diverged for run in runs):
        return math.nan
    return float(np.mean([run.val_loss[-1] for run in runs]))


def _knobs(run: "Run") -> tuple[tuple[str, float], ...]:
    return tuple(sorted(run.knobs.items()))


def settings_tried(log: "Log") -> list[float]:
    """The mean final validation score of each setting that tuning tried; NaN where one diverged."""
    tried: dict[Any, list[float]] = {}
    for run in log.tuning:
        score = math.nan if run.diverged else float(run.val_score[-1])
        tried.setdefault((run.rate, _knobs(run)), []).append(score)
    return [float(np.mean(scores)) for scores in tried.values()]


def budgets(logs: Sequence["Log"]) -> dict[str, np.ndarray]:
    """The expected best validation score of k settings, for k = 1 to all, by name.

    A setting that diverged counts as the worst at which any setting of anyone ended.
    """
    tried = {log.contestant.name: settings_tried(log) for log in one_a_name(logs) if log.tuning}
    finite = [score for scores in tried.values() for score in scores if math.isfinite(score)]
    worst = min(finite, default=0.0)
    return {
        name: expected_best([score if math.isfinite(score) else worst for score in scores])
        for name, scores in tried.items()
    }


class Peer(NamedTuple):
    """Ours beside optax's of the same name.

    Attributes:
      name: of both.
      gap: ours less optax's, in final test score, paired by seed.
      p: of the exact test of random signs (`fnn.compare.statistics.sign_flip_p`).
      path: how far their paths part, relative to the way from the start.
      words: what that says.
    """

    name: str
    gap: Interval
    p: float
    path: float
    words: str


def peers(logs: Sequence["Log"]) -> list[Peer]:
    """Each of ours that raced with a peer of its name, and whether they differ."""
    theirs = {log.contestant.name: log for log in logs if log.contestant.by == "optax"}
    found = []
    for log in logs:
        name, by = log.contestant.name, log.contestant.by
        if by != "fnn" or name not in theirs:
            continue
        left, right = pairs(log, theirs[name])
        gap = difference(left, right)
        p = sign_flip_p(np.subtract(left, right))
        words = verdict(left, right, log.path_distance)
        found.append(Peer(name, gap, p, log.path_distance, words))
    return found


def verdict(ours: Sequence[float], theirs: Sequence[float], path: float) -> str:
    """Whether two contestants differ, from paired scores and the distance of their paths.

    >>> verdict([0.9, 0.8], [0.9, 0.8], 1e-6)
    'no difference: equal scores on every seed'
    >>> verdict([0.9, 0.8, 0.7], [0.9, 0.7, 0.8], 1e-6)
    'no difference beyond rounding'
    """
    gap = difference(ours, theirs)
    rounding = path <= ROUNDING
    if not len(ours):
        return "paths agree to rounding; no races" if rounding else "not run"
    if list(ours) == list(theirs):
        return "no difference: equal scores on every seed"
    if not math.isfinite(gap.mean):
        return "a run diverged: scores cannot be compared"
    if not math.isfinite(gap.low):
        return "paths agree to rounding; one seed" if rounding else "one seed says nothing"
    if gap.low <= 0 <= gap.high:
        return "no difference beyond rounding" if rounding else "no difference found"
    return "paths agree to rounding, scores differ" if rounding else "they differ"


class Failure(NamedTuple):
    """Something that went wrong: for whom, in which stage, and what."""

    label: str
    stage: str
    what: str


def failures(logs: Sequence["Log"], seeds: int) -> list[Failure]:
    """All that failed: errors, races that diverged, what was not run; last, tuning runs."""
    found, tuning = [], []
    for log in logs:
        label = log.contestant.label
        found += [Failure(label, stage, what) for stage, what in log.failures]
        rates = sorted({run.rate for run in log.tuning if run.diverged})
        if rates:
            count = sum(run.diverged for run in log.tuning)
            at = ", ".join(f"{rate:.2g}" for rate in rates)
            what = f"{count} of {len(log.tuning)} runs diverged, at {at}"
            tuning.append(Failure(label, "tuning", what))
        for run in log.races:
            if run.diverged:
                found.append(Failure(label, "race", f"seed {run.seed} diverged {_when(run)}"))
        if len(log.races) < seeds and not log.failures:
            found.append(Failure(label, "race", f"{len(log.races)} of {seeds} seeds were run"))
    return found + tuning


def _when(run: "Run") -> str:
    bad = ~(np.isfinite(run.loss) & np.isfinite(run.val_loss))
    return f"by step {int(np.asarray(run.steps)[bad][0])}"
