"""A figure as SVG to stand within a page, in the colours of the page."""

import io
import re
from typing import TYPE_CHECKING

from fnn.compare.picture import BAD, INK, LINE, PAPER, REST, SOFT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OF_THE_PAGE = {
    "#000000": "ink",
    INK: "ink",
    SOFT: "soft",
    LINE: "line",
    PAPER: "paper",
    BAD: "bad",
    REST: "rest",
}


def as_svg(figure: "Figure", name: str, alt: str) -> str:
    """The figure as an `<svg>` element whose text is text and whose greys follow the page's.

    Ink, paper and greys become the page's CSS variables, so that a picture is as readable on a dark
    page as on a light one. Identifiers begin with `name`, for those of two pictures would clash.

    Args:
      figure: to be drawn.
      name: of letters only.
      alt: what it shows, for those who cannot see it; must be escaped.
    """
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"| version="[^"]*"', "", text)
    text = re.sub(r'( id=")|(href="#)|(url\(#)', lambda match: match.group(0) + name + "-", text)
    for colour, role in _OF_THE_PAGE.items():
        text = text.replace(colour, f"var(--{role})")
    text = re.sub(r"font: ([^;\"]*?)'[^\"]*?sans-serif", r"font: \1 system-ui, sans-serif", text)
    size = re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", text, count=1)
    size = re.sub(r'(<svg [^>]*?) height="[^"]*"', r"\1", size, count=1)
    return size.replace("<svg ", f'<svg role="img" aria-label="{alt}" ', 1)
