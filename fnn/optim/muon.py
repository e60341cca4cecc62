"""Muon: momentum made orthogonal, so that every direction of a matrix moves alike."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.base import Optimizer, advance, kept_by, need_params, one_of, zeros
from fnn.optim.blocks import each_block
from fnn.optim.hypers import Hyper, HyperLeaf, Hypers

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Matrix(NamedTuple):
    """What a matrix keeps: `mu`, the running average of its gradients."""

    mu: jax.Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The leaf's."""
        return self.mu.shape


class Other(NamedTuple):
    """What any other leaf keeps: Adam's `mu` and `nu`."""

    mu: jax.Array
    nu: jax.Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The leaf's."""
        return self.mu.shape


class MuonState(NamedTuple):
    """The averages and the hyperparameters.

    Attributes:
      count: updates done so far.
      moments: like params, with a `Matrix` or an `Other` in place of each leaf.
      learning_rate: eta of the latest update. decay, b1, b2, eps, weight_decay: as given.
    """

    count: jax.Array
    moments: Any
    learning_rate: HyperLeaf
    decay: HyperLeaf
    b1: HyperLeaf
    b2: HyperLeaf
    eps: HyperLeaf
    weight_decay: HyperLeaf


def newton_schulz(
    x: jax.Array,
    *,
    steps: int = 5,
    coefficients: tuple[float, float, float] = COEFFICIENTS,
    eps: float | jax.Array = 1e-8,
) -> jax.Array:
    r"""The nearest orthogonal matrix, roughly: U V^T of x = U S V^T, by products alone.

    .. math::
        X_0 = x / (\lVert x \rVert_F + \epsilon), \quad
        X_{k+1} = a X_k + b \, X_k X_k^T X_k + c \, (X_k X_k^T)^2 X_k

    Each singular value s goes through a s + b s^3 + c s^5 and comes out between about 0.7 and 1.2:
    these coefficients lift small ones fast and never settle at 1. With (2, -1.5, 0.5) they do, and
    it takes more steps.

    Args:
      x: (rows, columns).
      steps: how often; five lift values from about 0.005 of the norm on.
      coefficients: a, b, c.
      eps: added to the norm, in units of x.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/
    Same as: optax.contrib.orthogonalize_via_newton_schulz

    >>> s = jnp.linalg.svd(newton_schulz(jnp.array([[3.0, 0.0], [1.0, 0.5]])))[1]
    >>> print(bool(jnp.all((0.65 < s) & (s < 1.25))))
    True
    """
    a, b, c = coefficients
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x  # the products are of the shorter side
    x = x / (jnp.linalg.norm(x) + eps)
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


def muon(
    learning_rate: Hyper = 0.02,
    *,
    decay: Hyper = 0.95,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
    mask: Any = None,
    size: str = "spectral",
    steps: int = 5,
    coefficients: tuple[float, float, float] = COEFFICIENTS,
) -> Optimizer:
    r"""Step matrices along their momentum with all its singular values near 1; the rest by Nadam.

    .. math::
        M_t &= \beta M_{t-1} + (1 - \beta) G_t \\
        \bar M_t &= \frac{\beta M_t}{1 - \beta^{t+1}} + \frac{(1 - \beta) G_t}{1 - \beta^t} \\
        U_t &= -\eta \left( \sqrt{\max(1, out / in)} \;
               \text{NewtonSchulz}(\bar M_t) + \lambda \theta \right)

    Steepest descent where a step is measured by its largest singular value: no direction that a
    layer sees can change by more than eta, and rare ones change as much as common ones.

    Args:
      learning_rate: eta, about the largest singular value of a matrix's step, and Adam's rate for
        the other leaves; >= 0, or a schedule. To give them rates of their own, use `partition`.
      decay: beta of the momentum, in [0, 1).
      b1: decay of Adam's average gradient, for leaves that are no matrices, in [0, 1).
      b2: decay of Adam's average square, for the same leaves, in [0, 1).
      eps: added to the norm in Newton-Schulz, and to Adam's root.
      weight_decay: lambda >= 0, for matrices; a step takes the share eta lambda off.
      mask: which matrices decay; as in `add_decayed_weights`.
      size: "spectral" as above, for w of (in, out); or "rms", 0.2 sqrt(max(in, out)) in place of
        the root, which gives each step the usual size of Adam's.
      steps: of Newton-Schulz.
      coefficients: of Newton-Schulz.

    Raises:
      ValueError: in update, if it is called without the parameters.

    Where implementations disagree: the post's momentum is a sum, which Newton-Schulz's division
    makes the same as an average; the correction of the bias in the look ahead is optax's. The post
    gives what is no matrix, and the first and last layer, to Adam, and flattens kernels of
    convolutions to matrices; here, as in optax, each leaf with two axes is a matrix, and all others
    take the step of `nadam`.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; the size "rms" from
      Liu et al. 2025, section 2.2, https://arxiv.org/abs/2502.16982
    Same as: optax.contrib.muon

    >>> optimizer, w = muon(0.1), jnp.zeros((2, 3))
    >>> g = jnp.array([[100.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> updates, _ = optimizer.update(g, optimizer.init(w), w)
    >>> print(jnp.round(jnp.linalg.svd(updates)[1], 1))  # 100 and 1 both move by about eta
    [0.1 0.1]
    """
    one_of("muon", "size", size, ("spectral", "rms"))
    hypers = Hypers(
        "muon",
        learning_rate=learning_rate,
        decay=decay,
        b1=b1,
        b2=b2,
        eps=eps,
        weight_decay=weight_decay,
    )

    def init(params):
        def moment(mu):
            return Matrix(mu) if mu.ndim == 2 else Other(mu, mu)

        moments = jax.tree.map(moment, zeros(params))
        # a copy, because the same zeros twice could not be donated
        return MuonState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.copy, moments), **hypers.init())

    def matrix(h, g, mu):
        mu = h.decay * mu + (1 - h.decay) * g
        ahead = h.decay * (mu * h.debias("decay", ahead=1))
        ahead += (1 - h.decay) * (g * h.debias("decay"))
        rows, columns = g.shape
        scale = max(1, columns / rows) if size == "spectral" else 0.04 * max(rows, columns)
        step = newton_schulz(ahead, steps=steps, coefficients=coefficients, eps=h.eps)
        return scale**0.5 * step, Matrix(mu)

    def other(h, g, mu, nu):
        mu = h.b1 * mu + (1 - h.b1) * g
        nu = h.b2 * nu + (1 - h.b2) * g**2
        root = jnp.sqrt(nu * h.debias("b2"))
        ahead = h.b1 * (mu * h.debias("b1", ahead=1)) + (1 - h.b1) * (g * h.debias("b1"))
        return -h.learning_rate * (ahead / (root + h.eps)), Other(mu, nu)

    def update(grads, state, params=None):
        def rule(h, g, old, p):
            if isinstance(old, Other):
                return other(h, g, *old)
            step, new = matrix(h, g, *old)
            return -h.learning_rate * (step + h.weight_decay * p), new

        need_params("muon", params)
        now = hypers.at(state.count, state)
        updates, moments = each_block(
            rule,
            now,
            grads,
            state.moments,
            (Matrix, Other),
            params=kept_by(mask, params, "muon"),
            count=state.count,
        )
        return updates, MuonState(advance(state.count), moments, **now)

    return Optimizer(init, update)
