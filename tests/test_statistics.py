"""The comparison's statistics are those of the books, and say 95 % where it is 95 %."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from fnn.compare.ranking import cliques, critical_difference, friedman, ranks
from fnn.compare.statistics import (
    FEW,
    bootstrap_t_interval,
    difference,
    expected_best,
    interval,
    quartiles,
    reach,
    sign_flip_p,
    t_interval,
)

# AUC of C4.5 and three variants on 14 data sets: Demsar 2006, table 6. Two of the last but one are
# printed as equal, 0.975, but ranked 2 and 3: the first of them is given what rounding took.
AUC = np.array([
    [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
])  # fmt: skip


def covered(intervals, truth):
    """How many intervals, as rows of low and high, hold the truth."""
    low, high = np.asarray(intervals).T
    return int(np.sum((low <= truth) & (truth <= high)))


def bounds(repetitions, rate=0.95):
    """Between which counts a binomial stays in 999 of 1000 cases."""
    return scipy.stats.binom.ppf([0.0005, 0.9995], repetitions, rate)


def test_a_t_interval_is_that_of_scipy():
    values = [0.91, 0.95, 0.93, 0.97]
    mean, half = t_interval(values)
    low, high = scipy.stats.t.interval(0.95, 3, np.mean(values), scipy.stats.sem(values))
    np.testing.assert_allclose([mean - half, mean + half], [low, high], rtol=1e-9)
    assert math.isnan(t_interval([1.0])[1])
    assert math.isnan(t_interval([1.0, math.nan])[0])


def test_the_bootstraps_draws_stand_for_every_sample_there_is():
    values = np.array([1.0, 1.5, 2.5, 2.7, 7.0])
    every = np.array(list(itertools.product(values, repeat=5)))
    every = every[every.std(axis=1) > 0]
    t = (every.mean(axis=1) - values.mean()) / every.std(axis=1, ddof=1)
    expected = values.mean() - values.std(ddof=1) * np.quantile(t, [0.9, 0.1])
    found = bootstrap_t_interval(values, level=0.8, resamples=100_000)
    np.testing.assert_allclose(found, expected, rtol=0.02)


def test_the_bootstraps_interval_leans_to_where_the_long_tail_is():
    values = np.random.default_rng(0).lognormal(size=40)
    low, high = bootstrap_t_interval(values)
    assert high - values.mean() > 1.5 * (values.mean() - low)
    mirrored = bootstrap_t_interval(-values)
    np.testing.assert_allclose((-mirrored[1], -mirrored[0]), (low, high), rtol=1e-12)


def test_few_values_are_given_students_interval_and_more_the_bootstraps():
    values = np.random.default_rng(0).normal(size=FEW)
    few, more = interval(values[:-1]), interval(values)
    assert (few.method, more.method) == ("Student's t", "bootstrap-t")
    mean, half = t_interval(values[:-1])
    assert few[:3] == (mean, mean - half, mean + half)
    assert more[1:3] == bootstrap_t_interval(values)
    assert interval([2.0] * FEW)[:3] == (2.0, 2.0, 2.0)
    assert math.isnan(interval([math.nan] * FEW).low)
    assert math.isnan(interval([]).mean)


def test_one_seed_that_differs_leaves_the_bootstrap_finite():
    found = interval([0.0] * 7 + [1.0])
    assert -1 < found.low <= 0 < found.high < math.inf


@pytest.mark.parametrize(("seeds", "repetitions"), [(3, 3000), (5, 3000), (10, 600)])
def test_two_names_of_one_optimizer_differ_in_five_of_a_hundred_comparisons(seeds, repetitions):
    """Paired runs that share half of their noise, and have no difference."""
    rng = np.random.default_rng(seeds)
    shared = rng.normal(size=(repetitions, seeds))
    one, other = (shared + rng.normal(size=shared.shape) for _ in range(2))
    found = [difference(a, b)[1:3] for a, b in zip(one, other, strict=True)]
    low, high = bounds(repetitions)
    assert low <= covered(found, 0) <= high


def test_accuracies_on_a_small_test_set_keep_the_promise_too():
    """Counts of 360 examples, with ties, of networks that differ from seed to seed."""
    rng, repetitions = np.random.default_rng(0), 2000
    right = np.clip(0.95 + 0.01 * rng.normal(size=(repetitions, 5)), 0, 1)
    one, other = rng.binomial(360, right) / 360, rng.binomial(360, right) / 360
    found = [difference(a, b)[1:3] for a, b in zip(one, other, strict=True)]
    low, high = bounds(repetitions)
    assert low <= covered(found, 0) <= high


def test_pairing_removes_what_the_pairs_share():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=8)
    ours, theirs = shared + 0.01 * rng.normal(size=8) + 0.1, shared + 0.01 * rng.normal(size=8)
    found = difference(ours, theirs)
    assert 0.05 < found.low < found.high < 0.15
    assert interval(ours).low < interval(theirs).high  # which unpaired intervals would hide


def test_sign_flips_count_every_sign():
    gaps = np.array([0.3, -0.1, 0.4, 0.2])
    flips = [abs(np.dot(gaps, signs)) for signs in itertools.product([-1, 1], repeat=4)]
    expected = np.mean(np.array(flips) >= abs(gaps.sum()) - 1e-12)
    assert sign_flip_p(gaps) == expected
    theirs = scipy.stats.permutation_test(
        (gaps, np.zeros(4)), lambda a, b: np.mean(a - b), permutation_type="samples"
    )
    np.testing.assert_allclose(sign_flip_p(gaps), theirs.pvalue)
    assert math.isnan(sign_flip_p([math.nan]))
    assert sign_flip_p(np.ones(16)) == 2**-15
    assert sign_flip_p(np.ones(30)) == 2**-16  # drawn: none but the signs as they are
    many = np.random.default_rng(0).normal(size=25)
    t = math.sqrt(25) * many.mean() / many.std(ddof=1)
    np.testing.assert_allclose(sign_flip_p(many), 2 * scipy.stats.t.sf(abs(t), 24), atol=0.02)


def test_sign_flips_reject_what_is_alike_no_more_often_than_they_say():
    rng, repetitions = np.random.default_rng(0), 1000
    p = np.array([sign_flip_p(gaps) for gaps in rng.standard_cauchy(size=(repetitions, 6))])
    for level in (2 / 64, 6 / 64, 0.25):  # p of 6 pairs is a multiple of 2 / 64
        assert np.sum(p <= level) <= bounds(repetitions, level)[1]


def test_demsars_example_has_the_ranks_and_the_statistics_that_he_prints():
    found = friedman(AUC)
    np.testing.assert_allclose(found.mean_ranks, [3.143, 2.000, 2.893, 1.964], atol=5e-4)
    np.testing.assert_allclose([found.chi2, found.f], [9.28, 3.69], atol=6e-3)
    assert 0.01 < found.p < 0.05  # the critical value at 5 % is 2.85
    np.testing.assert_allclose(critical_difference(4, 14), 1.25, atol=5e-3)
    np.testing.assert_allclose(critical_difference(4, 14, level=0.9), 1.12, atol=5e-3)


def test_without_ties_friedmans_statistic_is_scipys():
    scores = np.random.default_rng(0).normal(size=(7, 5))
    theirs = scipy.stats.friedmanchisquare(*scores.T)
    np.testing.assert_allclose(friedman(scores).chi2, theirs.statistic)
    k, n = 5, 7
    f = (n - 1) * theirs.statistic / (n * (k - 1) - theirs.statistic)
    np.testing.assert_allclose(friedman(scores).p, scipy.stats.f.sf(f, k - 1, (k - 1) * (n - 1)))


def test_friedmans_test_is_sure_of_equal_rankings_and_blind_to_equal_scores():
    assert friedman([[1, 2, 3], [2, 4, 6]]).p == 0
    assert friedman([[1, 1, 1], [2, 2, 2]]).p == 1


def test_friedmans_test_rejects_one_in_twenty_of_what_is_alike():
    rng, repetitions = np.random.default_rng(1), 1000
    p = [friedman(rng.normal(size=(8, 6))).p for _ in range(repetitions)]
    low, high = bounds(repetitions, 0.05)
    assert low <= np.sum(np.array(p) < 0.05) <= high


def test_critical_differences_are_those_of_demsars_table_5():
    printed = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102,
               10: 3.164}  # fmt: skip
    for k, q in printed.items():
        found = critical_difference(k, 6) / math.sqrt(k * (k + 1) / 36)
        np.testing.assert_allclose(found, q, atol=1.1e-3)
    assert critical_difference(45, 5) > critical_difference(45, 10) > critical_difference(11, 10)


def test_a_run_that_diverged_ranks_last_and_ties_share():
    nan = math.nan
    np.testing.assert_array_equal(ranks([[nan, 0.5, -1.0]]), [[3, 1, 2]])
    np.testing.assert_array_equal(ranks([[nan, 0.5, nan, 0.5]]), [[3.5, 1.5, 3.5, 1.5]])


def test_cliques_are_the_largest_groups_within_the_distance():
    rising = np.sort(np.random.default_rng(0).uniform(1, 10, size=12))
    found = cliques(list(rising), 2.5)
    assert all(rising[last] - rising[first] < 2.5 for first, last in found)
    for i, j in itertools.combinations(range(12), 2):
        together = any(first <= i and j <= last for first, last in found)
        assert together == (rising[j] - rising[i] < 2.5)
    assert not any(a != b and b[0] <= a[0] and a[1] <= b[1] for a in found for b in found)
    assert cliques([1.0, 2.0, 3.0], 0.5) == []


def test_runs_that_never_arrive_count_as_later_than_all():
    steps = [10, 20, 30, 40]
    curves = [[0, 0, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0], [math.nan] * 4]
    found = reach(steps, curves, 0.5)
    assert found.steps == [30, 10, math.inf, math.inf]
    assert (found.low, found.median, found.high) == (10, 30, math.inf)
    assert found.reached == 2
    assert reach(steps, curves[2:], 0.5).median == math.inf
    assert reach(steps, curves, math.nan).reached == 0
    assert math.isnan(reach([], [], 0.5).median)


def test_the_expected_best_is_the_mean_over_all_draws():
    values = [0.3, 0.9, 0.5, 0.5]
    found = expected_best(values)
    for k in range(1, 5):
        every = [max(draw) for draw in itertools.product(values, repeat=k)]
        np.testing.assert_allclose(found[k - 1], np.mean(every))
    assert (np.diff(found) >= 0).all()
    assert len(expected_best([])) == 0


def test_quartiles_are_numpys():
    assert quartiles([1, 2, 3, 4, 5]) == (2, 3, 4)
    assert all(map(math.isnan, quartiles([])))
