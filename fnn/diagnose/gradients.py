"""Is a gradient right? Automatic differentiation beside finite differences, in float64."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from fnn import trees
from fnn.checks import check_count, check_given_key
from fnn.core import Layer
from fnn.show import spec_text

_STEP = 6e-6  # the cube root of float64's eps: where rounding and curvature cost the same


class GradientCheck(NamedTuple):
    """What came of a check of gradients; `print` it for the sentence.

    Attributes:
      verdict: "ok", "wrong", or "unsure" where no number could be compared.
      path: of the array with the largest relative error.
      error: that error.
      errors: the largest relative error of each array, by path; nan where none could be compared.
      kinks: how many numbers were left out, by path, since the function has a kink or a jump there
        or is not computed in float64.
    """

    verdict: str
    path: str
    error: float
    errors: dict[str, float]
    kinks: dict[str, int]

    def __str__(self) -> str:
        left_out = sum(self.kinks.values())
        rest = f"; {left_out} numbers at kinks were left out" if left_out else ""
        if self.verdict == "unsure":
            return f"unsure: nothing could be compared{rest}; try other values of the arguments"
        if self.verdict == "ok":
            return f"ok: relative error at most {self.error:.1e}, at '{self.path}'{rest}"
        return (
            f"wrong: the gradient of '{self.path}' has a relative error of {self.error:.1e}{rest};"
            " look at the custom gradient of what it goes into, or at a stop_gradient"
        )


def gradients(
    function: Layer | Callable[..., Any],
    *args: Any,
    key: jax.Array,
    train: bool = False,
    entries: int = 16,
    rtol: float = 1e-4,
) -> GradientCheck:
    r"""Hold `jax.grad` of a layer or a function against central differences, in float64.

    .. math::
        F(\theta) = \langle c, f(\theta) \rangle, \qquad
        \frac{\partial F}{\partial \theta_i} \approx
        \frac{F(\theta + h e_i) - F(\theta - h e_i)}{2h}, \quad h = 6 \cdot 10^{-6}
        \max(1, |\theta_i|)

    with a random c, so that every output counts.

    Args:
      function: a layer, or a function of arrays to arrays, such as one with a `custom_vjp`.
      *args: of a layer `params, state, x`; else the function's arguments. Checked are all floating
        arrays but the state; paths begin with "params", "x" or the argument's place.
      key: chooses c and the numbers to check, and is the layer's.
      train: whether a layer runs as in training; its randomness is the same at every evaluation.
      entries: how many numbers of each array to check, >= 1, chosen at random.
      rtol: relative error from which on a gradient is wrong, of the array's largest derivative.

    Near a kink, as relu has at 0, the two sides' differences disagree; such numbers are left out
    and counted.

    Raises:
      ValueError: if a layer is not given params, state and x, or there is nothing to differentiate.

    >>> @jax.custom_vjp
    ... def square(x):
    ...     return x * x
    >>> square.defvjp(lambda x: (x * x, x), lambda x, g: (g * x,))  # forgets the 2
    >>> gradients(square, jnp.array([1.0, 2.0]), key=jax.random.key(0)).verdict
    'wrong'
    """
    check_given_key(key, "gradients")
    check_count("gradients", "entries", entries)
    if not isinstance(function, Layer) and not callable(function):
        raise TypeError(
            f"gradients: needs a layer or a function of arrays, got {type(function).__name__}; such"
            " as gradients(net, params, state, x, key=key)"
        )
    with jax.enable_x64(True):
        scalar, given = _scalar(function, args, key, train)
        given = trees.map_with_path(lambda _, a: jnp.asarray(a, jnp.float64), given)
        names, leaves = zip(*trees.paths(given).items(), strict=True) if given else ((), ())
        if not leaves:
            raise ValueError(
                "gradients: no floating array is given to differentiate by, got"
                f" {spec_text(args)}; use x.astype(jnp.float32)"
            )
        point, back = ravel_pytree(given)
        places = _places(key, [leaf.size for leaf in leaves], entries)
        indices = jnp.asarray(np.concatenate(places))

        @jax.jit
        def measure(point):
            here, slopes = jax.value_and_grad(lambda v: scalar(back(v)))(point)
            steps = _STEP * jnp.maximum(1.0, jnp.abs(point[indices]))

            def sides(pair):
                i, h = pair
                return scalar(back(point.at[i].add(h))), scalar(back(point.at[i].add(-h)))

            up, down = jax.lax.map(sides, (indices, steps))
            return here, slopes[indices], (up - here) / steps, (here - down) / steps

        here, slope, right, left = map(np.asarray, measure(point))
    return _judged(names, places, float(here), slope, right, left, rtol)


def _scalar(
    function: Any, args: tuple[Any, ...], key: jax.Array, train: bool
) -> tuple[Callable[[Any], jax.Array], dict[str, Any]]:
    """The scalar F as a function of the floating arrays by path, and those arrays."""
    if isinstance(function, Layer):
        if len(args) != 3:
            raise ValueError(
                f"gradients: a layer takes params, state and x, got {len(args)} things; call"
                " gradients(net, params, state, x, key=key)"
            )
        tree = {"params": args[0], "state": args[1], "x": args[2]}
    else:
        tree = {str(place): arg for place, arg in enumerate(args)}
    floats = {
        path: a
        for path, a in trees.paths(tree).items()
        if jnp.issubdtype(jnp.result_type(a), jnp.floating) and not path.startswith("state")
    }

    def scalar(given):
        whole = trees.map_with_path(lambda path, a: given.get(path, a), tree)
        if isinstance(function, Layer):
            y, _ = function.apply(whole["params"], whole["state"], whole["x"], key=key, train=train)
        else:
            y = function(*whole.values())
        total = jnp.zeros(())
        for i, a in enumerate(jax.tree.leaves(y)):
            if not jnp.issubdtype(jnp.result_type(a), jnp.floating):
                raise TypeError(
                    f"gradients: the function must give floating arrays, got {spec_text(a)}; it"
                    " has no gradient"
                )
            weights = jax.random.normal(jax.random.fold_in(key, i), a.shape, jnp.float64)
            total += jnp.sum(weights * a)
        return total

    return scalar, floats


def _places(key: jax.Array, sizes: list[int], entries: int) -> list[np.ndarray]:
    """Which places of the flat vector to look at, for each array."""
    chance = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
    starts = np.cumsum([0, *sizes])[:-1]
    return [
        start + chance.choice(size, min(entries, size), replace=False)
        for start, size in zip(starts, sizes, strict=True)
    ]


def _judged(
    names: Any,
    places: list[np.ndarray],
    here: float,
    slope: np.ndarray,
    right: np.ndarray,
    left: np.ndarray,
    rtol: float,
) -> GradientCheck:
    found = (right + left) / 2
    largest = max(np.abs(slope).max(), np.abs(found).max())
    errors, kinks, first = {}, {}, 0
    for name, place in zip(names, places, strict=True):
        part = slice(first, first + len(place))
        first += len(place)
        g, d = slope[part], found[part]
        floor = 1e-6 * largest + 1e-6 * abs(here) + 1e-12  # what rounding alone would make of 0
        scale = max(np.abs(g).max(initial=0), np.abs(d).max(initial=0)) + floor
        # of a smooth function the sides differ by h f''; at a kink by what the slope jumps
        smooth = np.abs(right[part] - left[part]) <= 10 * rtol * scale
        bad = ~np.isfinite(g)  # a gradient that is NaN where the function is finite is wrong
        smooth |= bad & np.isfinite(d)
        wrong = np.where(bad, np.inf, np.abs(g - d) / scale)[smooth]
        errors[name] = float(wrong.max()) if wrong.size else float("nan")
        if not smooth.all():
            kinks[name] = int((~smooth).sum())
    known = {name: error for name, error in errors.items() if error == error}
    if not known:
        return GradientCheck("unsure", "", float("nan"), errors, kinks)
    path = max(known, key=lambda name: known[name])
    verdict = "wrong" if known[path] > rtol else "ok"
    return GradientCheck(verdict, path, known[path], errors, kinks)
