"""Text as numbers: a vocabulary of characters, windows of ids, a split that keeps the order.

text = fnn.datasets.text("shakespeare")
characters = fnn.data.characters(text)
train, test = fnn.data.split_in_order(characters.encode(text))
x, y = fnn.data.windows(train, 64)
"""

from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fnn.checks import check_count
from fnn.data.parts import part_size

Sequence = TypeVar("Sequence")


class Characters(NamedTuple):
    """A vocabulary of characters: each one's id is its place in `alphabet`.

    Attributes:
      alphabet: the characters, each once, in the order of their code points; `characters` makes it.
    """

    alphabet: str

    @property
    def size(self) -> int:
        """How many characters there are; ids are below it."""
        return len(self.alphabet)

    def encode(self, text: str) -> np.ndarray:
        """The id of each character of `text`, int32 of shape (characters,).

        Raises:
          ValueError: if a character is not in the vocabulary; names the first and its place.

        >>> characters("hello").encode("hole").tolist()
        [1, 3, 2, 0]
        """
        if not isinstance(text, str):
            raise TypeError(f"Characters.encode: text must be a str, got {type(text).__name__}")
        known, wanted = _code_points(self.alphabet), _code_points(text)
        ids = np.searchsorted(known, wanted).astype(np.int32)
        strange = np.flatnonzero(known[np.minimum(ids, self.size - 1)] != wanted)
        if len(strange):
            place = int(strange[0])
            kinds = len(np.unique(wanted[strange]))
            raise ValueError(
                f"Characters.encode: {text[place]!r} at place {place}, line"
                f" {text.count(chr(10), 0, place) + 1}, is not among the {self.size} characters"
                f" known ({kinds} such in all); make the vocabulary of all texts together,"
                " characters(a + b), or replace what is strange"
            )
        return ids

    def decode(self, ids: Any) -> str:
        """The text whose ids these are: one sequence of integers, an array or a list.

        Raises:
          ValueError: if there is not one sequence of integers, or an id is out of range.

        >>> characters("hello").decode([1, 0, 2, 2, 3])
        'hello'
        """
        ids = _sequence("Characters.decode", ids, "decode(ids[0]) for the first of a batch")
        strange = np.flatnonzero((ids < 0) | (ids >= self.size))
        if len(strange):
            place = int(strange[0])
            raise ValueError(
                f"Characters.decode: id {ids[place]} at place {place} is none of the {self.size}"
                f" characters, 0 to {self.size - 1}; was it made with another vocabulary?"
            )
        return "".join([self.alphabet[i] for i in ids.tolist()])


def characters(text: str) -> Characters:
    """The vocabulary of a text: its different characters in the order of their code points.

    Raises:
      ValueError: if there is no text. TypeError: if it is no str.

    >>> vocabulary = characters("to be or not to be")
    >>> vocabulary.alphabet, vocabulary.size
    (' benort', 7)
    """
    if not isinstance(text, str):
        raise TypeError(f"characters: text must be a str, got {type(text).__name__}")
    if not text:
        raise ValueError("characters: the text is empty; give one with the characters to know")
    return Characters("".join(sorted(set(text))))


def windows(ids: Any, length: int, *, stride: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    r"""Pieces of a sequence, and each piece one step later: what to read and what comes next.

    .. math:: x_{nt} = i_{ns + t}, \qquad y_{nt} = i_{ns + t + 1}

    What does not fill a window is left out, at the end. Split before cutting (`split_in_order`):
    neighbours overlap, or go on in one sentence, and would tell a test part of the other.

    Args:
      ids: one sequence of integers, such as `Characters.encode` gives.
      length: of each window, 1 to one less than there are ids.
      stride: s, from one window's beginning to the next's; `length` if None, so that each id is
        to be predicted once. Smaller gives more windows, up to one for each place.

    Shapes:
      ids: (n,) -> x, y: (windows, length) int32; (n - 1 - length) // stride + 1 windows.

    Raises:
      ValueError: if the ids are too few for a window, or are not one sequence of integers.

    >>> x, y = windows(range(8), 3)
    >>> x.tolist(), y.tolist()
    ([[0, 1, 2], [3, 4, 5]], [[1, 2, 3], [4, 5, 6]])
    """
    ids = _sequence("windows", ids, "windows of each and np.concatenate for several")
    length = check_count("windows", "length", length)
    stride = length if stride is None else check_count("windows", "stride", stride)
    if len(ids) <= length:
        raise ValueError(
            f"windows: length={length} needs {length + 1} ids, one to come after the last, got"
            f" {len(ids)}; make length smaller"
        )
    pieces = sliding_window_view(ids.astype(np.int32), length + 1)[::stride]
    return np.ascontiguousarray(pieces[:, :-1]), np.ascontiguousarray(pieces[:, 1:])


def split_in_order(sequence: Sequence, *, test: float | int = 0.1) -> tuple[Sequence, Sequence]:
    """The beginning of a sequence to train on, and its end to test with: nothing is shuffled.

    For text and time series, whose neighbours tell of each other.

    Args:
      sequence: what can be cut: an array, along its first axis, a str, a list.
      test: size of the end, a share in (0, 1), rounded to whole entries, or a number of entries.

    Raises:
      ValueError: if a part would be empty.

    >>> split_in_order("to be or not to be", test=5)
    ('to be or not ', 'to be')
    """
    count = part_size("split_in_order", "test", test, len(sequence))  # type: ignore[arg-type]
    return sequence[:-count], sequence[-count:]  # type: ignore[index]


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _sequence(where: str, ids: Any, cure: str) -> np.ndarray:
    """The ids on the host, or an error unless they are one sequence of integers."""
    ids = np.asarray(ids)
    if ids.ndim != 1 or (ids.dtype.kind not in "iu" and ids.size):
        raise ValueError(
            f"{where}: ids must be one sequence of integers, got {ids.dtype} of shape {ids.shape};"
            f" take {cure}"
        )
    return ids
