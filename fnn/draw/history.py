"""Curves of a training run, and of many."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fnn.draw.base import COLOURS, blank, finish, plain, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves(history: Any, *, against: str = "step", title: str = "") -> "Figure":
    """The quantities of a training run over its steps: losses in one panel, all else in another.

    Args:
      history: a mapping from names to sequences of one length, or what has one as its attribute
        `history`, such as the result of `fnn.fit`.
      against: the quantity on the horizontal axis, such as "step", "epoch" or "seconds".
      title: stands above.

    Raises:
      ValueError: if there is nothing to draw.
      ImportError: if matplotlib is missing.

    >>> figure = curves({"step": [1, 2], "loss": [3.0, 2.0], "val_accuracy": [0.1, 0.5]})
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss', 'score']
    """
    history = getattr(history, "history", history)
    if against not in history:
        raise ValueError(f"draw.curves: no {against!r} in the history; it has {', '.join(history)}")
    names = [name for name in history if name not in ("step", "epoch", "seconds", against)]
    panels = {
        "loss": [name for name in names if name.endswith("loss")],
        "score": [name for name in names if not name.endswith("loss")],
    }
    panels = {label: some for label, some in panels.items() if some}
    if not panels:
        raise ValueError("draw.curves: the history holds nothing beside the steps")
    with styled():
        figure, axes = blank(1, len(panels), (4.6 * len(panels), 3.4))
        for panel, (label, some) in zip(axes.flat, panels.items(), strict=True):
            for place, name in enumerate(some):
                colour = COLOURS[(2 * place + 1) % len(COLOURS)]
                panel.plot(history[against], history[name], color=colour, label=name)
            finish(panel, "", against, label, log_y=label == "loss")
            panel.legend()
        figure.suptitle(title)
    return figure


def seeds(
    series: Mapping[str, Any],
    *,
    at: Any = None,
    x: str = "step",
    y: str = "loss",
    title: str = "",
) -> "Figure":
    """Curves of several seeds: each a thin line, their median thick, the middle half shaded.

    Args:
      series: by name, (seeds, checks), such as the losses of runs under `jax.vmap`.
      at: (checks,) where they were recorded; 1, 2, ... if None.
      x: what `at` counts.
      y: what is shown; a loss is drawn on a logarithmic axis if all of it is positive.
      title: stands above.

    Raises:
      ValueError: if a series is not (seeds, checks), or they differ in checks.
      ImportError: if matplotlib is missing.

    >>> figure = seeds({"adam": [[3.0, 1.0], [4.0, 2.0], [5.0, 1.5]]}, at=[10, 20])
    >>> [line.get_label() for line in figure.axes[0].get_lines() if line.get_linewidth() > 1]
    ['adam, 3 seeds']
    """
    arrays = {name: np.asarray(values, float) for name, values in series.items()}
    shapes = {name: a.shape for name, a in arrays.items()}
    if not arrays or any(len(shape) != 2 or 0 in shape for shape in shapes.values()):
        raise ValueError(f"draw.seeds: each series must be (seeds, checks), got {shapes}")
    checks = next(iter(shapes.values()))[1]
    across = np.arange(1, checks + 1) if at is None else np.asarray(at, float)
    if any(shape[1] != len(across) for shape in shapes.values()):
        raise ValueError(f"draw.seeds: {len(across)} places for series of shapes {shapes}")
    with styled():
        figure, axes = blank(1, 1, (5.4, 3.4))
        panel = axes[0, 0]
        for place, (name, each) in enumerate(arrays.items()):
            colour = COLOURS[(5 * place + 1) % len(COLOURS)]
            with warnings.catch_warnings():  # where all seeds have diverged there is no median
                warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
                low, middle, high = np.nanquantile(each, (0.25, 0.5, 0.75), axis=0)
            panel.fill_between(across, low, high, color=colour, alpha=0.22, linewidth=0)
            panel.plot(across, each.T, color=colour, linewidth=0.5, alpha=0.45)
            label = f"{plain(name)}, {len(each)} seeds"
            panel.plot(across, middle, color=colour, linewidth=1.8, label=label)
        finish(panel, title, x, y, log_y="loss" in y)
        panel.legend()
    return figure
