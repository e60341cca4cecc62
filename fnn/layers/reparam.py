"""Layers with their weights in another form: a length and a direction, or of spectral norm one.

Both wrap one layer, called "body", and change every weight named "w" inside it. A weight is read as
a matrix of (all axes but the last, outputs): its columns are the synapses of one neuron, for a
convolution's kernel too.
"""

import fnmatch
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from fnn import trees
from fnn.checks import check_count, check_owners, located
from fnn.core import Layer, Variables, key_for, lift
from fnn.layers.moments import check_eps
from fnn.show import spec_text

_WARM_UP = 15  # power iterations in init, as many as PyTorch's


def weight_norm(body: Layer | Callable[..., Any], *, names: str = "w") -> Layer:
    r"""Learn each neuron's weights as a length and a direction.

    .. math:: w_{\cdot j} = g_j \, \frac{v_{\cdot j}}{\lVert v_{\cdot j} \rVert}

    The gradient with respect to v is orthogonal to v, so that v only ever grows, and the larger it
    is, the slower it turns: a learning rate that finds its own size. At first v is the weight that
    the body's initializer gave and g its length, so that wrapping changes no output.

    A neuron whose weights are all zero has no direction and gives NaN: choose another initializer.
    Wrap the block inside `repeat`, not `repeat` itself: its weights' first axis counts the blocks.

    Args:
      body: a layer, or a network of them; each weight in it called `names` is split.
      names: the name of the weights, a shell pattern such as "w*".

    Shapes:
      x -> y: those of `body`.
      params: {"body": the body's own, where {"g": (features,), "v": w's shape} takes the place of
        each w}. state: the body's, under "body".

    Raises:
      ValueError: in init if no weight has that name or one has fewer than two axes.

    Source: Salimans & Kingma 2016, eq. 2, https://arxiv.org/abs/1602.07868

    >>> from fnn.layers import dense
    >>> net = weight_norm(dense(2))
    >>> params, state = net.init(jax.random.key(0), jnp.ones((1, 3)))
    >>> jax.tree.map(jnp.shape, params)
    {'body': {'b': (2,), 'w': {'g': (2,), 'v': (3, 2)}}}
    """
    child = lift(body, "weight_norm")

    def init(key, x, /):
        with located("body", child, x):
            params, state = child.init(key_for(key, "body"), x)
        found = _matrices("weight_norm", params, names)
        split = {path: {"g": _lengths(w), "v": w} for path, w in found.items()}
        return Variables({"body": trees.replace(params, split)}, _under("body", state))

    def apply(params, state, x, /, *, key=None, train=False):
        check_owners("weight_norm", ("body",), params, state)
        own = params.get("body", {})
        joined = {path: _joined(path, parts) for path, parts in _named(own, names, "gv")}
        y, after = _apply_body(child, trees.replace(own, joined), state, x, key=key, train=train)
        return y, _under("body", after)

    return Layer(
        init,
        apply,
        name="weight_norm",
        config={"names": names},
        children={"body": child},
        made_by=weight_norm,
    )


def spectral_norm(
    body: Layer | Callable[..., Any], *, steps: int = 1, eps: float = 1e-12, names: str = "w"
) -> Layer:
    r"""Divide each weight by its largest singular value, so that no input is stretched.

    .. math:: \hat w = w / \sigma, \quad \sigma = v^\top w \, u

    u and v approximate the singular vectors of sigma. They live in the state, and where
    `train=True` each call improves them by `steps` power iterations, before sigma is taken:

    .. math:: v \leftarrow w u / \lVert w u \rVert, \quad
        u \leftarrow w^\top v / \lVert w^\top v \rVert

    No gradient flows through the iterations; it flows through sigma, as a function of w, which is
    exact once u and v have converged. A weight that is all zero gives NaN.
    Wrap the block inside `repeat`, not `repeat` itself: its weights' first axis counts the blocks.

    Args:
      body: a layer, or a network of them; each weight in it called `names` is divided.
      steps: power iterations a training call, >= 1. The weights move little from one step of
        training to the next, so one is enough.
      eps: the least length that a vector is divided by, > 0.
      names: the name of the weights, a shell pattern such as "w*".

    Shapes:
      x -> y: those of `body`.
      params: {"body": the body's own}.
      state: {"body": the body's own, "singular": {"u": (features,), "v": (fan,)} in the place of
        each w}, initially after 15 iterations from a random u (PyTorch's `parametrizations` too).

    Raises:
      ValueError: at construction if `steps` or `eps` is not positive; in init if no weight has
        that name or one has fewer than two axes.
      TypeError: at construction if `steps` is no int.

    Source: Miyato et al. 2018, algorithm 1 (w here is W transposed there),
      https://arxiv.org/abs/1802.05957

    >>> from fnn.layers import dense
    >>> net = spectral_norm(dense(2), steps=20)
    >>> params, state = net.init(jax.random.key(0), jnp.ones((1, 3)))
    >>> jax.tree.map(jnp.shape, state)
    {'singular': {'w': {'u': (2,), 'v': (3,)}}}
    >>> images, _ = net.apply(params, state, jnp.eye(3), train=True)
    >>> float(jnp.linalg.norm(images, 2).round(3))
    1.0
    """
    child = lift(body, "spectral_norm")
    steps = check_count("spectral_norm", "steps", steps)
    check_eps("spectral_norm", eps)

    def init(key, x, /):
        with located("body", child, x):
            params, state = child.init(key_for(key, "body"), x)
        found = _matrices("spectral_norm", params, names)
        singular = {}
        for path, w in found.items():
            u = jax.random.normal(key_for(key, path), w.shape[-1:], w.dtype)
            _enter(singular, path, _iterated(w, u, _WARM_UP, eps))
        return Variables({"body": params}, {"singular": singular, **_under("body", state)})

    def apply(params, state, x, /, *, key=None, train=False):
        check_owners("spectral_norm", ("body", "singular"), params, state)
        own, singular = params.get("body", {}), state.get("singular", {})
        vectors, weights = dict(_named(singular, names, "uv")), dict(_named(own, names))
        if set(vectors) != set(weights):
            raise ValueError(
                f"spectral_norm: params hold the weights {', '.join(weights) or 'none'} and state"
                f" singular vectors for {', '.join(vectors) or 'none'}; pass the params and state"
                " that init returned: apply(params, state, x)"
            )
        if train:
            vectors = {p: _iterated(weights[p], uv["u"], steps, eps) for p, uv in vectors.items()}
        divided = {path: w / _sigma(w, **vectors[path]) for path, w in weights.items()}
        y, after = _apply_body(child, trees.replace(own, divided), state, x, key=key, train=train)
        return y, {"singular": trees.replace(singular, vectors), **_under("body", after)}

    return Layer(
        init,
        apply,
        name="spectral_norm",
        config={"steps": steps, "eps": eps, "names": names},
        children={"body": child},
        made_by=spectral_norm,
    )


