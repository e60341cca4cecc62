"""What pages are made with: a style for screen and print, and small pieces of escaped HTML."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #ffffff; --line: #e2e2e2;
  --soft: #666666; --rest: #b9b9b9; --band: #f6f6f3; --bad: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181b; --line: #33363b;
  --soft: #a3a3a3; --rest: #5d6167; --band: #1e2125; --bad: #ff8a75 } }
body { margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 66rem; color: var(--ink);
  background: var(--paper); font: 16px/1.55 system-ui, sans-serif }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem; padding-top: .5rem;
  border-top: 1px solid var(--line) }
p, li { max-width: 46rem } p.sub { margin: 0 0 1rem; color: var(--soft) }
p.warn { color: var(--bad); font-weight: 600 } p.found { font-size: 1.05rem }
figure { margin: 1rem 0 1.4rem } figcaption { font-size: .875rem; color: var(--soft);
  max-width: 46rem; margin-top: .4rem } figcaption b { color: var(--ink) }
svg { width: 100%; height: auto; display: block } svg text { fill: var(--ink) }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .8125rem;
  line-height: 1.35; border-top: 2px solid var(--ink); border-bottom: 2px solid var(--ink) }
th, td { padding: .22rem .65rem; text-align: right; white-space: nowrap }
th { vertical-align: bottom; border-bottom: 1px solid var(--ink); font-weight: 600 }
tbody tr + tr td { border-top: 1px solid var(--line) }
th:first-child, td:first-child, .words td, .words th, .left { text-align: left }
.words td:last-child { white-space: normal }
tr.peer td { color: var(--soft); border-top-color: transparent }
li { margin: .35rem 0 } code { font-size: .9em; overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; font-size: .875rem }
dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere }
@media print { figure svg { min-width: 0 !important }
  :root { color-scheme: light; --ink: #000; --paper: #fff; --line: #ddd;
  --soft: #555; --rest: #bbb; --bad: #a11 } body { max-width: none; padding: 0; font-size: 1rem }
  html { font-size: 9.5pt }
  figure, tr { break-inside: avoid } h2 { break-after: avoid } .wide { overflow: visible }
  table { font-size: 7.5pt } th, td { padding: .12rem .35rem } }
"""


def filled(template: Path, parts: Mapping[str, str]) -> str:
    """The text of a file with each %NAME% in it replaced by its part."""
    text = template.read_text(encoding="utf-8")
    return re.sub("%([A-Z]+)%", lambda mark: parts[mark[1]], text)


def embedded(data: Any) -> str:
    """Data as JSON that can stand in a page's script: nothing in it ends the script.

    >>> embedded(["</script>"])
    '["\\\\u003c/script>"]'
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def words_table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table of words; nothing without lines."""
    if not lines:
        return ""
    named = "".join(f"<th>{escape(head)}</th>" for head in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines
    )
    return (
        f'<div class="wide"><table class="words"><thead><tr>{named}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def text(words: str) -> str:
    """A paragraph."""
    return f"<p>{escape(words)}</p>"


def bullets(items: Iterable[str]) -> str:
    """A list."""
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def pairs_list(pairs: Mapping[str, object]) -> str:
    """Names and values; those that are None or empty are left out."""
    items = (
        f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>"
        for name, value in pairs.items()
        if value not in (None, "")
    )
    return f"<dl>{''.join(items)}</dl>"
