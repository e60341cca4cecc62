"""Ranks of contestants over repetitions, and how far apart they must be to be told apart."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


def ranks(scores: Any) -> np.ndarray:
    """Ranks within each row, 1 for the highest score; ties share the mean of theirs, NaN is last.

    Shapes:
      scores: (blocks, contestants) -> the same. Blocks are what is repeated, such as seeds.

    >>> ranks([[0.9, 0.8, 0.9, float("nan")]])
    array([[1.5, 3. , 1.5, 4. ]])
    """
    from scipy.stats import rankdata

    scores = np.asarray(scores, float)
    return rankdata(np.where(np.isfinite(scores), -scores, np.inf), axis=1)


class Friedman(NamedTuple):
    """Friedman's test of whether all contestants are alike.

    Attributes:
      mean_ranks: (contestants,) over the blocks.
      chi2: Friedman's statistic. f: Iman and Davenport's, less conservative.
      p: the probability of as large an f if all are alike.
    """

    mean_ranks: np.ndarray
    chi2: float
    f: float
    p: float


def friedman(scores: Any) -> Friedman:
    r"""Friedman's test, with Iman and Davenport's correction.

    .. math::
        \chi^2_F = \frac{12 N}{k (k + 1)} \Big[\sum_j R_j^2 - \frac{k (k + 1)^2}{4}\Big], \quad
        F_F = \frac{(N - 1) \chi^2_F}{N (k - 1) - \chi^2_F} \sim F_{k - 1,\, (k - 1)(N - 1)}

    of N blocks, k contestants and mean ranks R.

    Where implementations disagree: scipy.stats.friedmanchisquare divides the first by what ties
    leave of the variance; here, as in the source, ties make the test the more careful.

    Shapes:
      scores: (blocks, contestants), two or more of each; more is better, NaN is worst.

    Source: Demsar 2006, Statistical Comparisons of Classifiers over Multiple Data Sets, section
      3.2.2, https://www.jmlr.org/papers/v7/demsar06a.html

    >>> found = friedman([[0.9, 0.8, 0.7], [0.8, 0.9, 0.6], [0.9, 0.7, 0.8], [0.7, 0.6, 0.5]])
    >>> [float(rank) for rank in found.mean_ranks], round(found.chi2, 3), round(found.p, 3)
    ([1.25, 2.0, 2.75], 4.5, 0.084)
    """
    from scipy.special import fdtrc

    scores = np.asarray(scores, float)
    n, k = scores.shape
    mean = ranks(scores).mean(axis=0)
    chi2 = 12 * n / (k * (k + 1)) * (float(np.sum(mean**2)) - k * (k + 1) ** 2 / 4)
    left = n * (k - 1) - chi2
    if left < 1e-9:  # every block ranks them alike
        return Friedman(mean, chi2, math.inf, 0.0)
    f = (n - 1) * chi2 / left
    return Friedman(mean, chi2, f, float(fdtrc(k - 1, (k - 1) * (n - 1), max(f, 0.0))))


def critical_difference(contestants: int, blocks: int, *, level: float = 0.95) -> float:
    r"""How far two mean ranks must be apart to be told apart, by Nemenyi's test of all pairs.

    .. math:: CD = q_\alpha \sqrt{\frac{k (k + 1)}{6 N}}

    where q is the quantile of the studentised range of k means with infinite degrees of freedom,
    divided by the root of 2.

    Args:
      contestants: k, 2 or more. The more there are, the further apart two must be.
      blocks: N, how many rankings were averaged.
      level: 1 - alpha, how sure no two that are alike are told apart.

    Source: Demsar 2006, section 3.2.2 and table 5, https://www.jmlr.org/papers/v7/demsar06a.html

    >>> round(critical_difference(4, 14), 2)
    1.25
    """
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(level, contestants, math.inf)) / math.sqrt(2)
    return q * math.sqrt(contestants * (contestants + 1) / (6 * blocks))


def cliques(mean_ranks: Sequence[float], distance: float) -> list[tuple[int, int]]:
    """The largest groups of neighbours less than `distance` apart, as first and last place.

    Args:
      mean_ranks: in rising order.
      distance: the critical difference.

    >>> cliques([1.0, 1.5, 2.2, 4.0], 1.0)
    [(0, 1), (1, 2)]
    """
    found: list[tuple[int, int]] = []
    for first, rank in enumerate(mean_ranks):
        last = max(i for i, other in enumerate(mean_ranks) if other - rank < distance or i == first)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found
