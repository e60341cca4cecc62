"""Pictures: curves of a training run, and what every picture of the library is made with.

A picture is a matplotlib `Figure`; pyplot and its state are left alone. `png(figure)` gives its
bytes, `figure.savefig(path)` a file of any kind. Matplotlib is imported inside functions only.
"""

import io
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by people who confuse red and green too, by lightness and by markers: after the schemes
# "muted" and "vibrant" of Paul Tol, https://personal.sron.nl/~pault/.
COLOURS = (
    "#88CCEE", "#4477AA", "#332288", "#DDAA33", "#999933", "#117733",
    "#CC3311", "#EE7733", "#AA4499", "#882255", "#000000", "#44AA99",
)  # fmt: skip
MARKERS = "osD^v<>PXph*"
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def need_matplotlib(where: str) -> None:
    """Raise an `ImportError` that says how to get matplotlib, if it is missing."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise ImportError(f"{where} needs matplotlib: pip install 'fnn[compare]'")


def png(figure: "Figure", *, dpi: int = 160) -> bytes:
    """The figure as the bytes of a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    return file.getvalue()


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


def images(pictures: Any, *, columns: int | None = None, title: str = "") -> "Figure":
    """Images side by side in a grid, or several grids, each with its name.

    Grey from black, 0, to white, 1; numbers beyond are shown as these.

    Args:
      pictures: (n, height, width), (n, height, width, 1) or with 3 for red, green and blue; or a
        dict of such by name, a panel each. With two leading axes, (rows, columns, height, ...),
        they say where each stands.
      columns: how many stand in a row, where there is one leading axis; about as many as rows
        if None.
      title: stands above.

    Raises:
      ValueError: if the arrays are no images.
      ImportError: if matplotlib is missing.

    >>> figure = images({"noise": np.random.default_rng(0).random((6, 8, 8))}, columns=3)
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['noise']
    """
    named = dict(pictures) if isinstance(pictures, dict) else {"": pictures}
    grids = {name: _tiled(some, columns) for name, some in named.items()}
    with styled():
        widths = [3.6 * grid.shape[1] / grid.shape[0] for grid in grids.values()]  # inches
        names = [
            textwrap.fill(plain(name), round(11 * width))
            for name, width in zip(grids, widths, strict=True)
        ]
        lines = 1 + max(name.count("\n") for name in names)
        size = (sum(widths) + 0.2, 3.65 + 0.2 * lines + 0.3 * bool(title))
        figure, axes = blank(1, len(grids), size, width_ratios=widths)
        for panel, name, grid in zip(axes.flat, names, grids.values(), strict=True):
            panel.imshow(grid, cmap="gray", vmin=0, vmax=1)
            panel.set_title(name, fontweight="bold")
            panel.set_axis_off()
        figure.suptitle(plain(title))
    return figure


def _tiled(pictures: Any, columns: int | None) -> np.ndarray:
    """One large image, a white line of one pixel between each two small ones."""
    pictures = np.asarray(pictures, float)
    if pictures.shape[-1:] in ((1,), (3,)) and pictures.ndim > 3:
        colours = pictures.shape[-1]
    else:
        pictures, colours = pictures[..., None], 1
    if pictures.ndim not in (4, 5) or not pictures.size:
        raise ValueError(
            "draw.images: each array must be (n, height, width) or (n, height, width, 1 or 3), or"
            f" with a grid's rows and columns for n, got {pictures.shape[:-1]}"
        )
    if pictures.ndim == 4:
        n = len(pictures)
        columns = min(n, columns or int(np.ceil(np.sqrt(n))))
        rows = -(-n // columns)
        blanks = np.ones((rows * columns - n, *pictures.shape[1:]))
        pictures = np.concatenate([pictures, blanks])
        pictures = pictures.reshape(rows, columns, *pictures.shape[1:])
    rows, columns, height, width, _ = pictures.shape
    framed = np.pad(pictures, [(0, 0), (0, 0), (0, 1), (0, 1), (0, 0)], constant_values=1)
    whole = framed.swapaxes(1, 2).reshape(rows * (height + 1), columns * (width + 1), colours)
    whole = np.clip(whole[:-1, :-1], 0, 1)
    return whole[..., 0] if colours == 1 else whole


def finish(panel: "Axes", title: str, x: str, y: str, *, log_y: bool) -> None:
    """Name panel and axes; make y logarithmic, in plain numbers, if all of it can stand there."""
    panel.set_title(plain(title), fontweight="bold")
    panel.set(xlabel=x, ylabel=y)
    drawn = [line.get_ydata() for line in panel.get_lines()]
    if log_y and drawn and _positive(drawn):
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
        panel.yaxis.set_minor_formatter(NullFormatter())


def crowd_at_one(panel: "Axes") -> None:
    """Make room where accuracies crowd: equal distances are equal ratios of the errors left."""
    from matplotlib.ticker import FixedLocator, NullLocator

    lines = [np.asarray(line.get_ydata(), float) for line in panel.get_lines()]
    seen = np.concatenate([line[np.isfinite(line)] for line in lines] or [np.array([])])
    if not len(seen):
        return
    floor = max(1e-3, 0.7 * (1 - seen.max()))

    def forward(value):
        return -np.log(np.maximum(1 - np.asarray(value, float), floor / 10))

    def back(value):
        return 1 - np.exp(-np.asarray(value, float))

    panel.set_yscale("function", functions=(forward, back))
    ticks = [0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.96, 0.97, 0.98, 0.99, 0.995]
    panel.yaxis.set_major_locator(FixedLocator(ticks))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(percent())
    panel.set_ylim(max(0.0, min(0.4, float(np.median(seen)) - 0.3)), 1 - floor)


def plain(text: str) -> str:
    """The text as it is: a dollar sign would make matplotlib read it as mathematics."""
    return text.replace("$", r"\$")


def percent() -> Any:
    """A formatter that shows 0.95 as 95 %."""
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, place: f"{100 * value:.4g} %")


def _positive(series: Any) -> bool:
    values = np.concatenate([np.asarray(values, float) for values in series])
    values = values[np.isfinite(values)]
    return bool(len(values)) and bool((values > 0).all())


def blank(
    rows: int, columns: int, size: tuple[float, float], **ratios: Any
) -> tuple["Figure", Any]:
    """An empty figure of this size in inches and its array of panels, as wide as `ratios` say."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **ratios)


def styled() -> Any:
    """The library's style, for as long as a `with` block lasts."""
    need_matplotlib("draw")
    from matplotlib import rc_context

    return rc_context(dict(_STYLE))
