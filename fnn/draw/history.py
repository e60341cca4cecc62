"""Curves of a training run."""

from typing import TYPE_CHECKING, Any

from fnn.draw.base import COLOURS, blank, finish, styled

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
