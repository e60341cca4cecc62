"""Tests of added terms: does a power or a product of the inputs tell more than the inputs do?

A linear model is fitted without and with the terms. Where the truth is linear, what the terms gain
is chance alone, and its distribution is known; so the tests keep their level whatever the terms
are, as long as these are chosen by the inputs and not by the target.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

ROWS_A_TERM = 10  # rows that each number to be estimated should have


class Test(NamedTuple):
    """One test of a family.

    Attributes:
      name: what was added, in words.
      statistic: F, or twice the log likelihood ratio, or t.
      df: its degrees of freedom.
      p: how likely at least as much is where the truth is linear; NaN if it could not be done.
      explained: the part of what a linear model leaves that the terms explain, freed from what
        chance alone would explain; may be below 0.
      adjusted: p after Holm, in a family.
    """

    __test__ = False  # pytest takes classes of this name for its own

    name: str
    statistic: float
    df: tuple[int, ...]
    p: float
    explained: float
    adjusted: float = math.nan


def standardised(x: np.ndarray) -> np.ndarray:
    """The columns with mean 0 and variance 1, those without variation left out.

    >>> standardised(np.array([[1.0, 7.0], [3.0, 7.0]])).tolist()
    [[-1.0], [1.0]]
    """
    x = np.asarray(x, float)
    x = x[:, varying(x)]
    return (x - x.mean(0)) / x.std(0)


def varying(x: np.ndarray) -> np.ndarray:
    """Which columns vary by more than rounding: a bool for each.

    >>> varying(np.array([[1.0, 7.0], [3.0, 7.0]])).tolist()
    [True, False]
    """
    x = np.asarray(x, float)
    return x.std(0) > 1e-9 * np.maximum(np.abs(x).max(0), 1e-300)


def coordinates(x: np.ndarray, most: int) -> np.ndarray:
    """At most so many columns of standardised inputs: themselves, or their principal components."""
    if x.shape[1] <= most:
        return x
    vectors = np.linalg.svd(x, full_matrices=False)[2][: max(most, 1)]
    return standardised(x @ vectors.T)


def powers(x: np.ndarray, most: int) -> np.ndarray:
    """Squares and cubes of the inputs, at most so many terms."""
    z = coordinates(x, max(most // 2, 1))
    return np.concatenate([z**2, z**3], 1)


def products(x: np.ndarray, most: int) -> np.ndarray:
    """Products of each two inputs, at most so many terms; none of a single input."""
    pairs_of = math.isqrt(2 * most) + 1
    while pairs_of > 2 and pairs_of * (pairs_of - 1) // 2 > most:
        pairs_of -= 1
    z = coordinates(x, pairs_of)
    pairs = list(itertools.combinations(range(z.shape[1]), 2))
    return np.stack([z[:, i] * z[:, j] for i, j in pairs], 1) if pairs else np.empty((len(x), 0))


def fit_line(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares with an intercept: the fit, and an orthonormal basis of all it can fit."""
    design = np.column_stack([np.ones(len(x)), x])
    u, s, _ = np.linalg.svd(design, full_matrices=False)
    basis = u[:, s > s[0] * 1e-10]
    return basis @ (basis.T @ y), basis


def f_test(name: str, basis: np.ndarray, y: np.ndarray, terms: np.ndarray) -> Test:
    r"""Whether terms explain more of y than chance, beyond a linear model.

    .. math:: F = \frac{(RSS_0 - RSS_1) / q}{RSS_1 / (n - p - q)} \sim F_{q, n - p - q}

    where RSS is the sum of squared residuals without and with the q terms, p numbers of the linear
    model. Exact for independent normal noise of one variance.

    Args:
      name: of the terms, for the report.
      basis: (n, p) orthonormal, of what the linear model can fit.
      y: (n,) the target.
      terms: (n, terms) what is added.

    Source: Ramsey 1969, section 3, https://doi.org/10.1111/j.2517-6161.1969.tb00796.x, for powers
      of the fit; any book on regression for the F-test.
    """
    from scipy.special import fdtrc

    left, rest = y - basis @ (basis.T @ y), _beyond(basis, terms)
    q, free = rest.shape[1], len(y) - basis.shape[1] - rest.shape[1]
    if q == 0 or free < 1:
        return Test(name, math.nan, (q, max(free, 0)), math.nan, 0.0)
    before = float(left @ left)
    gained = float(((rest.T @ left) ** 2).sum())
    if before <= 1e-12 * float(((y - y.mean()) ** 2).sum()):
        return Test(name, 0.0, (q, free), 1.0, 0.0)  # the rest is rounding, in float32
    after = max(before - gained, 1e-30 * before)
    statistic = (gained / q) / (after / free)
    explained = 1 - (after / free) / (before / (free + q))
    return Test(name, statistic, (q, free), float(fdtrc(q, free, statistic)), explained)


