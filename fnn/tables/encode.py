"""A table as numbers: gaps filled, words as ones and zeros, dates as days, by readable rules."""

import datetime
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fnn.tables.read import Table, as_number

KINDS = ("number", "date", "category", "left out")
CATEGORIES = 30  # words of at most so many kinds are categories
SLIPS = 0.05  # the part of a column of numbers that may be words


class Rule(NamedTuple):
    """How one column becomes numbers.

    Attributes:
      kind: "number", "date", "category", or "left out".
      fill: the median of a number or date, which is taken off, and stands for gaps.
      gaps: whether a column of ones and zeros says where gaps were.
      values: the categories, by frequency; another one is all zeros. Of numbers and dates the words
        that stand among them and count as gaps.
      why: why a column is left out.
    """

    kind: str
    fill: float = 0.0
    gaps: bool = False
    values: tuple[str, ...] = ()
    why: str = ""


class Encoder(NamedTuple):
    """The rules of all columns, by name, and how numbers are written."""

    rules: dict[str, Rule]
    decimal: str = "."

    @property
    def names(self) -> list[str]:
        """Of the numbers that come out, in order."""
        return [out for name, rule in self.rules.items() for out in _outputs(name, rule)]

    def __call__(self, table: Table) -> np.ndarray:
        """(rows, numbers) float32.

        Raises:
          ValueError: if a column is missing, or a number is a word: says which, and the row.
        """
        wanted = [name for name, rule in self.rules.items() if rule.kind != "left out"]
        lacking = [name for name in wanted if name not in table.columns]
        if lacking:
            raise ValueError(
                f"the table lacks {', '.join(lacking)}; it has {', '.join(table.columns)}; give it"
                " the columns that the model was made from"
            )
        parts = [
            _encoded(name, self.rules[name], table.columns[name], table.decimal) for name in wanted
        ]
        with np.errstate(over="ignore"):
            numbers = np.concatenate(parts, 1).astype(np.float32)
        if not np.isfinite(numbers).all():
            row, place = (int(i[0]) for i in np.nonzero(~np.isfinite(numbers)))
            raise ValueError(
                f"row {row + 1}, column {self.names[place]!r}: the number is too large for float32;"
                " give it in a larger unit"
            )
        return numbers

    def as_json(self) -> dict[str, Any]:
        """The rules as one reads them."""
        return {
            "decimal": self.decimal,
            "columns": {name: rule._asdict() for name, rule in self.rules.items()},
        }

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> "Encoder":
        """What `as_json` wrote.

        Raises:
          ValueError: for a kind of column that there is not.
        """
        rules = {
            name: Rule(**{**rule, "values": tuple(rule["values"])})
            for name, rule in found["columns"].items()
        }
        unknown = {rule.kind for rule in rules.values()} - set(KINDS)
        if found["decimal"] not in (".", ","):
            raise ValueError(f"decimal must be '.' or ',', got {found['decimal']!r}")
        if not all(isinstance(rule.fill, int | float) for rule in rules.values()):
            raise ValueError("a column's fill must be a number")
        if unknown:
            raise ValueError(f"columns of a kind that there is not: {', '.join(sorted(unknown))}")
        return Encoder(rules, found["decimal"])


def fit_encoder(table: Table, *, among: Table | None = None) -> Encoder:
    """The rules by which the columns of these rows become numbers.

    Numbers become their distance from the median, in float64 before they are float32, so that large
    ones keep their digits; a gap is 0, and one more column says where gaps were. ISO dates become
    days, likewise; words of at most 30 kinds become a column of ones and zeros each.
    Among numbers and dates of more kinds, words in up to a twentieth of the cells, such as
    "unknown", count as gaps.
    Left out, and said so, are columns that say nothing: all gaps or all the same, and words that
    hardly ever come twice, such as names and numbers of orders.

    Args:
      table: the rows that medians and categories come from, such as those of training.
      among: all rows there are, if these are more: a word among numbers is one wherever it stands.

    Raises:
      ValueError: if nothing is left.

    >>> table = Table({"age": np.array(["3", None], object), "is": np.array(["a", "b"], object)})
    >>> encoder = fit_encoder(table)
    >>> encoder.names, encoder(table).tolist()
    (['age', 'age is missing', 'is = a', 'is = b'], [[0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]])
    """
    everywhere = (table if among is None else among).columns
    rules = {
        name: _rule(column, everywhere[name], table.decimal)
        for name, column in table.columns.items()
    }
    if all(rule.kind == "left out" for rule in rules.values()):
        raise ValueError(
            "no column says anything: "
            + "; ".join(f"{name} {rule.why}" for name, rule in rules.items())
        )
    return Encoder(rules, table.decimal)


