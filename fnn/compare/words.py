"""The sentences of a comparison's report: what was asked, what was found, and what limits it."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fnn.compare.findings import final_scores, one_a_name, ranking
from fnn.compare.statistics import FEW

if TYPE_CHECKING:
    from fnn.compare.result import Comparison, Row

SOURCES = (
    "Intervals and resampling: B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993;"
    " T. Hesterberg, What Teachers Should Know about the Bootstrap, The American Statistician 69,"
    " 2015.",
    "Ranks: J. Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, Journal of"
    " Machine Learning Research 7, 2006.",
    "Budgets: J. Dodge et al., Show Your Work: Improved Reporting of Experimental Results, EMNLP"
    " 2019.",
    "Times to a target: E. Kaplan and P. Meier, Nonparametric Estimation from Incomplete"
    " Observations, Journal of the American Statistical Association 53, 1958.",
)


def percent_or_number(value: float, accuracy: bool, places: int = 1) -> str:
    """0.953 as 95.3 % if it is an accuracy, as 0.953 if not.

    >>> percent_or_number(0.953, True), percent_or_number(0.953, False)
    ('95.3 %', '0.953')
    """
    return f"{100 * value:.{places}f} %" if accuracy else f"{value:.{places + 2}f}"


def count(number: int, noun: str) -> str:
    """A number and its noun.

    >>> count(1, "seed"), count(5, "seed")
    ('1 seed', '5 seeds')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def in_bytes(value: float) -> str:
    """Bytes in the largest unit that leaves a number of 1 or more.

    >>> in_bytes(12), in_bytes(3_500_000)
    ('12 B', '3.5 MB')
    """
    for unit in ("B", "kB", "MB"):
        if abs(value) < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def listed(names: list[str], most: int = 8) -> str:
    """Names as words, no more than some of them.

    >>> listed(["a", "b", "c"]), listed(["a", "b", "c"], 2)
    ('a, b and c', 'a, b and 1 other')
    """
    if len(names) > most:
        others = len(names) - most
        return f"{', '.join(names[:most])} and {count(others, 'other')}"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def question(found: "Comparison") -> str:
    """What was asked."""
    plan = found.settings
    names = {row.name for row in found.rows}
    return (
        f"Which of {count(len(names), 'optimizer')} trains this network on {plan['data']} to the"
        f" best test {plan['score']} in {plan['steps']} steps, if each may try"
        f" {count(tried(plan), 'setting')} first, starts from the same weights and sees the same"
        " batches?"
    )


def tried(plan: Mapping[str, Any]) -> int:
    """How many settings tuning tries: learning rates, finer ones, and those of other knobs."""
    return len(plan["rates"]) + len(plan["refine"]) + int(plan.get("trials", 0))


def answer(found: "Comparison") -> list[str]:
    """What was found, in a few sentences."""
    standing = {log.contestant.label for log in one_a_name(found.logs)}
    rows = [row for row in found.rows if f"{row.name} ({row.by})" in standing]
    good = [row for row in rows if math.isfinite(row.score)]
    if not good:
        return ["Nothing yet: no optimizer has finished a race."]
    accuracy = found.settings["score"] == "accuracy"
    said = [_leader(good[0], accuracy)]
    if math.isfinite(good[0].score_low):
        said.append(_told_apart(good))
    ranked = ranking(found.logs)
    if ranked is not None:
        apart = sum(rank - ranked.ranks[0] >= ranked.distance for rank in ranked.ranks)
        said.append(
            f"By ranks, where all pairs are tested at once, {ranked.names[0]} is first and told"
            f" apart from {apart} of the {len(ranked.names) - 1} others."
        )
    never = [row.name for row in rows if row.seeds and not row.reached]
    if never:
        said.append(f"The target was never reached by {listed(never)}.")
    diverged = [row.name for row in rows if row.diverged]
    if diverged:
        said.append(f"Races diverged of {listed(diverged)}.")
    return said


def _leader(row: "Row", accuracy: bool) -> str:
    between = ""
    if math.isfinite(row.score_low):
        low, high = (percent_or_number(v, accuracy, 2) for v in (row.score_low, row.score_high))
        between = f" ({low.removesuffix(' %')} to {high})"
    return (
        f"{row.name} has the best mean: {percent_or_number(row.score, accuracy, 2)}{between} over"
        f" {count(row.seeds, 'seed')}."
    )


