"""Tables of a few columns that a terminal of 80 to 100 letters can hold."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

WIDTH = 100


class Words(NamedTuple):
    """A table in words, and the sentences below it.

    `str` sets it in plain text, `rich.print` with containers in bold: rich asks for `__rich__`.

    Attributes:
      heads: a word for each column.
      lines: a word for each column of each line; columns without any are left out.
      notes: the sentences.
      left: how many columns stand flush left.
    """

    heads: Sequence[str]
    lines: Sequence[Sequence[str]]
    notes: Sequence[str]
    left: int

    def kept(self) -> list[int]:
        """The columns that have a word in any line."""
        return [i for i in range(len(self.heads)) if any(line[i] for line in self.lines)] or [0]

    def __str__(self) -> str:
        """
        >>> print(Words(["layer", "norm", "none"], [["dense_0", "1.5", ""]], ["one note"], left=1))
        layer    norm
        -------------
        dense_0   1.5
        one note
        """
        kept = self.kept()
        cells = [[line[i] for i in kept] for line in (self.heads, *self.lines)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]

        def row(line):
            fields = (
                cell.ljust(width) if place < self.left else cell.rjust(width)
                for place, cell, width in zip(kept, line, widths, strict=True)
            )
            return "  ".join(fields).rstrip()

        rows = [row(line) for line in cells]
        rows.insert(1, "-" * max(map(len, rows)))
        return "\n".join([*rows, *self.notes])

    def rich(self) -> Any:
        """The table as `rich` shows it."""
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for i in self.kept():
            if i < self.left:
                grid.add_column(self.heads[i], no_wrap=True)
            else:  # numbers are not cut, whatever the width
                width = max(len(line[i]) for line in (self.heads, *self.lines))
                grid.add_column(self.heads[i], justify="right", no_wrap=True, min_width=width)
        for line, after in zip(self.lines, [*self.lines[1:], [""]], strict=True):
            holds = _indent(after[0]) > _indent(line[0])
            grid.add_row(*(Text(line[i]) for i in self.kept()), style="bold" if holds else None)
        return Group(grid, *(Text(note) for note in self.notes))


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def cut(text: str, limit: int) -> str:
    """The text on one line, its end left out where it is longer than `limit`.

    >>> cut("a rather long name", 10)
    'a rathe...'
    """
    text = " ".join(text.split()).replace("( ", "(").replace(",)", ")")
    return text if len(text) <= limit else text[: limit - 3] + "..."


def cut_start(path: str, limit: int) -> str:
    """The path, its start left out where it is longer than `limit`.

    >>> cut_start("a/rather/long/path", 12)
    '...long/path'
    """
    return path if len(path) <= limit else "..." + path[3 - limit :]


def short(number: float, unit: str = "") -> str:
    """A large number in three or four digits: k, M, G, T are powers of a thousand.

    >>> short(999), short(101770), short(407080, "B"), short(0)
    ('999', '101.8 k', '407.1 kB', '0')
    """
    if number < 1000:
        return f"{number:.0f}{' ' if unit else ''}{unit}"
    power = min(int(math.log10(number) // 3), 5)
    if round(number / 1000**power, 1) >= 1000 and power < 5:
        power += 1
    return f"{number / 1000**power:.1f} {' kMGTP'[power]}{unit}"


def few(number: float | None, form: str = ".3g") -> str:
    """A measured number in few digits; nothing for None, a dash for what has no bound."""
    return "" if number is None else "-" if math.isinf(number) else f"{number:{form}}"


def share(number: float | None) -> str:
    """A share as a percentage; a dot where it is exactly none, nothing for None.

    >>> share(0.0), share(0.25), share(0.0001)
    ('.', '25%', '<1%')
    """
    if number is None:
        return ""
    if number == 0:
        return "."
    return "<1%" if number < 0.01 else f"{100 * number:.0f}%"
