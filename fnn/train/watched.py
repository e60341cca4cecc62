"""What a fit records and watches: names of quantities, and rules to stop."""

import functools
from collections.abc import Mapping, Sequence

from fnn.stop import Rule
from fnn.train.evaluate import Metric


def recorded(metrics: Mapping[str, Metric] | None, validates: bool, skips: bool) -> list[str]:
    """The names of the quantities that the history will hold."""
    names = ["loss"] + ["val_loss"] * validates + ["skipped"] * skips
    return names + [f"{'val' if validates else 'train'}_{name}" for name in sorted(metrics or {})]


def check_names(rule: Rule, monitor: str, mode: str, recorded: Sequence[str]) -> None:
    """Raise a `ValueError` for a mode that is none, and for what is watched but not recorded."""
    if mode not in ("min", "max"):
        raise ValueError(f"fit: mode must be 'min' or 'max', got {mode!r}")
    for name in sorted({*rule.needs, monitor} - set(recorded)):
        raise ValueError(
            f"fit: {name!r} is to be watched, but only {', '.join(recorded)} will be recorded;"
            " give validation=(x, y) for val_ quantities and metrics={name: function} for metrics"
        )


def first_of(stop: Rule | Sequence[Rule]) -> Rule:
    """One rule that stops at the first reason of any."""
    rules = list(stop) if isinstance(stop, Sequence) else [stop]
    for rule in rules:
        if not isinstance(rule, Rule):
            raise TypeError(
                f"fit: stop takes rules of fnn.stop, such as until(loss < 0.05), got {rule!r};"
                " a quantity becomes a rule when it is compared with a number"
            )
    never = Rule(lambda report: None)
    return functools.reduce(lambda a, b: a | b, rules, never)
