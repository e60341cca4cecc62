"""Texts: what a network that reads letter by letter learns from."""

import difflib
import pathlib

_TEXTS = ("shakespeare",)


def text(name: str = "shakespeare") -> str:
    r"""A text by name, as one string; never needs the network.

    `shakespeare`: 40,000 lines from plays of Shakespeare, 1,115,394 characters of 65 kinds, known
    as "tiny Shakespeare". `fnn.data.characters` numbers its characters, `fnn.data.windows` cuts it.

    Raises:
      ValueError: if the name is unknown.

    Source: Shakespeare's works, in the public domain; this selection by Karpathy 2015,
      https://github.com/karpathy/char-rnn, data/tinyshakespeare/input.txt, unchanged

    >>> text("shakespeare")[:45]
    'First Citizen:\nBefore we proceed any further,'
    """
    import bz2  # here, for some builds of Python come without it

    if name not in _TEXTS:
        near = difflib.get_close_matches(str(name), _TEXTS, 1, 0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(
            f"datasets.text: unknown text {name!r}; {hint}there are {', '.join(_TEXTS)};"
            " pathlib.Path(path).read_text() reads a file"
        )
    file = pathlib.Path(__file__).with_name(f"{name}.txt.bz2")
    return bz2.decompress(file.read_bytes()).decode("ascii")
