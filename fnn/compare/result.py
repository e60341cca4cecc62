"""What a comparison found: plain statistics of the runs, and the rows of its table."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from fnn.compare.arena import Run
from fnn.compare.contestants import Contestant
from fnn.compare.findings import one_a_name, pairs, ranking, time_to
from fnn.compare.statistics import difference, interval, quartiles


@dataclass
class Log:
    """All that is known of one contestant so far.

    Attributes:
      contestant: who it is.
      compile_seconds: tracing and compiling its program; NaN while that is not done.
      tuning: the runs that chose its learning rate.
      rate: the learning rate chosen; NaN until then.
      races: the runs of the race, one a seed.
      step_us: microseconds a step, one entry a call.
      path_distance: how far its path parts from its peer's; NaN without a peer.
      knobs: the values chosen for the knobs that are tuned beside the learning rate, by name.
      state_bytes: of the optimizer's state. param_bytes: of the parameters that it belongs to.
      failures: stage and reason of each error in its own code; it was left out from then on.
    """

    contestant: Contestant
    compile_seconds: float = math.nan
    tuning: list[Run] = field(default_factory=list)
    rate: float = math.nan
    races: list[Run] = field(default_factory=list)
    step_us: list[float] = field(default_factory=list)
    path_distance: float = math.nan
    knobs: Mapping[str, float] = field(default_factory=dict)
    state_bytes: float = math.nan
    param_bytes: float = math.nan
    failures: list[tuple[str, str]] = field(default_factory=list)


class Row(NamedTuple):
    """One contestant's line in the table; NaN or None where there is nothing to tell.

    Attributes:
      name: of the optimizer.
      by: "fnn", "optax" or "yours".
      learning_rate: the one that tuning chose.
      at_edge: whether it is the smallest or the largest tried, so that a better may lie beyond.
      score: mean test score over the seeds at the end of the race; NaN if any of them diverged.
      score_low, score_high: the 95 % interval of that mean (`fnn.compare.statistics.interval`).
      val_score: mean validation score at the end.
      seeds: how many ran. diverged: how many of them ended in a loss that is not finite.
      steps_to_target: median over the seeds of the steps at the first look at which the validation
        score is at the target; None if half of them or more never reached it.
      seconds_to_target: those steps at the median time of one.
      step_us: median microseconds a step; step_us_low, step_us_high: the quartiles.
      compile_seconds: tracing and compiling.
      path_distance: largest relative distance between this path and the peer's.
      steps_low, steps_high: quartiles over the seeds of the steps to the target; infinite where so
        many never reached it. reached: how many seeds did.
      behind: mean over the seeds of the best contestant's test score less this one's, on the same
        seed; behind_low, behind_high: the 95 % interval of that mean. 0 of the best itself.
      rank: mean rank over the seeds, 1 is best; NaN of a peer that repeats a rule.
      state_bytes: of the optimizer's state. param_bytes: of the parameters that it belongs to.
      knobs: those tuned beside the learning rate, such as "b1=0.95 b2=0.99".
      failure: the stage in which the contestant's own code failed, such as "failed: compile".
    """

    name: str
    by: str
    learning_rate: float
    at_edge: bool
    score: float
    score_low: float
    score_high: float
    val_score: float
    seeds: int
    diverged: int
    steps_to_target: int | None
    seconds_to_target: float | None
    step_us: float
    step_us_low: float
    step_us_high: float
    compile_seconds: float
    path_distance: float
    steps_low: float
    steps_high: float
    reached: int
    behind: float
    behind_low: float
    behind_high: float
    rank: float
    state_bytes: float
    param_bytes: float
    knobs: str
    failure: str


def make_rows(logs: Sequence[Log], target: float) -> list[Row]:
    """A row for each contestant; peers stand together, the best mean test score comes first."""
    ranked = ranking(logs)
    ranks = dict(zip(ranked.names, ranked.ranks, strict=True)) if ranked else {}
    standing = {log.contestant.label for log in one_a_name(logs)}
    rows = [_row(log, target, ranks if log.contestant.label in standing else {}) for log in logs]

    def worth(row):
        return row.score if math.isfinite(row.score) else -math.inf

    if rows:
        leader = logs[max(range(len(rows)), key=lambda place: worth(rows[place]))]
        rows = [_behind(row, log, leader) for row, log in zip(rows, logs, strict=True)]
    best = {row.name: max(worth(other) for other in rows if other.name == row.name) for row in rows}
    lost = {row.name: row.diverged for row in reversed(rows)}
    return sorted(rows, key=lambda row: (-best[row.name], lost[row.name], row.name))


def _row(log: Log, target: float, ranks: Mapping[str, float]) -> Row:
    score = interval([math.nan if run.diverged else run.test_score[-1] for run in log.races])
    low_us, us, high_us = quartiles(log.step_us)
    reach = time_to(log, target)
    steps = int(reach.median) if math.isfinite(reach.median) else None
    tried = loss_by_rate(log.tuning)
    return Row(
        name=log.contestant.name,
        by=log.contestant.by,
        learning_rate=log.rate,
        at_edge=len(tried) > 1 and log.rate in (min(tried), max(tried)),
        score=score.mean,
        score_low=score.low,
        score_high=score.high,
        val_score=float(np.mean([run.val_score[-1] for run in log.races] or [math.nan])),
        seeds=len(log.races),
        diverged=sum(run.diverged for run in log.races),
        steps_to_target=steps,
        seconds_to_target=None if steps is None else steps * us * 1e-6,
        step_us=us,
        step_us_low=low_us,
        step_us_high=high_us,
        compile_seconds=log.compile_seconds,
        path_distance=log.path_distance,
        steps_low=reach.low,
        steps_high=reach.high,
        reached=reach.reached,
        behind=math.nan,
        behind_low=math.nan,
        behind_high=math.nan,
        rank=ranks.get(log.contestant.name, math.nan),
        state_bytes=log.state_bytes,
        param_bytes=log.param_bytes,
        knobs=" ".join(f"{name}={value:.4g}" for name, value in log.knobs.items()),
        failure=f"failed: {log.failures[0][0]}" if log.failures else "",
    )


def _behind(row: Row, log: Log, leader: Log) -> Row:
    gap = difference(*pairs(leader, log))
    return row._replace(behind=gap.mean, behind_low=gap.low, behind_high=gap.high)


def mean_over(runs: Sequence[Run], quantity: str) -> np.ndarray:
    """The mean of a curve over runs, look by look; NaN from where any of them has diverged."""
    return np.mean([getattr(run, quantity) for run in runs], axis=0)


def loss_by_rate(tuning: Sequence[Run]) -> dict[float, float]:
    """Mean final validation loss for each learning rate, in rising order; NaN if a run diverged."""
    by_rate: dict[float, list[float]] = {}
    for run in sorted(tuning, key=lambda run: run.rate):
        by_rate.setdefault(run.rate, []).append(math.nan if run.diverged else run.val_loss[-1])
    return {rate: float(np.mean(losses)) for rate, losses in by_rate.items()}


def default_target(logs: Sequence[Log]) -> float:
    """95 % of the best mean final validation score, so that most can reach it; NaN before a race.

    Where the best score is negative, as R2 may be, the target lies 5 % of its size below it.
    """
    finals = [mean_over(log.races, "val_score")[-1] for log in logs if log.races]
    finals = [score for score in finals if math.isfinite(score)]
    if not finals:
        return math.nan
    return float(max(finals) - 0.05 * abs(max(finals)))


def path_distance(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    r"""How far two paths from one start part, relative to how far they have come.

    .. math:: \max_t \; \lVert \theta_t - \theta'_t \rVert \, / \, \lVert \theta_t - \theta_0 \rVert

    The norm is Euclidean over all parameters together: the largest entry would tell of single
    weights whose gradient is rounding noise, which Adam and its kin blow up to full steps.

    Args:
      ours: lists of arrays, the parameters at each step, the start first.
      theirs: the same of the other, as many steps.

    Returns:
      0 for equal paths, NaN if a path is not finite.

    >>> a = [[np.zeros(2)], [np.array([3.0, 4.0])]]
    >>> path_distance(a, [[np.zeros(2)], [np.array([3.0, 4.5])]])
    0.1
    """

    def apart(left, right):
        gaps = (np.asarray(a, np.float64) - b for a, b in zip(left, right, strict=True))
        return math.sqrt(sum(float(np.sum(gap**2)) for gap in gaps))

    found = 0.0
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        gap, way = apart(mine, other), apart(mine, ours[0])
        if not math.isfinite(gap + way):
            return math.nan
        found = max(found, gap / way if way else (math.inf if gap else 0.0))
    return found


@dataclass(frozen=True)
class Comparison:
    """All that a comparison found; `print` it for the table.

    Attributes:
      rows: a line for each contestant, the best first.
      logs: every run of every contestant, in the order that they were entered.
      target: the validation score that counts as reached.
      settings: data set, network, budget and seeds, for the record.
      machine: versions, device and cores.
      seconds: how long each stage took.
      complete: False if it was interrupted.
    """

    rows: list[Row]
    logs: list[Log]
    target: float
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    seconds: Mapping[str, float]
    complete: bool

    def __str__(self) -> str:
        from fnn.compare.table import as_text

        return as_text(self)

    def __repr__(self) -> str:
        state = "complete" if self.complete else "interrupted"
        return f"<Comparison of {len(self.rows)} optimizers on {self.settings['data']}, {state}>"

    def write(self, out: Any) -> list[str]:
        """Write report.html, the pictures, results.json and results.csv; return their paths."""
        from fnn.compare.files import write

        return write(self, out)