def _named(
    tree: Mapping[str, Any], names: str, parts: str = "", before: str = ""
) -> Iterator[tuple[str, Any]]:
    """The path and the value of each weight with one of these names.

    A weight is an array, or the dict of what has taken its place, such as g and v.
    """
    for name, entry in tree.items():
        deeper = isinstance(entry, Mapping) and set(entry) != set(parts)
        if deeper:
            yield from _named(entry, names, parts, f"{before}{name}/")
        elif fnmatch.fnmatchcase(name, names):
            yield before + name, entry


def _matrices(where: str, params: Mapping[str, Any], names: str) -> dict[str, jax.Array]:
    """The weights by path, or a `ValueError` if there are none or one of them is no matrix."""
    found = dict(_named(params, names))
    if not found:
        raise ValueError(
            f"{where}: body must have a weight called {names!r}, got"
            f" {', '.join(trees.paths(params)) or 'no params'}; say names=..."
        )
    for path, w in found.items():
        if getattr(w, "ndim", 0) < 2:
            raise ValueError(
                f"{where}: a weight must have an axis of inputs and one of outputs, but {path!r}"
                f" is {spec_text(w)}; say names=..."
            )
    return found


def _under(name: str, own: Any) -> dict[str, Any]:
    return {name: own} if own else {}


def _enter(tree: dict[str, Any], path: str, value: Any) -> None:
    """Put `value` into nested dicts at this path."""
    *parents, name = path.split("/")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[name] = value


def _apply_body(child: Layer, own: Any, state: Any, x: Any, *, key: Any, train: bool) -> Any:
    with located("body", child, x):
        return child.apply(own, state.get("body", {}), x, key=key_for(key, "body"), train=train)


def _joined(path: str, parts: Any) -> jax.Array:
    """g v / |v|, column by column, in float32 or wider."""
    if not (isinstance(parts, Mapping) and set(parts) == {"g", "v"}):
        raise ValueError(
            f"weight_norm: params must hold g and v for the weight {path!r}, got"
            f" {spec_text(parts)}; pass the params that init returned: apply(params, state, x)"
        )
    g, v = (part.astype(trees.wide(part.dtype)) for part in (parts["g"], parts["v"]))
    return v * (g / _lengths(v))


def _lengths(v: jax.Array) -> jax.Array:
    """The length of each neuron's weights, (features,)."""
    return jnp.sqrt(jnp.sum(jnp.square(v), axis=tuple(range(v.ndim - 1))))


def _iterated(w: jax.Array, u: jax.Array, steps: int, eps: float) -> dict[str, jax.Array]:
    """Both singular vectors after so many power iterations from u, without a gradient."""
    w, u = jax.lax.stop_gradient((_matrix(w, u.dtype), u))

    def iterate(_, vectors):
        v = _unit(w @ vectors["u"], eps)
        return {"u": _unit(v @ w, eps), "v": v}

    start = {"u": u, "v": jnp.zeros(w.shape[:1], u.dtype)}
    return jax.lax.fori_loop(0, steps, iterate, start)


def _sigma(w: jax.Array, u: jax.Array, v: jax.Array) -> jax.Array:
    return (v @ _matrix(w, u.dtype) @ u).astype(w.dtype)


def _matrix(w: jax.Array, dtype: Any) -> jax.Array:
    return w.reshape(-1, w.shape[-1]).astype(dtype)


def _unit(a: jax.Array, eps: float) -> jax.Array:
    return a / jnp.maximum(jnp.linalg.norm(a), eps)
