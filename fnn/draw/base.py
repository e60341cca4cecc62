"""What every picture of the library is made with: colours, style, an empty figure, its axes."""

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fnn.checkpoint.atomic import write_atomically

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


def stored(figure: "Figure", path: str | os.PathLike[str] | None) -> bytes:
    """The figure as a PNG; written whole or not at all where a path is given."""
    picture = png(figure)
    if path is not None:
        write_atomically(path, picture)
    return picture


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
