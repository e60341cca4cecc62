"""Write docs/errors.md, what users are told of their mistakes, from tests/test_errors.py.

python docs/errors.py
"""

import pathlib
import sys

HEAD = """\
# What fnn says to mistakes

Each message says where it was, what was expected, what came, and what to do. This page is written
from the table that `tests/test_errors.py` holds them to, by `python docs/errors.py`. In it `net` is
`serial(dense(4), jnp.tanh, dense(2))`, `params` and `state` are its own, `x` is float32 of shape
(32, 3), `y` holds 32 zeros, `frame` is `x` in pandas, `images` has shape (2, 28, 28, 1), `words`
(2, 5, 4). `fit(...)` is `fnn.fit` of all that with what is named changed, and so are `run(...)`,
`sweep(...)` and `cross_validate(...)` of configurations of a `rate`; `careless` uses its key twice.
"""


def page(mistakes, names, message_of):
    """The page: a section for each kind, a block for each mistake."""
    parts = [HEAD]
    for kind, rows in mistakes.items():
        parts.append(f"\n## {kind}\n")
        for code, _ in rows:
            told = message_of(code, names).replace("\n", "\n    ")
            parts.append(f"\n`{code}`\n\n    {told}\n")
    return "".join(parts)


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))
    import test_errors

    text = page(test_errors.MISTAKES, test_errors.setting(), test_errors.message_of)
    pathlib.Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