def robust_test(name: str, basis: np.ndarray, y: np.ndarray, terms: np.ndarray) -> Test:
    r"""`f_test` where the noise of each row may have a variance of its own.

    .. math:: S = U^\top \Big(\sum_i e_i^2 r_i r_i^\top\Big)^{-1} U, \quad U = R^\top e, \quad
        F = \frac{S / q}{(n - S) / (n - p - q)}

    where e are the residuals of the linear model and R, with the rows r, what it cannot fit of the
    terms. S has the chi-squared distribution for many rows; F, which tends to it, keeps the level
    with fewer.

    Args:
      name: of the terms, for the report.
      basis: (n, p) orthonormal, of what the linear model can fit.
      y: (n,) the target.
      terms: (n, terms) what is added.

    Source: Wooldridge 1987, A Regression-Based Lagrange Multiplier Statistic That Is Robust in the
      Presence of Heteroskedasticity, MIT working paper 478, https://studylib.net/doc/11163366; the
      variance: White 1980, https://doi.org/10.2307/1912934
    """
    from scipy.special import fdtrc

    plain, n = f_test(name, basis, y, terms), len(y)
    if not plain.statistic > 0:
        return plain
    left, rest = y - basis @ (basis.T @ y), _beyond(basis, terms)
    scores = rest * left[:, None]
    told = np.linalg.lstsq(scores, np.ones(n), rcond=None)[0]
    score = min(float((scores @ told).sum()), n * (1 - 1e-12))
    q, free = plain.df
    statistic = (score / q) / ((n - score) / free)
    return plain._replace(statistic=statistic, p=float(fdtrc(q, free, statistic)))


