"""`minimize`: a function of any tree, a start, a method; one compiled program, one answer."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from fnn.checks import check_count
from fnn.optim.minimizers.base import (
    Composite,
    Method,
    Point,
    Problem,
    as_tree,
    composite,
)
from fnn.trees import all_finite, paths

RUNNING, CONVERGED, OUT_OF_STEPS, STALLED, NOT_FINITE, BAD_START = range(6)
REASONS = (
    "running",
    "converged: the gradient is below tol",
    "stopped: all steps are done",
    "stopped: no step lowers the function any more",
    "stopped: the next point is not finite; this is the last that was",
    "stopped: the function is not finite at x0",
)


class History(NamedTuple):
    """What happened at each step, entry 0 being the start; NaN or -1 after the last.

    Attributes:
      value: (steps + 1,), f.
      grad_norm: (steps + 1,), the Euclidean norm of its gradient.
      evaluations: (steps + 1,), evaluations spent so far.
    """

    value: jax.Array
    grad_norm: jax.Array
    evaluations: jax.Array


class Minimum(NamedTuple):
    """What `minimize` found.

    Attributes:
      x: like x0.
      value: f(x); for least squares half the sum of the squared residuals.
      grad_norm: the Euclidean norm of the gradient there.
      steps: steps done, those that a region of trust refused among them.
      evaluations: how often f, or f and its gradient, or the residuals were computed.
      products: how many Hessian, Gauss-Newton or Jacobian columns or products were.
      converged: whether grad_norm <= tol.
      status: why it ended, as a number; `reason` says it in words.
      history: None, or a `History`.
    """

    x: Any
    value: jax.Array
    grad_norm: jax.Array
    steps: jax.Array
    evaluations: jax.Array
    products: jax.Array
    converged: jax.Array
    status: jax.Array
    history: History | None

    @property
    def reason(self) -> str | list[str]:
        """Why it ended; a list where `vmap` ran many."""
        codes = np.asarray(self.status)
        return [REASONS[c] for c in codes.ravel()] if codes.ndim else REASONS[int(codes)]


class _Carry(NamedTuple):
    point: Point
    memory: Any
    steps: jax.Array
    status: jax.Array
    history: History | None


def minimize(
    fun: Callable[[Any], Any],
    x0: Any,
    method: Method,
    *,
    steps: int | jax.Array = 1000,
    tol: float | jax.Array = 1e-5,
    history: bool = False,
) -> Minimum:
    """A minimum of a function of any tree of arrays, near x0.

    The whole run is one compiled program, which may stand inside `jit` and under `vmap` over x0 and
    over the method's numbers. Called again with the same function, and a method that differs in
    numbers alone, it does not compile again.

    Args:
      fun: x -> one number, differentiable; for `gauss_newton` and `levenberg_marquardt` x -> the
        residuals, an array. A large array that it uses is best not closed over, which makes it a
        constant of the program: `jax.tree_util.Partial(fun, data)` calls `fun(data, x)`, and
        `fnn.train.objective` does so too.
      x0: where to start, a tree of floating arrays; under 32 bits wide, steps are still computed
        in float32, but the function sees rounded numbers.
      method: such as `lbfgs()`, `bfgs()`, `newton_cg()`, `levenberg_marquardt()`.
      steps: the most steps to do, >= 0; an int if `history`, which has its size.
      tol: the Euclidean norm of the gradient to stop at, >= 0, in units of f over those of x; 0
        goes on until no step lowers f.
      history: whether to return f and its gradient's norm at each step.

    Raises:
      TypeError: if x0 is not floating point, or `fun` does not return what the method takes.
      ValueError: if `fun` is not finite at x0 (under jit and vmap `status` says so instead).

    Which method? Least squares: `levenberg_marquardt`. Up to some hundred parameters: `bfgs` or
    `newton_cg`; more: `lbfgs`, or `newton_cg` where the curvature is hard. Batches that change from
    step to step mislead them all: that is what `fnn.fit` and its optimizers are for.

    >>> from fnn.optim import lbfgs
    >>> found = minimize(lambda x: jnp.sum((x["a"] - 2.0) ** 2), {"a": jnp.zeros(3)}, lbfgs())
    >>> print(found.x["a"], found.reason)
    [2. 2. 2.] converged: the gradient is below tol

    A network, on all of its data at once:

    >>> import fnn
    >>> x = jnp.linspace(-1, 1, 32)[:, None]
    >>> net = fnn.serial(fnn.layers.dense(8), jnp.tanh, fnn.layers.dense(1))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> objective = fnn.train.objective(net, fnn.losses.squared_error, x, x**2)
    >>> found = minimize(objective, params, lbfgs(), steps=200)
    >>> print(bool(found.value < 1e-4))
    True
    """
    if history or not isinstance(steps, jax.Array):
        check_count("minimize", "steps", steps, low=0)
    _check_method(method)
    _check_start(x0)
    if isinstance(fun, Composite):
        fun = composite(fun.model, fun.loss, fun.penalty)  # its parts as trees, too
    fun = as_tree(fun)
    _check_fun(fun, x0, method)
    found = _run(fun, x0, method, tol, steps, room=steps if history else None)
    if not isinstance(found.status, Tracer) and np.any(found.status == BAD_START):
        values = "the gradient" if np.isfinite(found.value).all() else f"got {found.value}"
        raise ValueError(
            f"minimize: fun is not finite at x0, {values}; start where fun and its gradient are"
            " finite numbers"
        )
    return found


@functools.partial(jax.jit, static_argnames="room")
def _run(fun, x0, method, tol, steps, *, room):
    """The whole run; fun, x0, the method's numbers, tol and steps are its inputs."""
    problem = Problem(fun, x0, method.takes)
    h = method.knobs(problem.x0.dtype)
    tol = jnp.asarray(tol, problem.x0.dtype)

    def status_of(point, stalled, count):
        status = jnp.where(count >= steps, OUT_OF_STEPS, RUNNING)
        status = jnp.where(stalled, STALLED, status)
        return jnp.where(jnp.linalg.norm(point.grad) <= tol, CONVERGED, status)

    def body(c):
        new, memory, stalled = method.step(problem, h, c.point, c.memory)
        good, count = all_finite((new.x, new.value, new.grad)), c.steps + 1
        kept = c.point._replace(evaluations=new.evaluations, products=new.products)
        new = jax.tree.map(lambda a, b: jnp.where(good, a, b), new, kept)
        status = jnp.where(good, status_of(new, stalled, count), NOT_FINITE)
        return _Carry(new, memory, count, status, _written(c.history, new, count))

    point, memory = method.init(problem, h, problem.x0)
    zero = jnp.zeros((), jnp.int32)
    good = all_finite((point.value, point.grad))
    status = jnp.where(good, status_of(point, False, zero), BAD_START)
    past = None if room is None else _written(_blank(room, point.value.dtype), point, zero)
    start = _Carry(point, memory, zero, status, past)
    end = lax.while_loop(lambda c: c.status == RUNNING, body, start)
    return Minimum(
        problem.tree(end.point.x),
        end.point.value,
        jnp.linalg.norm(end.point.grad),
        end.steps,
        end.point.evaluations,
        end.point.products,
        end.status == CONVERGED,
        end.status,
        end.history,
    )


