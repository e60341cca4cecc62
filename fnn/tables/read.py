"""Read a table from a file: CSV, TSV and Parquet, from people one does not know."""

import collections
import csv
import gzip
import importlib
import io
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np

from fnn.checks import check_path

MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-", "nat"}
COLUMNS = 10_000  # more than that is no table of a person's making
BYTES = 500_000_000  # of text; in memory its cells take some twenty times that
DELIMITERS = ",;\t|"


class Table(NamedTuple):
    """Columns of text as they stand in the file; None where a value is missing.

    Attributes:
      columns: by name, in the order of the file, each an array of str and None.
      decimal: "." or ",": how numbers are written.
    """

    columns: dict[str, np.ndarray]
    decimal: str = "."

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(next(iter(self.columns.values())))

    def take(self, index: Any) -> "Table":
        """Some of the rows."""
        return Table({name: column[index] for name, column in self.columns.items()}, self.decimal)

    def without(self, *names: str) -> "Table":
        """All columns but these."""
        kept = {name: column for name, column in self.columns.items() if name not in names}
        return Table(kept, self.decimal)


def read_table(path: str | os.PathLike[str]) -> Table:
    """The table in a file, by its name: .csv, .tsv, .txt (each also .gz) or .parquet.

    The first line names the columns, and its delimiter, of comma, semicolon, tab and bar the one
    that cuts it into most cells, is that of all lines; with semicolons, numbers may have a decimal
    comma. A first column without a name is called "row". Text is UTF-8. Empty cells and the words
    NA, N/A, NaN, null, none, NaT, ? and - are missing.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is no table: says the line, what was expected and what came.
      ImportError: for Parquet without pandas and pyarrow.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     _ = file.write("age,town\\n3,Ulm\\n,Bonn\\n"); file.flush()
    ...     table = read_table(file.name)
    >>> table.rows, table.columns["age"].tolist()
    (2, ['3', None])
    """
    path = check_path("read_table", path)
    if path.is_dir() or not path.exists():
        what = "is a folder" if path.is_dir() else "is no file that there is"
        raise FileNotFoundError(f"read_table: {path} {what}; give the path of a .csv or .parquet")
    if path.suffix.lower() in (".parquet", ".pq"):
        return _parquet(path)
    if path.suffix.lower() in (".xls", ".xlsx", ".json", ".pkl", ".pickle"):
        raise ValueError(
            f"read_table: {path.name}: {path.suffix} is not read; save it as .csv or .parquet first"
        )
    try:
        opening = gzip.open if path.suffix.lower() == ".gz" else open
        with opening(path, "rb") as file:
            content = file.read(BYTES + 1)
        if len(content) > BYTES:
            raise ValueError(f"has more than {BYTES:,} bytes; give a part of it")
        kinds = [suffix.lower() for suffix in path.suffixes]
        return parse_csv(content, delimiter="\t" if ".tsv" in kinds else None)
    except (ValueError, EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"read_table: {path.name}: {error}") from error