def _told_apart(rows: list["Row"]) -> str:
    alike = [row.name for row in rows[1:] if row.behind_low <= 0]
    behind = [row.name for row in rows[1:] if row.behind_low > 0]
    if not alike:
        return f"Seed by seed, {listed(behind, 4)} are behind it." if len(behind) > 1 else ""
    rest = (
        f"; {listed(behind, 4)} {'is' if len(behind) == 1 else 'are'} behind it" if behind else ""
    )
    return f"Seed by seed it cannot be told apart from {listed(alike)}{rest}."


def rank_words(found: "Comparison") -> str:
    """Friedman's test and what the critical difference can tell."""
    ranked = ranking(found.logs)
    if ranked is None:
        return "Ranks need two optimizers and two seeds."
    k, n, test = len(ranked.names), ranked.seeds, ranked.test
    p = "p < 0.001" if test.p < 1e-3 else f"p = {test.p:.3f}"
    power = ""
    if ranked.distance > k - 1:
        power = " That is more than two ranks can differ: with so few seeds it can tell none apart."
    elif ranked.distance > (k - 1) / 2:
        power = " That is more than half of the way from first to last: more seeds would narrow it."
    return (
        f"Each seed ranks the {k} optimizers by test score; a run that diverged is last. Friedman's"
        f" test of whether all are alike, with Iman and Davenport's correction: F({k - 1},"
        f" {(k - 1) * (n - 1)}) = {test.f:.2f}, {p}. By Nemenyi's test two differ, at 5 % for all"
        f" pairs together, if their mean ranks are {ranked.distance:.2f} or more apart.{power}"
    )


def limits(found: "Comparison") -> list[str]:
    """What the numbers do not say."""
    plan = found.settings
    said = [
        "One data set, one network and one budget: another may rank them otherwise. The seeds vary"
        " weights and batches, not the examples or their division, so ranks over seeds speak of"
        " this task alone, unlike those over data sets for which the test was proposed.",
        f"Tuning ran {plan['tune_steps']} of the {plan['steps']} steps, which favours rates that"
        " are fast early. Only what is named was tuned; all else is the default of the paper.",
        "Intervals are taken one at a time at 95 %: among many a few miss by chance, and the one"
        " that leads was chosen by looking. Ranks with the critical difference are the answer to"
        " that, at the price of less power.",
        f"Intervals are Student's, for there are fewer than {FEW} seeds, of which a bootstrap knows"
        " too little; they assume that means over seeds are about normal."
        if plan["seeds"] < FEW
        else "Intervals are bootstrap-t intervals; of differences, pairs are what is drawn.",
        "Time to the target is known as closely as the looks are apart. Races end together, so"
        " those that never arrive are only known to take longer.",
        "The budget's expectation draws from the settings that were tried, of which the later lie"
        " around the best of the first: it tells of these, not of a finer or wider choice.",
    ]
    noise = _test_noise(found)
    if noise:
        said.insert(1, noise)
    return said


def _test_noise(found: "Comparison") -> str:
    """How far an accuracy may be off for the size of the test set alone."""
    best = found.rows[0].score if found.rows else math.nan
    n = found.settings["examples"]["test"]
    if found.settings["score"] != "accuracy" or not 0 < best < 1:
        return ""
    error = 196 * math.sqrt(best * (1 - best) / n)
    return (
        f"The test set has {n} examples: as an estimate of the accuracy on new ones,"
        f" {100 * best:.1f} % is uncertain by {error:.1f} points for that alone, which is not in"
        " the intervals. All share the test set, so differences suffer less."
    )


def diverged_share(found: "Comparison") -> str:
    """How many of all runs diverged."""
    tuning = [run.diverged for log in found.logs for run in log.tuning]
    races = [math.isnan(score) for log in found.logs for score in final_scores(log).values()]
    return (
        f"{sum(tuning)} of {count(len(tuning), 'tuning run')} and {sum(races)} of"
        f" {count(len(races), 'race')} diverged: their loss was no finite number. A rate at which"
        " one did was not chosen while there was another; a race that did is last."
    )
