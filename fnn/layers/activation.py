"""Activations that learn; all others are plain functions, such as `jax.nn.relu`."""

import jax.numpy as jnp

from fnn import initializers
from fnn.checks import check_features, features_of, need
from fnn.core import Layer, Variables, key_for
from fnn.initializers import Initializer
from fnn.trees import wide

_QUARTER = initializers.constant(0.25)


def prelu(*, per_feature: bool = True, alpha_init: Initializer = _QUARTER) -> Layer:
    r"""Pass positive inputs on and scale negative ones by a learned slope.

    .. math:: y_i = \max(0, x_i) + \alpha_i \min(0, x_i)

    At x = 0 its derivative is taken to be alpha, as of leaky relu. Weight decay on alpha pulls it
    towards relu; the paper uses none.

    Args:
      per_feature: a slope for each feature, as in the paper, or one for all (PyTorch's default).
      alpha_init: initializer of alpha; constant(0.25) as in the paper.

    Shapes:
      x: (..., features) -> y: (..., features), same dtype.
      params: {"alpha": (features,)} or {"alpha": ()}, float32 or wider. state: {}.

    Raises:
      ValueError: in apply if x has other features than alpha.
      TypeError: if x is no floating array.

    Source: He et al. 2015, eq. 1, https://arxiv.org/abs/1502.01852

    >>> import jax
    >>> net = prelu()
    >>> params, state = net.init(jax.random.key(0), jnp.ones((1, 2)))
    >>> print(net.apply(params, state, jnp.array([[2.0, -2.0]]))[0])
    [[ 2.  -0.5]]
    """

    def init(key, x, /):
        shape = (features_of(x, "prelu"),) if per_feature else ()
        return Variables({"alpha": alpha_init(key_for(key, "alpha"), shape, wide(x.dtype))}, {})

    def apply(params, state, x, /, *, key=None, train=False):
        del key, train
        alpha = need(params, "alpha", where="prelu", kind="params")
        features = features_of(x, "prelu")
        check_features(x, alpha.shape[0] if alpha.ndim else features, "prelu")
        return jnp.where(x > 0, x, alpha.astype(x.dtype) * x), state

    config = {"per_feature": per_feature, "alpha_init": alpha_init}
    return Layer(init, apply, name="prelu", config=config, made_by=prelu)
