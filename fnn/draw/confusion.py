"""A confusion matrix as a picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fnn.draw.base import blank, plain, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion(matrix: Any, *, names: Sequence[str] | None = None, title: str = "") -> "Figure":
    """Which classes are taken for which: a row for each true class, a column for what was said.

    A cell shows how many, and is the darker the larger its share of the row; beside each row stands
    the recall of its class, below each column the precision.

    Args:
      matrix: (classes, classes) counts, such as of `metrics.confusion_matrix`.
      names: of the classes; their numbers if None.
      title: stands above.

    Raises:
      ValueError: if the matrix is not square, or the names do not fit.
      ImportError: if matplotlib is missing.

    >>> figure = confusion([[8, 2], [1, 9]], names=["cat", "dog"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['8', '2', '1', '9', '80%', '90%', '89%', '82%']
    """
    counts = np.asarray(matrix)
    counts = counts.astype(int) if np.array_equal(counts, np.round(counts)) else counts
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ValueError(
            f"draw.confusion: the matrix must be square, (classes, classes), got {counts.shape};"
            " metrics.confusion_matrix(predictions, labels) makes one"
        )
    n = len(counts)
    words = list(map(str, range(n) if names is None else names))
    if len(words) != n:
        raise ValueError(f"draw.confusion: {len(words)} names for {n} classes")
    rows, columns = counts.sum(1), counts.sum(0)
    shares = counts / np.maximum(rows, 1)[:, None]
    size = 0.42 * n + 1.9 + 0.06 * max(map(len, words))
    with styled():
        figure, axes = blank(1, 1, (size, size))
        panel = axes[0, 0]
        panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        small = 9 if n <= 12 else 6
        for i, j in np.ndindex(n, n):
            ink = "white" if shares[i, j] > 0.55 else "#222222" if counts[i, j] else "#bbbbbb"
            panel.text(
                j,
                i,
                f"{counts[i, j]:.3g}" if counts.dtype.kind == "f" else str(counts[i, j]),
                ha="center",
                va="center",
                fontsize=small,
                color=ink,
            )
        for i in range(n):
            _rate(panel, n - 0.35, i, counts[i, i], rows[i], ha="left")
        for j in range(n):
            _rate(panel, j, n - 0.35, counts[j, j], columns[j], va="top")
        panel.set(xticks=range(n), yticks=range(n), xlim=(-0.5, n + 0.6), ylim=(n + 0.2, -0.5))
        panel.set_xticklabels(map(plain, words), rotation=45 if max(map(len, words)) > 3 else 0)
        panel.set_yticklabels(map(plain, words))
        panel.set(xlabel="said (below: precision)", ylabel="true (beside: recall)")
        panel.grid(False)
        panel.spines[:].set_visible(False)
        panel.tick_params(length=0)
        panel.set_title(plain(title), fontweight="bold")
    return figure


def _rate(panel: Any, x: float, y: float, hit: Any, total: Any, **place: Any) -> None:
    words = f"{hit / total:.0%}" if total else "-"
    place = {"ha": "center", "va": "center"} | place
    panel.text(x, y, words, fontsize=8, color="#666666", **place)
