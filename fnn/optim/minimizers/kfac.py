"""K-FAC: the natural gradient of dense layers by two small matrices for each."""

import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import cho_factor, cho_solve

from fnn.optim.minimizers.base import Method, make
from fnn.optim.minimizers.natural import NaturalMemory, damped_search


def kfac(
    *, damping: float = 1e-2, adapt: float = 1.5, c1: float = 1e-4, shrink: float = 0.5
) -> Method:
    r"""The natural gradient layer by layer, each layer's Fisher matrix taken for a product.

    .. math::
        \bar A &= \mathbb{E}[\bar a \bar a^T], \quad G = \mathbb{E}[g g^T], \qquad
            F \approx \bar A \otimes G \\
        P &= -\left(\bar A + \pi \sqrt\lambda I\right)^{-1} \nabla_{\bar W} f
            \left(G + \tfrac{\sqrt\lambda}{\pi} I\right)^{-1}, \qquad
            \pi^2 = \frac{\operatorname{tr} \bar A / \dim \bar A}
                         {\operatorname{tr} G / \dim G}

    for each dense layer with weights and bias as one matrix (w above b), its inputs a with a 1
    behind them, and g the gradient of log p with respect to the layer's sums, both over all
    examples and over the model's own labels, whose expectation is taken exactly. The length of the
    step is the minimum along P of the quadratic with the exact F, shrunk by `backtracking`.

    `minimize` needs `fnn.train.objective(net, loss, x, y)` of a `serial` net whose only layers with
    parameters are `dense`, and a loss as in `natural_gradient`. A penalty enters the gradient, the
    length and the line search, not the factors.

    Args:
      damping: lambda_0 > 0, in units of F; more is nearer to plain gradient descent.
      adapt: lambda is divided by this where the quadratic foretold more than 3/4 of the fall, and
        multiplied by it below 1/4; > 1.
      c1: share of the promised fall to insist on, in (0, 1).
      shrink: factor of a step that fell short, in (0, 1).

    Where implementations disagree: this is the block-diagonal form on the whole batch, with exact
    expectations where the paper samples labels and averages the factors over batches, without its
    momentum (section 7), and with the damping moved after every step.

    Source: Martens & Grosse 2015, sections 3, 4.2, 6.3, 6.4 and 6.5,
      https://arxiv.org/abs/1503.05671

    >>> import jax
    >>> import fnn
    >>> from fnn.optim import minimize
    >>> x = jnp.linspace(-1, 1, 20)[:, None]
    >>> y = (jnp.abs(x[:, 0]) > 0.5).astype(int)
    >>> net = fnn.serial(fnn.layers.dense(8), jnp.tanh, fnn.layers.dense(2))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> objective = fnn.train.objective(net, fnn.losses.cross_entropy, x, y)
    >>> found = minimize(objective, params, kfac(), steps=50)
    >>> print(bool(found.value < 0.05))
    True
    """
    numbers = {
        "damping": (damping, 0.0, float("inf")),
        "adapt": (adapt, 1.0, float("inf")),
        "c1": (c1, 0.0, 1.0),
        "shrink": (shrink, 0.0, 1.0),
    }
    return make("kfac", _init, _step, takes="layers", numbers=numbers)


def _init(problem, h, x):
    return problem.start(x), NaturalMemory(h.damping)


def _step(problem, h, point, memory):
    g, damping = point.grad, memory.damping
    p = -preconditioned(problem.tree(g), problem.kronecker_factors(point.x), damping)
    p = p.astype(g.dtype)
    curve = p @ problem.gauss_newton_product(point.x)(p)
    length = -(g @ p) / (curve + damping * (p @ p))
    new, damping, stalled = damped_search(problem, h, point, p, curve, damping, length)
    return new._replace(products=point.products + 1), NaturalMemory(damping), stalled


def preconditioned(grads, factors, damping):
    """(A^-1 V G^-1) of every layer as a vector, with the damping shared out between A and G."""
    for path, (a, s) in factors.items():
        layer = grads  # a tree made for this call: its leaves are exchanged in place
        for name in path.split("/") if path else ():
            layer = layer[name]
        v = jnp.concatenate([layer["w"], layer["b"][None]]) if "b" in layer else layer["w"]
        pi = jnp.sqrt((jnp.trace(a) / len(a)) / (jnp.trace(s) / len(s)))
        pi = jnp.where(jnp.isfinite(pi) & (pi > 0), pi, 1)  # a layer may be dead
        root = jnp.sqrt(damping)
        v = cho_solve(cho_factor(a + pi * root * jnp.eye(len(a), dtype=a.dtype)), v)
        v = cho_solve(cho_factor(s + root / pi * jnp.eye(len(s), dtype=s.dtype)), v.T).T
        rows = len(layer["w"])
        layer.update({"w": v[:rows]} | ({"b": v[rows]} if "b" in layer else {}))
    return ravel_pytree(grads)[0]
