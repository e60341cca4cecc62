"""The Kronecker factors of a network's dense layers, for K-FAC."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fnn.core import Layer
from fnn.layers import dense

Factors = dict[str, tuple[jax.Array, jax.Array]]


def kronecker_factors(
    net: Layer, loss: Callable[[Any, Any], jax.Array], params: Any, x: jax.Array, y: Any
) -> Factors:
    r"""Two matrices for each dense layer whose Kronecker product stands for its Fisher matrix.

    .. math::
        \bar A = \frac1n \sum_i \bar a_i \bar a_i^T, \qquad
        G = \frac1n \sum_i \mathbb{E}_{y \sim p(\cdot | x_i)} \left[ g_i g_i^T \right]
          = \frac1n \sum_i J_i^T H_i J_i

    with a the layer's inputs and a 1 behind them if it has a bias, g the gradient of the loss of
    one example with respect to the layer's sums s, J = dz / ds of the outputs z, and H the Hessian
    of the loss in z: exact, no label is sampled.

    Args:
      net: `dense` itself, or a `serial` of dense layers and of layers without parameters; serials
        may stand in serials.
      loss: `loss(prediction, y)` -> one number per example (or per output, whose mean is taken), a
        negative log-likelihood in natural parameters, as in `optim.natural_gradient`.
      params: the network's parameters.
      x: (n, ...), all inputs; each dense layer must see (n, features).
      y: all targets.

    Returns:
      (A, G) by the layer's path: (inputs + 1, inputs + 1) and (features, features).

    Raises:
      TypeError: if a layer with parameters is not dense. ValueError: if one sees more axes.

    Source: Martens & Grosse 2015, section 3, https://arxiv.org/abs/1503.05671

    >>> import fnn
    >>> net = fnn.serial(dense(3), jnp.tanh, dense(2))
    >>> x, y = jnp.ones((5, 4)), jnp.zeros((5, 2))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> factors = kronecker_factors(net, fnn.losses.squared_error, params, x, y)
    >>> print({path: (A.shape, G.shape) for path, (A, G) in factors.items()})
    {'dense_0': ((5, 5), (3, 3)), 'dense_2': ((4, 4), (2, 2))}
    """
    sums: dict[str, jax.Array] = {}
    inputs: dict[str, jax.Array] = {}

    def outputs(shifts):
        def visit(path, a, s):
            inputs[path], sums[path] = a, s
            return s + shifts[path] if shifts else s

        return _forward(net, params, x, visit, ""), dict(inputs)

    jax.eval_shape(outputs, {})
    shifts = {path: jnp.zeros(s.shape, s.dtype) for path, s in sums.items()}
    z, pull, inputs = jax.vjp(outputs, shifts, has_aux=True)

    def one_loss(z_i, y_i):
        return jnp.mean(loss(z_i[None], y_i[None]))

    values, vectors = jnp.linalg.eigh(jax.vmap(jax.hessian(one_loss))(z, y))
    roots = vectors * jnp.sqrt(jnp.maximum(values, 0))[:, None, :]  # H = roots roots'
    (gradients,) = jax.vmap(pull, in_axes=2)(roots)
    n, factors = z.shape[0], {}
    for path, g in gradients.items():
        a, layer = inputs[path], params
        for name in path.split("/") if path else ():
            layer = layer[name]
        if "b" in layer:
            a = jnp.concatenate([a, jnp.ones((n, 1), a.dtype)], axis=1)
        factors[path] = a.T @ a / n, jnp.einsum("cni,cnj->ij", g, g) / n
    return factors


def _forward(net, params, x, visit, path):
    """The outputs; `visit(path, inputs, sums)` gives what goes on from a dense layer."""
    if net.made_by is dense:
        if jnp.ndim(x) != 2:
            raise ValueError(
                f"kronecker_factors: dense at {path!r} sees {jnp.shape(x)}, expected two axes,"
                " (examples, features); put flatten() before it, or take natural_gradient()"
            )
        return visit(path, x, net.apply(params, {}, x)[0])
    if net.name != "serial":
        if params:
            raise TypeError(
                f"kronecker_factors: {net!r} at {path!r} has parameters and is not dense; take"
                " natural_gradient(), which knows every layer"
            )
        return net.apply({}, {}, x)[0]
    for name, layer in net.children.items():
        x = _forward(layer, params.get(name, {}), x, visit, f"{path}/{name}".lstrip("/"))
    return x
