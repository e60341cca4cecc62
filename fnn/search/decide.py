"""From tables of loss to one choice and its reasons: null, linear or network, and how sure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fnn.search.linear import DECAYS
from fnn.search.plan import Config, Plan
from fnn.search.resampled import Estimate, Paired, choose_apart, corrected_interval, corrected_t
from fnn.search.trials import Table, Tables, finite_means

LEVEL = 0.05  # a richer model must be better by a test at this level


class Choice(NamedTuple):
    """What was chosen and why.

    Attributes:
      kind: "null", "linear" or "network".
      decay: the linear model's penalty.
      config, steps: the best network, and after how many steps to stop, chosen or not.
      scores: the held-out score by kind, with its interval: accuracy or R squared. Of linear and
        network, that of what is best on the other splits, so that luck in choosing is not counted.
      linear_gain, network_gain: the tests whether the linear model has less loss than the null one,
        and the network less than the better of the two.
    """

    kind: str
    decay: float
    config: Config
    steps: int
    scores: dict[str, Estimate]
    linear_gain: Paired
    network_gain: Paired


def decide(tables: Tables, plan: Plan, *, repeat: Any, ratio: float) -> Choice:
    """The simplest kind of model than which no richer one is better beyond chance.

    A richer model has to have less loss by the corrected test of differences on the same splits,
    each family with what is best on the other splits, and no greater error.

    Args:
      tables: of each family.
      plan: what the networks were.
      repeat: (splits,), the repetition a split belongs to.
      ratio: held-out rows per training row.
    """
    null, linear, network = tables
    places = np.arange(null.loss.shape[1])
    apart = {"null": (null.loss[0], null.error[0])}
    for kind, table in (("linear", linear), ("network", network)):
        best = choose_apart(table.loss, repeat)
        apart[kind] = table.loss[best, places], table.error[best, places]
    linear_gain = corrected_t(apart["null"][0] - apart["linear"][0], ratio=ratio)
    plain = "linear" if linear_gain.mean > 0 else "null"
    network_gain = corrected_t(apart[plain][0] - apart["network"][0], ratio=ratio)
    worse = apart["network"][1].mean() > apart[plain][1].mean()
    if network_gain.p < LEVEL and not worse:
        kind = "network"
    else:
        kind = "linear" if linear_gain.p < LEVEL else "null"
    scores = {
        name: corrected_interval(1 - error, ratio=ratio) for name, (_, error) in apart.items()
    }
    row = int(np.argmin(finite_means(network.loss)))
    return Choice(
        kind,
        DECAYS[int(np.argmin(finite_means(linear.loss)))],
        plan.configs[row // plan.checks],
        int(plan.ends()[row % plan.checks]),
        scores,
        linear_gain,
        network_gain,
    )


def rows_of(
    null: Table, linear: Table, rungs: Sequence[tuple[Plan, Table]]
) -> list[dict[str, Any]]:
    """The table for people: a row a model, by rising loss.

    Of each network the best check of its longest runs: `rungs` are plans and their tables, from the
    shortest.
    """
    found = [_row("null", null, 0, {}), *(
        _row("linear", linear, i, {"decay": decay}) for i, decay in enumerate(DECAYS)
    )]  # fmt: skip
    networks = {}
    for plan, network in rungs:
        means = finite_means(network.loss).reshape(len(plan.configs), plan.checks)
        for i, config in enumerate(plan.configs):
            check = int(np.argmin(means[i]))
            settings = {**config._asdict(), "steps": int(plan.ends()[check])}
            networks[config] = _row("network", network, i * plan.checks + check, settings)
    return sorted([*found, *networks.values()], key=lambda row: row["loss"])


def _row(kind: str, table: Table, i: int, settings: dict[str, Any]) -> dict[str, Any]:
    loss = float(finite_means(table.loss[i : i + 1])[0])
    return {"model": kind, "loss": loss, "score": float(1 - table.error[i].mean()), **settings}


def words(choice: Choice, task: str) -> str:
    """The verdict: which model suits, what it scores on rows it has not seen, how sure that is."""
    measure = "accuracy" if task == "classification" else "R²"
    told = {name: _scored(s, measure) for name, s in choice.scores.items()}
    short = {name: f"{s.mean:.3f}" for name, s in choice.scores.items()}
    c, gain = choice.config, choice.network_gain
    shape = f"{c.depth} hidden layer{'s' if c.depth > 1 else ''} of {c.width} {c.activation}"
    if choice.kind == "network":
        return (
            f"A network suits this data set: {shape} neurons, {told['network']} on rows held out,"
            f" beside {short['linear']} of the linear model and {short['null']} of the null model."
            f" That it is better than these is {_sure(gain.p)} ({_test(gain)})."
        )
    best = f"the best network has {short['network']}, better by chance at least as likely as not"
    if gain.mean <= 0:
        best = f"no network is better (the best has {short['network']})"
    elif gain.p < 0.5:
        best = f"the best network has {short['network']}, which may be luck ({_test(gain)})"
        if gain.p < 0.2:
            best += "; more rows or repeats would tell"
    if choice.kind == "linear":
        return (
            f"A linear model suits this data set: {told['linear']} on rows held out, beside"
            f" {short['null']} of the null model; that it is better is"
            f" {_sure(choice.linear_gain.p)} ({_test(choice.linear_gain)}). A network is not worth"
            f" its price: {best}."
        )
    return (
        f"No model predicts this target better than the null model, which ignores the inputs:"
        f" {told['null']} on rows held out, the linear model {short['linear']}"
        f" ({_test(choice.linear_gain)}); {best}."
    )


def _scored(score: Estimate, measure: str) -> str:
    if not np.isfinite(score.low):
        return f"{measure} {score.mean:.3f}"
    high = min(score.high, 1.0)
    return f"{measure} {score.mean:.3f} (95 % interval {score.low:.3f} to {high:.3f})"


def _test(found: Paired) -> str:
    p = "p < 0.0001" if found.p < 1e-4 else f"p = {found.p:.2g}"
    return f"{p}, corrected t-test on {found.df + 1} splits"


def _sure(p: float) -> str:
    for limit, word in ((1e-3, "beyond reasonable doubt"), (1e-2, "very likely")):
        if p < limit:
            return word
    return "likely"
