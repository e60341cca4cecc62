"""What the kinds of models score, with their intervals, as a picture for a page."""

import math
from collections.abc import Mapping
from html import escape

from fnn.search import Estimate

LEFT, RIGHT, ROW = 130, 620, 34  # of the axis, and between rows, in the picture's units


def scores_svg(
    scores: Mapping[str, Estimate], chosen: str, measure: str, test: Estimate | None = None
) -> str:
    """A line for each kind: its score on rows held out and the interval around it.

    Args:
      scores: by kind; an interval that is not finite is not drawn.
      chosen: the kind that was chosen, which stands out.
      measure: what a score is, such as "accuracy".
      test: of the chosen kind on the test set, a line of its own.

    >>> svg = scores_svg({"null": Estimate(0.4, 0.3, 0.5, 0.05)}, "null", "accuracy")
    >>> svg.count("<circle"), "0.400" in svg
    (1, True)
    """
    rows = [(kind, score, kind == chosen) for kind, score in scores.items()]
    if test is not None:
        rows.append(("on the test set", test, True))
    ends = [v for _, score, _ in rows for v in _ends(score)]
    low, high = _nice(min(ends), max(ends))
    height = ROW * len(rows) + 46

    def across(value):
        return LEFT + (min(max(value, low), high) - low) / (high - low) * (RIGHT - LEFT)

    parts = []
    for tick in _ticks(low, high):
        x = across(tick)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="8" y2="{height - 34}" stroke="var(--line)"/>'
            f'<text x="{x:.1f}" y="{height - 18}" text-anchor="middle">{tick:.4g}</text>'
        )
    for place, (kind, score, own) in enumerate(rows):
        y, ink = 24 + ROW * place, "var(--ink)" if own else "var(--soft)"
        weight = ' font-weight="600"' if own else ""
        first, last = (across(v) for v in _ends(score))
        parts.append(
            f'<text x="{LEFT - 14}" y="{y + 4}" text-anchor="end"{weight}>{escape(kind)}</text>'
            f'<line x1="{first:.1f}" x2="{last:.1f}" y1="{y}" y2="{y}" stroke="{ink}"'
            f' stroke-width="{3 if own else 1.5}" stroke-linecap="round"/>'
            f'<circle cx="{across(score.mean):.1f}" cy="{y}" r="5" fill="{ink}"/>'
            f'<text x="{RIGHT + 14}" y="{y + 4}"{weight}>{score.mean:.3f}</text>'
        )
    middle = (LEFT + RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{height - 2}" text-anchor="middle">{escape(measure)}'
        " on rows held out, with its 95 % interval</text>"
    )
    said = ", ".join(f"{kind} {score.mean:.3f}" for kind, score, _ in rows)
    return (
        f'<svg viewBox="0 0 700 {height}" font-size="13" role="img"'
        f' aria-label="{escape(measure)} by kind of model: {escape(said)}">{"".join(parts)}</svg>'
    )


def _ends(score: Estimate) -> tuple[float, float]:
    """Of the interval, no score being above 1."""
    low = score.low if math.isfinite(score.low) else score.mean
    high = score.high if math.isfinite(score.high) else score.mean
    return max(low, -1.0), min(high, 1.0)


def _nice(low: float, high: float) -> tuple[float, float]:
    """Ends of an axis around both."""
    step = _step(low, high)
    return math.floor(low / step) * step, math.ceil(high / step) * step


def _step(low: float, high: float) -> float:
    """A round number of which some four to eight lie between."""
    rough = max(high - low, 1e-3) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    return next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)


def _ticks(low: float, high: float) -> list[float]:
    step = _step(low, high)
    return [low + i * step for i in range(round((high - low) / step) + 1)]