def _rule(column: np.ndarray, everywhere: np.ndarray, decimal: str) -> Rule:
    """The rule of some rows' column; `everywhere` is that column of all rows."""
    cells = [cell for cell in column if cell is not None]
    gaps = len(cells) < len(column)
    kinds = set(cells)
    if not cells:
        return Rule("left out", why="is empty")
    if len(kinds) == 1 and not gaps:
        return Rule("left out", why=f"is {cells[0]!r} in every row")
    many = len(kinds) > CATEGORIES or (len(cells) > 10 and len(kinds) > max(len(cells) / 2, 2))
    for kind, read in (("number", lambda cell: as_number(cell, decimal)), ("date", as_days)):
        numbers = [read(cell) for cell in cells]
        known = [number for number in numbers if number is not None]
        whole, words = len(known) == len(cells), _slips(everywhere, read)
        if whole and kind == "number" and _counts_rows(numbers, len(column)):
            return Rule("left out", why="counts the rows")
        if whole or (many and known and words):
            fill = float(np.median(np.array(known, float)))
            return Rule(kind, fill=fill, gaps=gaps or bool(words), values=words)
    if many:
        return Rule("left out", why=f"has {len(kinds)} different words")
    often = sorted(kinds, key=lambda word: (-cells.count(word), word))
    return Rule("category", gaps=gaps, values=tuple(often))


def _slips(column: np.ndarray, read: Callable[[str], float | None]) -> tuple[str, ...]:
    """The words that stand among a column's numbers; none if they are more than slips."""
    cells = [cell for cell in column if cell is not None]
    words = [cell for cell in cells if read(cell) is None]
    return tuple(sorted(set(words))) if len(words) <= SLIPS * len(cells) else ()


def _counts_rows(numbers: list[float | None], rows: int) -> bool:
    """Whether a column counts: whole numbers that rise from near 0, hardly leaving one out."""
    found = np.array(numbers, float)
    if len(found) < rows or rows <= 10 or found[0] > 5 or found[0] < 0:
        return False
    rises = np.diff(found)
    return bool((rises >= 1).all() and (rises % 1 == 0).all() and found[-1] < 1.6 * rows + 5)


def _outputs(name: str, rule: Rule) -> list[str]:
    if rule.kind == "left out":
        return []
    own = [f"{name} = {value}" for value in rule.values] if rule.kind == "category" else [name]
    return own + [f"{name} is missing"] * rule.gaps


def _encoded(name: str, rule: Rule, column: np.ndarray, decimal: str) -> np.ndarray:
    missing = np.array([cell is None for cell in column])
    if rule.kind in ("number", "date"):
        missing |= np.isin(column.astype(str), rule.values)
    if rule.kind == "category":
        own = np.stack([column == value for value in rule.values], 1).astype(float)
    else:
        numbers = np.full(len(column), rule.fill)
        for row, cell in enumerate(column):
            if missing[row]:
                continue
            number = as_days(cell) if rule.kind == "date" else as_number(cell, decimal)
            if number is None:
                raise ValueError(
                    f"row {row + 1}, column {name!r}: {cell!r} is no {rule.kind}; mend it or leave"
                    " the cell empty"
                )
            numbers[row] = number
        own = (numbers - rule.fill)[:, None]
    return np.column_stack([own, missing]) if rule.gaps else own


def as_days(cell: str) -> float | None:
    """Days since 1970 of an ISO date or date and time, or None.

    >>> as_days("1970-01-02T12:00"), as_days("May")
    (1.5, None)
    """
    if len(cell) < 8 or not cell[:4].isdigit():
        return None
    try:
        moment = datetime.datetime.fromisoformat(cell)
        if moment.tzinfo is not None:
            moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return (moment - datetime.datetime(1970, 1, 1)).total_seconds() / 86400
