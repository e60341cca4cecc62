"""What a minimizer is: where it stands, what it may ask of the function, and how it is made.

A method is a pair of pure functions over vectors, in the symbols of its book:

    point, memory = method.init(problem, h, x)
    point, memory, stalled = method.step(problem, h, point, memory)

`minimize` turns the caller's tree into a vector, calls `step` until the gradient is small, and
turns the vector back. `h` has the method's knobs by name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from fnn.trees import wide


class Point(NamedTuple):
    """Where a method stands.

    Attributes:
      x: (n,), the parameters as a vector.
      value: f(x).
      grad: (n,), the gradient of f at x.
      evaluations: how often f (with or without its gradient) or the residuals were computed.
      products: how many Hessian, Gauss-Newton or Jacobian columns or products were.
    """

    x: jax.Array
    value: jax.Array
    grad: jax.Array
    evaluations: jax.Array
    products: jax.Array


@dataclass(frozen=True, eq=False)
class Composite:
    """A function f(x) = loss(model(x)) + penalty(x) whose parts a method may see.

    Gauss-Newton products and natural gradients need the parts; every other method takes it as a
    function like any other. Made by `composite`, or from a network by `fnn.train.objective`.

    Attributes:
      model: x -> outputs, an array or a tree.
      loss: outputs -> one number.
      penalty: x -> one number, or None.
    """

    model: Callable[[Any], Any]
    loss: Callable[[Any], jax.Array]
    penalty: Callable[[Any], jax.Array] | None = None

    def __call__(self, x: Any) -> jax.Array:
        """f(x)."""
        value = self.loss(self.model(x))
        return value if self.penalty is None else value + self.penalty(x)


jax.tree_util.register_dataclass(
    Composite, data_fields=["model", "loss", "penalty"], meta_fields=[]
)


def composite(
    model: Callable[[Any], Any],
    loss: Callable[[Any], jax.Array],
    penalty: Callable[[Any], jax.Array] | None = None,
) -> Composite:
    """A function in its parts, loss(model(x)) + penalty(x), for methods that use them.

    Args:
      model: x -> outputs.
      loss: outputs -> one number; convex, for methods by Gauss-Newton products.
      penalty: x -> one number, such as a sum of squares.

    >>> f = composite(lambda x: 2 * x, lambda z: jnp.sum(z**2))
    >>> print(f(jnp.ones(2)))
    8.0
    """
    parts = (model, loss) if penalty is None else (model, loss, penalty)
    return Composite(*map(as_tree, parts))


def as_tree(fun: Callable[..., Any]) -> Any:
    """The function as a tree, as `jax.jit` takes it: what is one already stays as it is."""
    return jax.tree_util.Partial(fun) if jax.tree_util.all_leaves([fun]) else fun


@dataclass(frozen=True, repr=False, eq=False)
class Method:
    """A method of minimization with its knobs; numbers among them are leaves, as in a state.

    So a compiled `minimize` serves every value of the numbers, and `vmap` sweeps them.

    Attributes:
      name: such as "lbfgs".
      init: `init(problem, h, x) -> (point, memory)`.
      step: `step(problem, h, point, memory) -> (point, memory, stalled)`.
      takes: "scalar", "residuals", "composite" or "layers": what `fun` must be.
      numbers: the numeric knobs by name.
      words: the other knobs as pairs: those that choose a form or a size.

    >>> from fnn.optim import lbfgs
    >>> lbfgs(memory=5)
    lbfgs(c1=0.0001, c2=0.9, memory=5)
    """

    name: str
    init: Callable[..., tuple[Point, Any]]
    step: Callable[..., tuple[Point, Any, jax.Array]]
    takes: str
    numbers: dict[str, Any]
    words: tuple[tuple[str, Any], ...]

    def __repr__(self) -> str:
        knobs = ", ".join(f"{k}={v}" for k, v in [*sorted(self.numbers.items()), *self.words])
        return f"{self.name}({knobs})"

    def knobs(self, dtype: Any) -> SimpleNamespace:
        """All knobs by name, the numbers in one dtype."""
        numbers = {name: jnp.asarray(value, dtype) for name, value in self.numbers.items()}
        return SimpleNamespace(**numbers, **dict(self.words))


jax.tree_util.register_dataclass(
    Method, data_fields=["numbers"], meta_fields=["name", "init", "step", "takes", "words"]
)


def make(
    name: str,
    init: Callable[..., Any],
    step: Callable[..., Any],
    *,
    takes: str = "scalar",
    numbers: dict[str, tuple[Any, float, float]] | None = None,
    **words: Any,
) -> Method:
    """A method from its functions and knobs, each number given as (value, low, high).

    Raises:
      ValueError: if a number lies outside of its open interval; traced ones cannot be looked at.
      TypeError: if it is no number.
    """
    numbers = numbers or {}
    for knob, (value, low, high) in numbers.items():
        if isinstance(value, jax.Array):
            continue
        if isinstance(value, bool) or not hasattr(value, "__float__"):
            raise TypeError(f"{name}: {knob} must be a number, got {value!r}")
        if not low < float(value) < high:
            raise ValueError(f"{name}: {knob} must be in ({low:g}, {high:g}), got {value}")
    values = {knob: value for knob, (value, _, _) in numbers.items()}
    return Method(name, init, step, takes, values, tuple(words.items()))


class Problem:
    """The function of a vector, and what methods ask of it.

    Args:
      fun: the caller's function of a tree.
      x0: the tree to start from.
      takes: what the method takes `fun` for.

    Attributes:
      x0: the start as a vector, float32 or wider.
      tree: turns a vector into the caller's tree.
    """

    def __init__(self, fun: Any, x0: Any, takes: str = "scalar"):
        vector, unravel = ravel_pytree(x0)
        self.x0 = vector.astype(wide(vector.dtype))
        self.tree = lambda x: unravel(x.astype(vector.dtype))
        self._fun = fun
        self._squares = takes == "residuals"

    def residuals(self, x: jax.Array) -> jax.Array:
        """(m,), all residuals r(x) in one vector."""
        return ravel_pytree(self._fun(self.tree(x)))[0].astype(x.dtype)

    def value(self, x: jax.Array) -> jax.Array:
        """f(x), or half the sum of the squared residuals."""
        if self._squares:
            r = self.residuals(x)
            return r @ r / 2
        return jnp.asarray(self._fun(self.tree(x)), x.dtype)

    def value_and_grad(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """f(x) and its gradient."""
        return jax.value_and_grad(self.value)(x)

    def start(self, x: jax.Array) -> Point:
        """The point at which every method that needs no more than the gradient starts."""
        value, grad = self.value_and_grad(x)
        return Point(x, value, grad, jnp.ones((), jnp.int32), jnp.zeros((), jnp.int32))

    def jacobian(self, x: jax.Array) -> jax.Array:
        """(m, n), dr_i / dx_j, by columns or by rows, whichever are fewer."""
        m = jax.eval_shape(self.residuals, x).shape[0]
        by = jax.jacfwd if x.size <= m else jax.jacrev
        return by(self.residuals)(x)

    def hessian(self, x: jax.Array) -> jax.Array:
        """(n, n), column by column."""
        return jax.vmap(self.hessian_product(x))(jnp.eye(x.size, dtype=x.dtype))

    def hessian_product(self, x: jax.Array) -> Callable[[jax.Array], jax.Array]:
        """v -> H v at x, at about two gradients each (Pearlmutter 1994)."""
        return jax.linearize(jax.grad(self.value), x)[1]

    def gauss_newton_product(self, x: jax.Array) -> Callable[[jax.Array], jax.Array]:
        """v -> G v at x, with G = J' H_loss J + H_penalty of a `Composite`."""
        return gauss_newton_product(self._fun, self.tree, x)

    def kronecker_factors(self, x: jax.Array) -> dict[str, tuple[jax.Array, jax.Array]]:
        """(A, G) of every dense layer by its path, from the model of an `fnn.train.objective`."""
        return self._fun.model.kronecker_factors(self.tree(x), self._fun.loss)


def gauss_newton_product(
    fun: Composite, tree: Callable[[jax.Array], Any], x: jax.Array
) -> Callable[[jax.Array], jax.Array]:
    """v -> (J' H_loss J + H_penalty) v; the model is linearized once for all products."""
    outputs, push = jax.linearize(lambda v: fun.model(tree(v)), x)
    pull = jax.linear_transpose(push, x)
    curve = jax.linearize(jax.grad(fun.loss), outputs)[1]
    if fun.penalty is None:
        return lambda v: pull(curve(push(v)))[0]
    penalty = fun.penalty
    bend = jax.linearize(jax.grad(lambda v: jnp.asarray(penalty(tree(v)), x.dtype)), x)[1]
    return lambda v: pull(curve(push(v)))[0] + bend(v)
