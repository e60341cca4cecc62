"""Floating point operations, counted from the equations of a traced program.

Counted exactly, as the program is written before the compiler: products and convolutions as
2 m n k (a multiplication and an addition for every weight and place, zeros of the padding
included), elementwise arithmetic as 1 for every number that comes out (an `exp` is 1, too), sums
and the like as 1 for every number that goes in. What moves, compares or chooses numbers is free.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn

_ELEMENTWISE = """
abs acos acosh add add_any asin asinh atan atan2 atanh cbrt ceil clamp cos cosh digamma div erf
erf_inv erfc exp exp2 expm1 floor integer_pow lgamma log log1p logistic max min mul neg nextafter
pow rem round rsqrt sign sin sinh sqrt square sub tan tanh
""".split()  # noqa: SIM905
_OVER_INPUTS = """
argmax argmin cumlogsumexp cummax cummin cumprod cumsum reduce_max reduce_min reduce_prod reduce_sum
scatter-add
""".split()  # noqa: SIM905
_WINDOWS = {"reduce_window_sum", "reduce_window_max", "reduce_window_min"}


class Flops(NamedTuple):
    """Operations of two kinds: in products and convolutions, and number by number."""

    products: int = 0
    elementwise: int = 0

    @property
    def total(self) -> int:
        return self.products + self.elementwise

    def __add__(self, other: Any) -> "Flops":  # type: ignore[override]
        return Flops(*(a + b for a, b in zip(self, other, strict=True)))

    def __mul__(self, times: Any) -> "Flops":  # type: ignore[override]
        return Flops(*(a * times for a in self))


def flops_of(eqn: "JaxprEqn") -> Flops:
    """What one equation without a program inside spends."""
    name = eqn.primitive.name
    if not eqn.outvars or not _floating(eqn.outvars[0].aval):
        counted = name in ("argmax", "argmin") and _floating(eqn.invars[0].aval)
        return Flops(elementwise=_size(eqn.invars[0].aval)) if counted else Flops()
    out, shapes = _size(eqn.outvars[0].aval), [_shape(a.aval) for a in eqn.invars]
    if name == "dot_general":
        (summed, _), _ = eqn.params["dimension_numbers"]
        return Flops(products=2 * out * math.prod(shapes[0][axis] for axis in summed))
    if name == "conv_general_dilated":
        outputs = eqn.params["dimension_numbers"].rhs_spec[0]
        window = math.prod(shapes[1][:outputs] + shapes[1][outputs + 1 :])  # times inputs / groups
        return Flops(products=2 * out * window)
    if name in _ELEMENTWISE:
        return Flops(elementwise=out)
    if name in _OVER_INPUTS:
        return Flops(elementwise=math.prod(shapes[-1 if name == "scatter-add" else 0]))
    if name in _WINDOWS:
        return Flops(elementwise=out * math.prod(eqn.params["window_dimensions"]))
    return Flops()


def _shape(aval: Any) -> tuple[int, ...]:
    return tuple(getattr(aval, "shape", ()))


def _size(aval: Any) -> int:
    return math.prod(_shape(aval))


def _floating(aval: Any) -> bool:
    return hasattr(aval, "dtype") and jnp.issubdtype(aval.dtype, jnp.inexact)
