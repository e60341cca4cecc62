"""The page of a comparison: one file that needs no other, readable on a phone."""

import base64
from html import escape
from typing import TYPE_CHECKING

from fnn.compare.table import as_table, notes

if TYPE_CHECKING:
    from fnn.compare.result import Comparison

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --line: #d8d8d8; --soft: #666;
  --band: #f5f5f2; --warn: #9a3412 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #16181b; --line: #3a3d42;
  --soft: #a0a0a0; --band: #1e2125; --warn: #fdba74 } }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 68rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0 0 .25rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
p.sub { margin: 0 0 1rem; color: var(--soft) }
p.warn { color: var(--warn); font-weight: 600 }
img { width: 100%; height: auto; background: #fff; border-radius: 6px; padding: .5rem;
  box-sizing: border-box; min-width: 42rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .875rem;
  width: 100% }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line) }
th { vertical-align: bottom; border-bottom: 2px solid var(--ink) }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left }
tr.peer td { color: var(--soft); background: var(--band) }
li { margin: .3rem 0 } code { font-size: .9em; overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .875rem }
dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere }
"""


def as_html(found: "Comparison", picture: bytes) -> str:
    """The whole page as text; the picture (PNG) is inside it, and every word is escaped."""
    plan, machine = found.settings, found.machine
    title = f"Optimizers on {plan['data']}"
    spent = {f"seconds to {name}": f"{time:.1f}" for name, time in found.seconds.items()}
    image = base64.b64encode(picture).decode("ascii")
    warning = (
        ""
        if found.complete
        else '<p class="warn">Interrupted: what had finished by then is here.</p>'
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{_STYLE}</style></head><body>
<h1>{escape(title)}</h1>
<p class="sub"><code>{escape(str(plan["net"]))}</code> &middot; {plan["seeds"]} seeds
&middot; {plan["steps"]} steps of {plan["batch_size"]} examples</p>
{warning}
<div class="wide"><img alt="Training loss, validation score, sensitivity to the learning rate, and
final test score of each optimizer" src="data:image/png;base64,{image}"></div>
<h2>Results</h2>
<div class="wide">{_table(found)}</div>
<h2>How to read it</h2>
<ul>{"".join(f"<li>{escape(note)}</li>" for note in notes(found))}</ul>
<h2>Where and how long</h2>
{_pairs({**machine, **spent})}
</body></html>
"""


def _table(found: "Comparison") -> str:
    table = as_table(found)
    heads = "".join(f"<th>{escape(head)}</th>" for head in table.heads)
    lines = []
    for line in table.lines:
        kind = ' class="peer"' if line[1] == "optax" else ""
        lines.append(f"<tr{kind}>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>")
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _pairs(pairs: dict[str, object]) -> str:
    items = (
        f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>"
        for name, value in pairs.items()
        if value not in (None, "")
    )
    return f"<dl>{''.join(items)}</dl>"