def parse_csv(content: bytes, *, delimiter: str | None = None) -> Table:
    """The table in the bytes of a CSV file; without a delimiter, the header tells it.

    Raises:
      ValueError: if it is none; without the file's name.
    """
    if b"\0" in content:
        raise ValueError("has zero bytes in it: it is no text, or text in UTF-16; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"line {line} is not UTF-8 (byte {content[error.start]:#04x}); save it as UTF-8"
        ) from error
    delimiter = delimiter or _delimiter(text)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, names = [], None
    try:
        for row in lines:
            if names is None:
                names = _names(row) if row else None
            elif not row:
                rows.append(row)
            elif len(row) != len(names):
                raise ValueError(
                    f"line {lines.line_num} has {len(row)} cells where the header has {len(names)};"
                    " put a cell that holds the delimiter in quotation marks, leave an empty one"
                    " between two delimiters"
                )
            else:
                rows.append(row)
    except csv.Error as error:
        raise ValueError(f"line {lines.line_num}: {error}; is a quotation mark open?") from error
    if names is None:
        raise ValueError("is empty, expected a header and rows; is it the right file?")
    while rows and not rows[-1]:
        rows.pop()
    # an empty line is a gap in a table of one column, and nothing in others
    rows = [row or [""] for row in rows] if len(names) == 1 else [row for row in rows if row]
    if not rows:
        raise ValueError(f"has a header ({', '.join(names[:5])}) and no rows; add some")
    cells = np.array(rows, object)
    columns = {}
    for place, name in enumerate(names):
        stripped = [cell.strip() for cell in cells[:, place]]
        values = [None if cell.lower() in MISSING else cell for cell in stripped]
        columns[name] = np.array(values, object)
    decimal = "," if delimiter == ";" and _decimal_commas(columns) else "."
    return Table(columns, decimal)


def _delimiter(text: str) -> str:
    """The one that cuts the header into most cells; a comma if none does."""
    best, most = ",", 1
    for delimiter in DELIMITERS:
        try:
            head = next(
                (row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row), []
            )
        except csv.Error:
            continue
        if len(head) > most:
            best, most = delimiter, len(head)
    return best


def _names(row: list[str]) -> list[str]:
    """The names of the columns, which must be there, differ, and not be numbers."""
    names = [cell.strip() for cell in row]
    if len(names) > COLUMNS:
        raise ValueError(f"has {len(names):,} columns, more than the {COLUMNS:,} that can be taken")
    if len(names) > 1 and not names[0] and "row" not in names:
        names[0] = "row"  # as pandas writes its index
    if "" in names:
        raise ValueError(f"column {names.index('') + 1} has no name in the header; give it one")
    twice = sorted(name for name, many in collections.Counter(names).items() if many > 1)
    if twice:
        raise ValueError(f"names a column twice: {', '.join(twice[:5])}; rename one of the two")
    if all(as_number(name) is not None for name in names):
        raise ValueError(
            f"has no header: its first line holds numbers ({', '.join(names[:3])}); name columns"
        )
    return names


def _decimal_commas(columns: dict[str, np.ndarray]) -> bool:
    """Whether numbers are written with commas: some are, and none with a point."""
    some = False
    for column in columns.values():
        cells = [cell for cell in column if cell is not None]
        if cells and all(as_number(cell, ",") is not None for cell in cells):
            some |= any("," in cell for cell in cells)
        elif cells and all(as_number(cell) is not None for cell in cells):
            return False
    return some


def as_number(cell: str, decimal: str = ".") -> float | None:
    """The number that a cell holds, or None; infinity is no number, and neither is 1_000.

    >>> as_number("1,5", ","), as_number("1e3"), as_number("inf"), as_number("a")
    (1.5, 1000.0, None, None)
    """
    if decimal == ",":
        if "." in cell:
            return None
        cell = cell.replace(",", ".")
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if np.isfinite(number) and "_" not in cell else None


def _parquet(path: pathlib.Path) -> Table:
    try:
        import pandas

        importlib.import_module("pyarrow")
    except ImportError as error:
        raise ImportError(
            "read_table: Parquet needs pandas and pyarrow: pip install 'fnn[tables]'"
        ) from error
    try:
        frame = pandas.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's own are among these
        if not path.exists():
            raise
        raise ValueError(f"read_table: {path.name}: {error}") from error
    return from_frame(frame)


def from_frame(frame: Any) -> Table:
    """A pandas data frame as a table: each cell as text, gaps as None."""
    names = _names([str(name) for name in frame.columns])
    if not len(frame):
        raise ValueError("read_table: the table has no rows")
    columns = {}
    for place, name in enumerate(names):
        series = frame.iloc[:, place]
        gaps = series.isna().to_numpy()
        cells = [None if gap else _text(value) for gap, value in zip(gaps, series, strict=True)]
        columns[name] = np.array(
            [None if c is None or c.lower() in MISSING else c for c in cells], object
        )
    return Table(columns)


def _text(value: Any) -> str:
    return repr(float(value)) if isinstance(value, float | np.floating) else str(value).strip()