def _beyond(basis: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what the linear model cannot fit of the terms."""
    rest = terms - basis @ (basis.T @ terms)
    size = np.sqrt((terms**2).sum(0))
    rest = rest[:, np.sqrt((rest**2).sum(0)) > 1e-8 * np.maximum(size, 1e-300)]
    if not rest.shape[1]:
        return rest
    rest = rest / np.sqrt((rest**2).sum(0))
    u, s, _ = np.linalg.svd(rest, full_matrices=False)
    return u[:, s > s[0] * 1e-8]


def fit_logistic(x: np.ndarray, y: np.ndarray, classes: int) -> tuple[np.ndarray, float]:
    """Logistic regression by Newton's method: log odds (n, classes) and the log likelihood.

    A penalty of 1e-6 on the sum of squares keeps separable classes finite.
    """
    design = np.column_stack([np.ones(len(x)), x])
    hot = np.eye(classes)[y]
    weights = np.zeros((design.shape[1], classes - 1))

    def value(weights):
        logits = np.column_stack([np.zeros(len(x)), design @ weights])
        logits -= np.logaddexp.reduce(logits, 1)[:, None]
        return logits, float((hot * logits).sum()) - 0.5e-6 * float((weights**2).sum())

    logits, best = value(weights)
    for _ in range(50):
        share = np.exp(logits[:, 1:])
        slope = (design.T @ (hot[:, 1:] - share) - 1e-6 * weights).T.ravel()
        curvature = _information(design, share) + 1e-6 * np.eye(weights.size)
        move = np.linalg.solve(curvature, slope).reshape(classes - 1, -1).T
        length = 1.0
        tried, found = value(weights + move)
        while found < best - 1e-12 and length > 1e-6:
            length /= 2
            tried, found = value(weights + length * move)
        gain, weights = found - best, weights + length * move
        logits, best = tried, found
        if gain < 1e-9 * max(1.0, abs(best)):
            break
    return logits, float((hot * logits).sum())


def _information(design: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Of the weights of all classes but the first, class after class: -d^2 l / dW^2."""
    free = share.shape[1]
    blocks = [
        [
            design.T @ ((share[:, i] * (float(i == j) - share[:, j]))[:, None] * design)
            for j in range(free)
        ]
        for i in range(free)
    ]
    return np.block(blocks)


def score_test(
    name: str, x: np.ndarray, y: np.ndarray, logits: np.ndarray, terms: np.ndarray
) -> Test:
    r"""Whether terms make the classes likelier than chance would, beyond a logistic model.

    .. math:: S = U^\top I^{-1} U \sim \chi^2_{q (K - 1)}, \qquad
        U = \operatorname{vec} T^\top (Y - P)

    for many rows, where P are the shares that the logistic model says, T the terms and I the
    information of terms and inputs together, all without fitting the terms. With 120 rows the
    likelihood ratio gave 9 % false alarms at the level of 5 %; the score keeps it.

    Args:
      name: of the terms, for the report.
      x: (n, d) inputs.
      y: (n,) classes from 0.
      logits: (n, classes) of the fitted model, as log shares.
      terms: (n, terms) what is added.

    Source: Rao 1948, https://doi.org/10.1017/S0305004100023987
    """
    from scipy.special import chdtrc

    n, classes = logits.shape
    design = np.column_stack([np.ones(n), x])
    q = int(np.linalg.matrix_rank(np.column_stack([design, terms])))
    q -= int(np.linalg.matrix_rank(design))
    df = q * (classes - 1)
    likelihood = float(logits[np.arange(n), y].sum())
    if q == 0 or (design.shape[1] + q) * (classes - 1) >= n:
        return Test(name, math.nan, (df,), math.nan, 0.0)
    if likelihood > -1e-3 * n:
        return Test(name, 0.0, (df,), 1.0, 0.0)  # the linear model is right for every row
    both = np.column_stack([design, terms])
    share = np.exp(logits[:, 1:])
    slope = both.T @ (np.eye(classes)[y][:, 1:] - share)
    slope[: design.shape[1]] = 0  # the model is fitted; what is left there is rounding
    slope = slope.T.ravel()
    inverse = np.linalg.pinv(_information(both, share), rcond=1e-10, hermitian=True)
    statistic = float(slope @ inverse @ slope)
    explained = (statistic - df) / (-2 * likelihood)
    return Test(name, statistic, (df,), float(chdtrc(df, statistic)), explained)


def holm(tests: list[Test], weights: Sequence[float] | None = None) -> list[Test]:
    r"""The tests with p adjusted such that the family's false alarms stay at the level.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\left(1, \frac{p_{(j)}}{w_{(j)}}
        \sum_{k \ge j} w_{(k)}\right), \quad \text{in the order of } p / w

    Tests that could not be done (p of NaN) do not count. Equal weights give Holm's own procedure.

    Args:
      tests: of one family.
      weights: which share of the level each is given, above 0; equal by default.

    Source: Holm 1979, sections 2 and 4, https://www.jstor.org/stable/4615733

    >>> [round(t.adjusted, 3) for t in holm([Test("", 0, (), p, 0) for p in (0.01, 0.04, 0.03)])]
    [0.03, 0.06, 0.06]
    """
    given = [1.0] * len(tests) if weights is None else list(weights)
    done = [i for i, test in enumerate(tests) if math.isfinite(test.p)]
    least, left, adjusted = 0.0, sum(given[i] for i in done), {}
    for i in sorted(done, key=lambda i: tests[i].p / given[i]):
        least = max(least, min(tests[i].p / given[i] * left, 1.0))
        adjusted[i] = least
        left -= given[i]
    return [test._replace(adjusted=adjusted.get(i, math.nan)) for i, test in enumerate(tests)]