def _blank(steps, dtype):
    nan = jnp.full(steps + 1, jnp.nan, dtype)
    return History(nan, nan, jnp.full(steps + 1, -1, jnp.int32))


def _written(history, point, count):
    if history is None:
        return None
    now = (point.value, jnp.linalg.norm(point.grad), point.evaluations)
    return History(*(old.at[count].set(new) for old, new in zip(history, now, strict=True)))


def _check_method(method: Any) -> None:
    if not isinstance(method, Method):
        call = f"; call it: {method.__name__}()" if hasattr(method, "__name__") else ""
        raise TypeError(
            f"minimize: method must be made by one of optim's constructors, such as lbfgs(), got"
            f" {type(method).__name__}{call}"
        )


def _check_start(x0: Any) -> None:
    for path, leaf in paths(x0).items():
        dtype = jnp.result_type(leaf)
        if not jnp.issubdtype(dtype, jnp.floating):
            where = f" at {path!r}" if path else ""
            raise TypeError(
                f"minimize: x0 must hold floating point numbers, got {dtype}{list(jnp.shape(leaf))}"
                f"{where}; give jnp.asarray(x0, float), and what is fixed to fun by itself"
            )
    if not paths(x0):
        raise ValueError("minimize: x0 holds no numbers; give the tree of arrays to start from")


def _check_fun(fun: Any, x0: Any, method: Method) -> None:
    if method.takes == "composite" and not isinstance(fun, Composite):
        raise TypeError(
            f"minimize: {method.name} needs fun in its parts, got one function; give"
            " fnn.train.objective(net, loss, x, y), or optim.composite(model, loss)"
        )
    if method.takes == "layers" and not hasattr(getattr(fun, "model", None), "kronecker_factors"):
        raise TypeError(
            f"minimize: {method.name} needs a network's layers, got a function that has none; give"
            " fnn.train.objective(net, loss, x, y)"
        )
    out = jax.eval_shape(fun, x0)
    leaves = jax.tree.leaves(out)
    if not leaves or not all(jnp.issubdtype(a.dtype, jnp.floating) for a in leaves):
        raise TypeError(f"minimize: fun must return floating point numbers, got {_told(out)}")
    scalar = len(leaves) == 1 and leaves[0] is out and out.shape == ()
    if method.takes == "residuals" and scalar:
        raise TypeError(
            f"minimize: {method.name} takes a function that returns the residuals, an array; got"
            " one that returns a single number; give the residuals, or take lbfgs()"
        )
    if method.takes != "residuals" and not scalar:
        raise TypeError(
            f"minimize: fun must return one number, got {_told(out)}; take its mean or sum, or give"
            " residuals to levenberg_marquardt()"
        )


def _told(out: Any) -> str:
    if hasattr(out, "dtype"):
        return f"{out.dtype}{list(out.shape)}"
    return f"a {type(out).__name__}"
