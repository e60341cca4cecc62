"""Activation functions, their slopes, and the three questions about them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.activations.properties import properties
from fnn.draw.base import COLOURS, blank, plain, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def activation(
    functions: Callable[..., Any] | Mapping[str, Callable[..., Any]],
    *,
    reach: float = 5.0,
    title: str = "",
) -> "Figure":
    """Activation functions with their derivatives, and whether they have the three properties.

    The function is blue and its derivative, by `jax.grad`, red; points where it has none are rings.
    Below stands what `activations.properties` finds: is it non-linear, is it differentiable
    everywhere, has it a fixed range?

    Args:
      functions: one elementwise function, or several by name.
      reach: how far from 0 they are drawn.
      title: stands above.

    Raises:
      ValueError: if there is none, or one is not elementwise.
      ImportError: if matplotlib is missing.

    >>> figure = activation({"relu": jax.nn.relu, "tanh": jnp.tanh})
    >>> print(figure.axes[0].get_xlabel())
    non-linear: yes
    differentiable: but at 0
    fixed range: no, 0 to inf
    """
    if not isinstance(functions, Mapping):
        functions = {getattr(functions, "__name__", "f"): functions}
    if not functions:
        raise ValueError("draw.activation: there is no function to draw")
    z = np.linspace(-reach, reach, 801)
    columns = min(4, len(functions))
    rows = -(-len(functions) // columns)
    with styled():
        figure, axes = blank(rows, columns, (max(3.2, 2.5 * columns), 2.75 * rows + 0.2))
        for panel, (name, function) in zip(axes.flat, functions.items(), strict=False):
            found = properties(function)
            with jax.enable_x64(True):
                wide = jnp.asarray(z)
                a = np.asarray(function(wide), float)
                slope = np.asarray(jax.vmap(jax.grad(function))(wide), float)
            for line, colour, label in ((a, COLOURS[1], "a(z)"), (slope, COLOURS[6], "da/dz")):
                broken = line.copy()
                for jump in (*found.jumps, *(found.kinks if label == "da/dz" else ())):
                    broken[np.abs(z - jump).argmin()] = np.nan
                panel.plot(z, broken, color=colour, label=label)
            marks = np.array([*found.kinks, *found.jumps])
            marks = marks[np.abs(marks) <= reach]
            panel.plot(marks, np.interp(marks, z, a), "o", color=COLOURS[1],
                       markerfacecolor="white", markersize=5)  # fmt: skip
            panel.set_title(plain(name), fontweight="bold")
            panel.set_xlabel(_answers(found), fontsize=7.5, linespacing=1.4)
            panel.set_ylim(max(-3.2, a.min() - 0.4), min(4.2, max(a.max(), slope.max()) + 0.4))
        for panel in axes.flat[len(functions) :]:
            panel.remove()
        axes.flat[0].legend(fontsize=8, loc="upper left")
        figure.suptitle(plain(title), x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def _answers(found: Any) -> str:
    breaks = [f"{point:g}" for point in (*found.kinks, *found.jumps)]
    smooth = "yes" if not breaks else f"but at {', '.join(breaks)}"
    span = f"{found.lower:.4g} to {found.upper:.4g}"
    return "\n".join(
        (
            f"non-linear: {'yes' if found.nonlinear else 'no'}",
            f"differentiable: {smooth}",
            f"fixed range: {f'yes, {span}' if found.fixed_range else f'no, {span}'}",
        )
    )
