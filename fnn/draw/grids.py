"""Images side by side, and weights as images."""

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from fnn.draw.base import blank, plain, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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


def filters(
    w: Any, *, shape: tuple[int, ...] | None = None, columns: int | None = None, title: str = ""
) -> "Figure":
    """The weights of a first layer as images: what each unit looks for.

    Grey is 0, white the largest weight of a filter, black its opposite; of three input channels
    the colours are red, green and blue.

    Args:
      w: kernels (height, width, channels, filters) with 1 or 3 channels, as of `layers.conv`; or
        (inputs, units), as of `layers.dense`, with `shape=`.
      shape: of the images that a dense layer sees, such as (28, 28).
      columns: how many stand in a row.
      title: stands above.

    Raises:
      ValueError: if they are no images.
      ImportError: if matplotlib is missing.

    >>> figure = filters(np.random.default_rng(0).normal(size=(5, 5, 1, 8)), columns=4)
    >>> len(figure.axes)
    1
    """
    w = np.asarray(w, float)
    if w.ndim == 2 and shape is not None and np.prod(shape) == len(w):
        w = w.reshape(*shape, *(() if len(shape) == 3 else (1,)), -1)
    if w.ndim != 4 or w.shape[2] not in (1, 3):
        raise ValueError(
            "draw.filters: w must be (height, width, 1 or 3, filters), or (inputs, units) with"
            f" shape= of as many inputs, got {w.shape} and shape={shape}"
        )
    each = np.moveaxis(w, -1, 0)
    largest = np.abs(each).max((1, 2, 3), keepdims=True)
    return images(0.5 + 0.5 * each / np.maximum(largest, 1e-30), columns=columns, title=title)


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
