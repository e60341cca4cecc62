"""When to stop training: rules that are pure functions of what has been seen, and compose.

    stop = until(loss < 0.05) | patience(5, on=val_loss) | seconds(60)

A rule looks at the history up to the latest check and answers with the reason to stop, in words, or
with None. `|` stops at the first reason, `&` when both have one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Report(NamedTuple):
    """What a rule may look at.

    Attributes:
      history: a list for each recorded quantity ("loss", "val_loss", "val_accuracy" ...), one value
        a check.
      step: steps done.
      seconds: time since the first step, without compilation.
    """

    history: Mapping[str, Sequence[float]]
    step: int
    seconds: float


@dataclass(frozen=True)
class Rule:
    """A reason to stop: `check(report)` gives it in words, or None.

    Attributes:
      check: the function.
      needs: names of the quantities it reads, so that a missing one is told before training.
    """

    check: Callable[[Report], str | None]
    needs: frozenset[str] = field(default_factory=frozenset)

    def __or__(self, other: "Rule") -> "Rule":
        return Rule(lambda r: self.check(r) or other.check(r), self.needs | other.needs)

    def __and__(self, other: "Rule") -> "Rule":
        def both(report):
            first, second = self.check(report), other.check(report)
            return f"{first}, and {second}" if first and second else None

        return Rule(both, self.needs | other.needs)


@dataclass(frozen=True, eq=False)
class Quantity:
    """A recorded quantity, by name; comparing it with a number makes a rule.

    >>> rule = Quantity("loss") < 0.05
    >>> rule.check(Report({"loss": [0.3, 0.04]}, step=10, seconds=0.1))
    'loss 0.04 < 0.05 after 10 steps'
    """

    name: str

    def __lt__(self, level: float) -> Rule:
        return self._rule("<", level, lambda value: value < level)

    def __le__(self, level: float) -> Rule:
        return self._rule("<=", level, lambda value: value <= level)

    def __gt__(self, level: float) -> Rule:
        return self._rule(">", level, lambda value: value > level)

    def __ge__(self, level: float) -> Rule:
        return self._rule(">=", level, lambda value: value >= level)

    def _rule(self, sign: str, level: float, holds: Callable[[float], bool]) -> Rule:
        def check(report):
            values = report.history.get(self.name)
            if not values or not holds(values[-1]):
                return None
            return f"{self.name} {values[-1]:.4g} {sign} {level:g} after {report.step} steps"

        return Rule(check, frozenset({self.name}))


loss = Quantity("loss")
val_loss = Quantity("val_loss")


def metric(name: str) -> Quantity:
    """A metric recorded under this name: `metric("val_accuracy") > 0.97`.

    >>> (metric("val_accuracy") > 0.97).needs
    frozenset({'val_accuracy'})
    """
    return Quantity(name)


def until(rule: Rule) -> Rule:
    """Train until this holds: `until(loss < 0.05)`.

    Raises:
      TypeError: for anything but a rule, such as a bool.

    >>> until(loss < 0.05).check(Report({"loss": [0.3]}, 10, 0.1))
    """
    if not isinstance(rule, Rule):
        raise TypeError(
            f"until: expected a condition such as fnn.stop.loss < 0.05, got {rule!r};"
            " compare one of fnn.stop's quantities with a number"
        )
    return rule


def patience(
    checks: int, *, on: Quantity = val_loss, min_delta: float = 0.0, mode: str = "min"
) -> Rule:
    """Stop once a quantity has not improved for this many checks in a row.

    Args:
      checks: how many checks, >= 1, to wait for an improvement.
      on: the quantity.
      min_delta: an improvement counts if larger than this, in units of the quantity; >= 0.
      mode: "min" if less is better, "max" if more is.

    Source: Goodfellow, Bengio & Courville 2016, algorithm 7.1, https://www.deeplearningbook.org

    >>> rule = patience(2)
    >>> rule.check(Report({"val_loss": [3.0, 1.0, 2.0, 2.0]}, 40, 1.0))
    'val_loss has not improved on 1 for 2 checks'
    """
    if checks < 1 or min_delta < 0 or mode not in ("min", "max"):
        raise ValueError(
            "patience: checks must be >= 1, min_delta >= 0 and mode 'min' or 'max',"
            f" got {checks}, {min_delta} and {mode!r}"
        )
    sign = 1 if mode == "min" else -1

    def check(report):
        best, waited = float("inf"), 0
        for value in report.history.get(on.name, ()):
            if sign * value < best - min_delta:
                best, waited = sign * value, 0
            else:
                waited += 1
        if waited < checks:
            return None
        return f"{on.name} has not improved on {sign * best:.4g} for {waited} checks"

    return Rule(check, frozenset({on.name}))


def seconds(limit: float) -> Rule:
    """Stop when training has taken this many seconds, > 0, compilation not counted.

    >>> seconds(60).check(Report({}, 900, 61.2))
    'the 60 s allowed are used up'
    """
    if limit <= 0:
        raise ValueError(f"seconds: the limit must be > 0, got {limit}")
    return Rule(lambda r: f"the {limit:g} s allowed are used up" if r.seconds >= limit else None)


def steps(limit: int) -> Rule:
    """Stop at the first check after this many steps, >= 1.

    >>> steps(100).check(Report({}, 100, 0.1))
    'the 100 steps allowed are done'
    """
    if limit < 1:
        raise ValueError(f"steps: the limit must be >= 1, got {limit}")
    return Rule(lambda r: f"the {limit} steps allowed are done" if r.step >= limit else None)


def diverged(*, factor: float = 10.0, on: Quantity = loss) -> Rule:
    """Stop when a quantity exceeds `factor` times, > 1, its best so far plus one.

    The one keeps losses near zero from counting as divergence when they tremble.

    >>> diverged().check(Report({"loss": [2.0, 1.0, 50.0]}, 30, 0.1))
    'loss 50 has diverged from its best, 1'
    """
    if factor <= 1:
        raise ValueError(f"diverged: factor must be > 1, got {factor}")

    def check(report):
        values = report.history.get(on.name)
        if not values or values[-1] <= factor * (min(values) + 1):
            return None
        return f"{on.name} {values[-1]:.4g} has diverged from its best, {min(values):.4g}"

    return Rule(check, frozenset({on.name}))
