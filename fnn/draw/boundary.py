"""What a network says at every point of a plane."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.checks import check_count
from fnn.core import Layer
from fnn.draw.base import COLOURS, blank, plain, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLASSES = tuple(COLOURS[i] for i in (1, 7, 5, 8, 3, 11, 6, 0, 9, 4))  # 10 that differ on paper
_MARGIN = 0.12  # around the points, of their reach


def boundary(
    net: Layer,
    params: Any,
    state: Any,
    x: Any,
    y: Any,
    *,
    threshold: float = 0.0,
    labels: Sequence[str] | None = None,
    grid: int = 150,
    title: str = "",
) -> "Figure":
    r"""The decision boundary of a network with two inputs, at one time or over several.

    Each point of the plane is coloured by what the network says there, the stronger the surer:
    with several outputs the class of the largest, by its softmax; with one output, which of both
    sides of the threshold it is on, by :math:`\tanh` of the distance. The line is where it is torn
    between two classes; dots are the examples.

    Args:
      net: a network that takes (n, 2).
      params: its parameters; or a list of them, a panel each, such as those of several epochs.
      state: its state.
      x: the examples, (n, 2).
      y: their classes, (n,) or (n, 1): 0, 1, 2, ..., or two numbers such as -1 and 1; or one-hot.
      threshold: of a single output: 0 for logits, 0.5 for a net trained on 0 and 1.
      labels: what stands above each panel.
      grid: points a side.
      title: stands above all.

    Raises:
      ValueError: if x is not (n, 2), y does not fit or the network gives no (n, outputs).
      ImportError: if matplotlib is missing.

    >>> import fnn
    >>> net = fnn.layers.dense(1)
    >>> x = np.array([[-1.0, 0.0], [1.0, 0.0]], np.float32)
    >>> params = {"w": np.array([[1.0], [0.0]], np.float32), "b": np.zeros(1, np.float32)}
    >>> figure = boundary(net, params, {}, x, np.array([0, 1]))
    >>> len(figure.axes)
    1
    """
    frames = list(params) if isinstance(params, list | tuple) else [params]
    x, classes = _checked(x, y)
    names = [""] * len(frames) if labels is None else list(labels)
    if not frames:
        raise ValueError("draw.boundary: params is an empty list; give at least one frame")
    if len(names) != len(frames):
        raise ValueError(f"draw.boundary: {len(names)} labels for {len(frames)} frames of params")
    grid = check_count("draw.boundary", "grid", grid, 2)
    low, high = x.min(0), x.max(0)
    margin = _MARGIN * np.maximum(high - low, 1e-6)
    sides = [np.linspace(a, b, grid) for a, b in zip(low - margin, high + margin, strict=True)]
    points = jnp.asarray(np.stack(np.meshgrid(*sides), -1).reshape(-1, 2), jnp.float32)
    apply = jax.jit(lambda own: net.apply(own, state, points)[0])
    columns = min(len(frames), 4)
    rows = -(-len(frames) // columns)
    with styled():
        figure, axes = blank(rows, columns, (max(3.4, 2.6 * columns), 2.75 * rows + 0.3))
        for panel, own, name in zip(axes.flat, frames, names, strict=False):
            given = np.nan_to_num(np.asarray(apply(own), float))  # of a run that diverged
            if given.ndim != 2:
                raise ValueError(f"draw.boundary: the network gives {given.shape} for (n, 2)")
            _field(panel, sides, given, threshold)
            for place in np.unique(classes):
                mine = x[classes == place]
                panel.plot(*mine.T, "o", color=CLASSES[place % 10], markersize=3.2,
                           markeredgecolor="white", markeredgewidth=0.4)  # fmt: skip
            panel.set_title(plain(str(name)), fontsize=9)
            panel.set(xticks=[], yticks=[], xlabel="", ylabel="")
            panel.grid(False)
        for panel in axes.flat[len(frames) :]:
            panel.remove()
        figure.suptitle(plain(title), x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def _field(panel: Any, sides: Any, given: np.ndarray, threshold: float) -> None:
    """Colour the plane by class and certainty, and draw the line between classes."""
    grid = len(sides[0])
    if given.shape[1] == 1:
        off = given[:, 0] - threshold
        best, sure = (off > 0).astype(int), np.tanh(np.abs(off))
        lead = [off]
    else:
        top = np.exp(given - given.max(1, keepdims=True))
        share = top / top.sum(1, keepdims=True)
        best, even = share.argmax(1), 1 / given.shape[1]
        sure = (share.max(1) - even) / (1 - even)
        lead = [share[:, k] - np.delete(share, k, 1).max(1) for k in range(given.shape[1])]
    colours = np.array([_rgb(CLASSES[place % 10]) for place in range(max(2, given.shape[1]))])
    strength = (0.08 + 0.47 * sure)[:, None]
    field = 1 - strength * (1 - colours[best])
    extent = (sides[0][0], sides[0][-1], sides[1][0], sides[1][-1])
    panel.imshow(field.reshape(grid, grid, 3), origin="lower", extent=extent, aspect="auto")
    for one in lead:
        if one.min() < 0 < one.max():
            panel.contour(*sides, one.reshape(grid, grid), [0.0], colors="#333333", linewidths=0.8)


def _rgb(colour: str) -> list[float]:
    return [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]


def _checked(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x, float), np.asarray(y)
    if x.ndim != 2 or x.shape[1] != 2 or not len(x):
        raise ValueError(f"draw.boundary: x must be (n, 2), a plane, got {x.shape}")
    if y.ndim == 2 and y.shape[1] > 1:
        y = y.argmax(1)
    if y.reshape(-1).shape != (len(x),):
        raise ValueError(f"draw.boundary: y must hold {len(x)} classes, as x rows, got {y.shape}")
    return x, np.unique(y.reshape(-1), return_inverse=True)[1]
