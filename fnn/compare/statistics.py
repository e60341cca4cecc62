"""The statistics of a comparison: intervals, paired differences, times to a target, budgets.

Plain NumPy on plain numbers; nothing here knows what a run is. All of it is exact or deterministic:
the same numbers give the same report.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

FEW = 8  # below so many values the bootstrap has too little to draw from


class Interval(NamedTuple):
    """A mean and the interval that covers the true one at the level asked for.

    Attributes:
      mean, low, high: in the units of the values; low and high are NaN of fewer than two values,
        and all three if any value is not finite.
      method: "Student's t" or "bootstrap-t".
    """

    mean: float
    low: float
    high: float
    method: str


def interval(values: Any, *, level: float = 0.95) -> Interval:
    """The interval of a mean: Student's t of fewer than `FEW` values, the bootstrap-t of more.

    Of 100 intervals at 95 %, each of n independent values (1500 such samples for each entry), so
    many cover the true mean:

    ========  ======  =======  ====  ===========  ==============
    values    n       Student  BCa   percentile   bootstrap-t
    ========  ======  =======  ====  ===========  ==============
    normal    5       96       84    84           95
    normal    8       95       87    88           94
    normal    20      95       92    92           95
    skewed    8       89       85    84           93
    skewed    20      91       91    91           94
    ========  ======  =======  ====  ===========  ==============

    (skewed: exponential). BCa and percentile intervals promise too much of few values, which they
    take for all that there is; the bootstrap-t keeps the promise of Student's and bends with the
    skewness. Of five normal values, though, it is 1.4 times as long as Student's, at worst 7 times;
    of eight 1.1 times. Hence the change at 8.

    Args:
      values: independent measurements, such as one a seed.
      level: how sure the interval is to cover the true mean, in (0, 1).

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapters 12 to 14; Hesterberg
      2015, What Teachers Should Know about the Bootstrap, https://arxiv.org/abs/1411.5279, for
      small samples.

    >>> found = interval([1.0, 2.0, 3.0])
    >>> round(found.low, 3), found.mean, round(found.high, 3), found.method
    (-0.484, 2.0, 4.484, "Student's t")
    """
    mean, half = t_interval(values, level=level)
    if len(values) < FEW or not math.isfinite(mean):
        return Interval(mean, mean - half, mean + half, "Student's t")
    return Interval(mean, *bootstrap_t_interval(values, level=level), "bootstrap-t")


def t_interval(values: Any, *, level: float = 0.95) -> tuple[float, float]:
    r"""The mean of a few values, and half the width of Student's interval around it.

    .. math:: \bar x \pm t_{(1 + level) / 2,\; n - 1} \; s / \sqrt n

    Args:
      values: independent measurements. Of a single one the width is NaN, as of any that holds NaN.
      level: how sure the interval is to cover the true mean, in (0, 1).

    >>> [round(float(v), 4) for v in t_interval([1.0, 2.0, 3.0])]
    [2.0, 2.4841]
    """
    from scipy.special import stdtrit

    n = len(values)
    if n == 0 or not np.isfinite(values).all():
        return math.nan, math.nan
    mean = float(np.mean(values))
    if n == 1:
        return mean, math.nan
    deviation = float(np.std(values, ddof=1))
    return mean, float(stdtrit(n - 1, (1 + level) / 2)) * deviation / math.sqrt(n)


def bootstrap_t_interval(
    values: Any, *, level: float = 0.95, resamples: int = 9999, seed: int = 0
) -> tuple[float, float]:
    r"""The ends of the bootstrap-t interval of a mean: Student's with the t that the values have.

    .. math::
        \Big[\bar x - t^*_{(1 + level) / 2} \, \frac{s}{\sqrt n}, \;
              \bar x - t^*_{(1 - level) / 2} \, \frac{s}{\sqrt n}\Big], \quad
        t^* = \frac{\bar x^* - \bar x}{s^* / \sqrt n}

    where the starred are of samples drawn from the values with replacement, and the indices say
    quantiles. Samples of equal values have no t and are left out.

    Args:
      values: independent measurements, two or more, all finite; equal ones give a width of 0.
      level: how sure the interval is to cover the true mean, in (0, 1).
      resamples: how many samples are drawn.
      seed: of the draws.

    Source: Efron & Tibshirani 1993, section 12.5.

    >>> low, high = bootstrap_t_interval(np.arange(30.0))
    >>> bool(10.9 < low < 11.5 < 17.5 < high < 18.1)
    True
    """
    values = np.asarray(values, float)
    mean, error = values.mean(), values.std(ddof=1) / math.sqrt(len(values))
    if np.ptp(values) == 0:
        return float(mean), float(mean)
    draws = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    samples = values[draws]
    samples = samples[np.ptp(samples, axis=1) > 0]
    errors = samples.std(axis=1, ddof=1) / math.sqrt(len(values))
    t = (samples.mean(axis=1) - mean) / errors
    high, low = mean - error * np.quantile(t, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def difference(ours: Any, theirs: Any, *, level: float = 0.95) -> Interval:
    """The interval of the mean difference `ours - theirs` of paired values, such as one a seed.

    What the pairs share, such as initial weights and batches, is in both and leaves the difference:
    the interval is the shorter the more they share. Where a value is not finite all is NaN.

    Source: as of `interval`, of the differences (Efron & Tibshirani 1993, section 8.3: what is
      resampled is the pair).

    >>> found = difference([0.91, 0.95, 0.93], [0.90, 0.94, 0.92])
    >>> round(found.low, 6), round(found.high, 6)
    (0.01, 0.01)
    """
    return interval(np.asarray(ours, float) - np.asarray(theirs, float), level=level)


def sign_flip_p(differences: Any) -> float:
    r"""How often paired differences with random signs have a mean as far from 0.

    .. math:: p = 2^{-n} \, \#\{s \in \{-1, 1\}^n : |\sum s_i d_i| \ge |\sum d_i|\}

    It assumes nothing but that the difference is as likely to have either sign if the two are
    alike. The least it can be is :math:`2^{1 - n}`: of five pairs, 0.0625. Of up to 16 pairs all
    signs are taken; of more 65535 draws and the signs as they are, which never understates p.

    Args:
      differences: of the pairs, one or more; NaN of none, or if one is not finite.

    Source: Fisher 1935, The Design of Experiments, section 21; Efron & Tibshirani 1993, chapter 15;
      for the draws Phipson & Smyth 2010, https://doi.org/10.2202/1544-6115.1585

    >>> sign_flip_p([1.0, 2.0, 3.0]), sign_flip_p([0.0, 0.0])
    (0.25, 1.0)
    """
    gaps = np.asarray(differences, float)
    if not len(gaps) or not np.isfinite(gaps).all():
        return math.nan
    if len(gaps) > 16:
        signs = np.random.default_rng(0).integers(2, size=(65535, len(gaps))) * 2 - 1
        sums = np.append(signs @ gaps, gaps.sum())
    else:
        sums = np.zeros(1)
        for gap in gaps:
            sums = np.concatenate([sums + gap, sums - gap])
    slack = 1e-12 * np.abs(gaps).sum()
    return float(np.mean(np.abs(sums) >= abs(gaps.sum()) - slack))


class Reach(NamedTuple):
    """When the runs of a contestant reached a target.

    Attributes:
      steps: when each run did, in the order given; infinite for one that never did.
      low, median, high: quartiles over all runs; infinite where so many never did.
    """

    steps: list[float]
    low: float
    median: float
    high: float

    @property
    def reached(self) -> int:
        """How many did."""
        return sum(math.isfinite(step) for step in self.steps)


def reach(steps: Any, scores: Sequence[Any], target: float) -> Reach:
    """When each run reached the target, and the quartiles of that.

    A run that never reached it took longer than the race and counts so. All races are of one
    length, so that Kaplan and Meier's curve of those that have not yet reached it is 1 less the
    share of those that have, and the quartiles need no model.

    Args:
      steps: (looks,) after how many steps the runs were looked at, the same for all.
      scores: a curve a run, (looks,) each; the first at the target or above counts.
      target: the score that counts as reached; NaN never is.

    Source: Kaplan & Meier 1958, https://doi.org/10.2307/2281868; quartiles are order statistics
      (type 1 of Hyndman & Fan 1996), for no mean can be taken with what is infinite.

    >>> reach([10, 20, 30], [[0.5, 0.9, 0.8], [0.9, 0.9, 0.9], [0.1, 0.2, 0.3]], 0.85)
    Reach(steps=[20.0, 10.0, inf], low=10.0, median=20.0, high=inf)
    """
    found = [float(next((s for s, score in zip(steps, run, strict=True) if score >= target),
                        math.inf)) for run in scores]  # fmt: skip
    if not found:
        return Reach([], math.nan, math.nan, math.nan)
    low, median, high = (
        sorted(found)[max(0, math.ceil(share * len(found)) - 1)] for share in (0.25, 0.5, 0.75)
    )
    return Reach(found, low, median, high)


def expected_best(values: Sequence[float]) -> np.ndarray:
    r"""The expected best of 1, 2, ..., n settings drawn from the n that were tried; exact.

    .. math:: E[\max_{i \le k} V_i] = \sum_{j=1}^{n} v_{(j)} \,
        \Big[\Big(\frac{j}{n}\Big)^k - \Big(\frac{j - 1}{n}\Big)^k\Big]

    It answers what a smaller budget for tuning would have found, and how soon more of it is wasted.
    Settings are drawn with replacement, so even of n the expectation lies below the best value.

    Args:
      values: the score of each setting, finite; more is better.

    Returns:
      (n,) the expectation for each number of settings; it never falls.

    Source: Dodge et al. 2019, Show Your Work, section 3.1, https://arxiv.org/abs/1909.03004

    >>> expected_best([0.0, 1.0])
    array([0.5 , 0.75])
    """
    v = np.sort(np.asarray(values, float))
    n = len(v)
    share = np.arange(n + 1) / max(n, 1)
    return np.array([np.sum(v * np.diff(share**k)) for k in range(1, n + 1)])


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile; NaN of nothing."""
    if not len(values):
        return math.nan, math.nan, math.nan
    low, middle, high = np.percentile(values, [25, 50, 75])
    return float(low), float(middle), float(high)
