"""Tables of a few columns that a terminal of 80 to 100 letters can hold."""

import math
from collections.abc import Sequence

WIDTH = 100


def table(
    heads: Sequence[str], lines: Sequence[Sequence[str]], *, left: int, last: bool = False
) -> str:
    """Columns of words, the first `left` of them flush left, and a rule below the heads.

    Columns without a word in any line are left out. With `last`, the last line stands below a rule.

    >>> print(table(["layer", "norm", "none"], [["dense_0", "1.5", ""]], left=1))
    layer    norm
    -------------
    dense_0   1.5
    """
    kept = [i for i in range(len(heads)) if any(line[i] for line in lines)] or [0]
    cells = [[line[i] for i in kept] for line in (heads, *lines)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]

    def row(line):
        fields = (
            cell.ljust(width) if place < left else cell.rjust(width)
            for (place, cell), width in zip(zip(kept, line, strict=True), widths, strict=True)
        )
        return "  ".join(fields).rstrip()

    rows = [row(line) for line in cells]
    rule = "-" * max(map(len, rows))
    rows.insert(1, rule)
    if last:
        rows.insert(-1, rule)
    return "\n".join(rows)


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
