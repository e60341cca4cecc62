"""Paths over a surface as they go: a GIF for anywhere, and a page to play with."""

import base64
import io
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from fnn.draw.base import COLOURS, blank, plain, styled
from fnn.draw.contours import _checked, contours, landmarks, look_of, visible
from fnn.draw.page import embedded, filled
from fnn.surfaces import Surface


def path_gif(
    surface: Surface, walked: Mapping[str, Any], *, frames: int = 60, title: str = ""
) -> bytes:
    """The paths as an animated GIF; early steps are shown slowly, later ones faster.

    Args:
      surface: a `fnn.surfaces.Surface`.
      walked: paths by name, each (steps + 1, 2), of one length; twelve can be told apart.
      frames: how many at most; one lasts a twelfth of a second, the last two seconds.
      title: stands above.

    Raises:
      ValueError: if there is no path, or one is not (steps + 1, 2).
      ImportError: if matplotlib is missing.

    >>> from fnn.surfaces import saddle
    >>> path_gif(saddle(), {"sgd": [[1.0, 0.0], [0.5, 0.0]]})[:6]
    b'GIF89a'
    """
    arrays = _checked(walked, "draw.path_gif")
    arrays = {name: visible(surface, path) for name, path in arrays.items()}
    last = max(map(len, arrays.values())) - 1
    looks = np.unique(np.geomspace(1, last + 1, frames).round().astype(int)) - 1
    with styled():
        figure, axes = blank(1, 1, (6.4, 4.3))
        panel: Any = axes[0, 0]
        figure.set_dpi(100)
        contours(panel, surface)
        panel.set_title(plain(title), fontweight="bold", fontsize=9)
        landmarks(panel, surface, next(iter(arrays.values()))[0], size=0.8)
        moving = []
        for place, name in enumerate(arrays):
            colour, dashes = look_of(place)
            style: Any = {"linestyle": (0, dashes)} if dashes else {}
            (line,) = panel.plot([], [], color=colour, linewidth=1.4, label=plain(name), **style)
            (dot,) = panel.plot([], [], "o", color=colour, markersize=4.5, zorder=5)
            moving.append((line, dot))
        clock = panel.text(0.98, 0.02, "", transform=panel.transAxes, ha="right", fontsize=9)
        figure.legend(loc="outside right upper", fontsize=7.5, handlelength=2)
        canvas: Any = figure.canvas
        canvas.draw()
        figure.set_layout_engine("none")  # what is laid out once does not tremble
        small = []
        for step in looks:
            for (line, dot), path in zip(moving, arrays.values(), strict=True):
                line.set_data(*path[: step + 1].T)
                dot.set_data(*path[min(step, len(path) - 1)][:, None])
            clock.set_text(f"step {step}")
            canvas.draw()
            small.append(in_few_colours(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
    file = io.BytesIO()
    wait = [83] * (len(small) - 1) + [2000]
    small[0].save(file, "GIF", save_all=True, append_images=small[1:], duration=wait, loop=0)
    return file.getvalue()


def in_few_colours(pixels: np.ndarray) -> Any:
    """An image of (height, width, 3) bytes in the colours that these pictures are made of.

    They are the paths', pure and half way to white, the star's, and greys: 73, so that files are
    small and a picture's colours do not depend on what else is in it.
    """
    from PIL import Image

    pure = np.array([[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in COLOURS])
    greys = np.repeat(np.linspace(0, 255, 48).astype(int)[:, None], 3, axis=1)
    palette = Image.new("P", (1, 1))
    palette.putpalette([*pure.flat, *((pure + 255) // 2).flat, 255, 225, 77, *greys.flat])
    return Image.fromarray(pixels).quantize(palette=palette, dither=Image.Dither.NONE)


def path_page(
    surface: Surface,
    walked: Mapping[str, Any],
    *,
    notes: Mapping[str, str] | None = None,
    title: str = "",
) -> str:
    """The paths as a page of one file that needs no network: play, pause, scrub, pick paths.

    Args:
      surface: a `fnn.surfaces.Surface`.
      walked: paths by name, each (steps + 1, 2); any number, of which the first twelve are shown
        and the others can be chosen.
      notes: what stands behind a name.
      title: the page's.

    Raises:
      ValueError: if there is no path, or one is not (steps + 1, 2).
      ImportError: if matplotlib is missing.

    >>> from fnn.surfaces import saddle
    >>> page = path_page(saddle(), {"sgd": [[1.0, 0.0], [0.5, 0.0]]})
    >>> page[:15], "http" in page
    ('<!doctype html>', False)
    """
    arrays = _checked(walked, "draw.path_page")
    start = next(iter(arrays.values()))[0]
    listed = [
        {
            "name": name,
            "note": (notes or {}).get(name, ""),
            "colour": look_of(place)[0],
            "dash": look_of(place)[1],
            "path": [[float(f"{v:.5g}") for v in point] for point in visible(surface, path)],
        }
        for place, (name, path) in enumerate(arrays.items())
    ]
    data = {"box": surface.box, "walks": listed}
    parts = {
        "TITLE": escape(title or surface.name),
        "PICTURE": base64.b64encode(_background(surface, start)).decode("ascii"),
        "DATA": embedded(data),
    }
    return filled(Path(__file__).parent / "paths.html", parts)


def _background(surface: Surface, start: Any) -> bytes:
    """The surface and its landmarks alone, from edge to edge, as a PNG of few colours."""
    with styled():
        figure, axes = blank(1, 1, (8, 6))
        figure.set_layout_engine("none")
        panel = axes[0, 0]
        panel.set_position((0, 0, 1, 1))
        contours(panel, surface)
        landmarks(panel, surface, start)
        panel.set_axis_off()
        canvas: Any = figure.canvas
        figure.set_dpi(120)
        canvas.draw()
        picture = in_few_colours(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
