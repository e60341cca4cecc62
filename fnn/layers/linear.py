"""Layers whose output is a weighted sum of their input: neurons."""

from fnn import functional, initializers
from fnn.checks import check_count, check_features, features_of, need
from fnn.core import Layer, Variables, key_for
from fnn.initializers import Initializer
from fnn.trees import wide


def dense(
    features: int,
    *,
    bias: bool = True,
    w_init: Initializer = initializers.lecun_normal,
    b_init: Initializer = initializers.zeros,
) -> Layer:
    r"""Weigh every input feature by every neuron's synapses and add the neuron's bias.

    .. math:: y_j = \sum_i x_i \, w_{ij} + b_j

    Fully connected: each of the `features` neurons has one synapse, one weight, for every input.
    For sums over several axes, or several axes of features, there is `dense_general`.

    Args:
      features: how many neurons, >= 1: the size of the output's last axis.
      bias: whether to add b.
      w_init: initializer of w; its fan is (input features, features). The default keeps the
        variance of a linear layer's output at that of its input; `he_normal` suits relu.
      b_init: initializer of b.

    Shapes:
      x: (..., inputs) -> y: (..., features), same dtype.
      params: {"w": (inputs, features), "b": (features,)}, float32 or wider. state: {}.

    Raises:
      ValueError: at construction if `features` is less than 1; in init if x has no feature axis;
        in apply if x has other features than w has rows.
      TypeError: at construction if `features` is no int; in both if x is no floating array.

    >>> import jax, jax.numpy as jnp
    >>> net = dense(2, w_init=initializers.ones)
    >>> params, state = net.init(jax.random.key(0), jnp.ones((1, 3)))
    >>> print(net.apply(params, state, jnp.array([[1.0, 2.0, 3.0]]))[0])
    [[6. 6.]]
    """
    features = check_count("dense", "features", features)

    def init(key, x, /):
        inputs, dtype = features_of(x, "dense"), wide(x.dtype)
        params = {"w": w_init(key_for(key, "w"), (inputs, features), dtype)}
        if bias:
            params["b"] = b_init(key_for(key, "b"), (features,), dtype)
        return Variables(params, {})

    def apply(params, state, x, /, *, key=None, train=False):
        del key, train
        w = need(params, "w", where="dense", kind="params")
        check_features(x, w.shape[0], "dense")
        y = functional.rows_times(x, w.astype(x.dtype))
        if bias:
            y = y + need(params, "b", where="dense", kind="params").astype(x.dtype)
        return y, state

    config = {"features": features, "bias": bias, "w_init": w_init, "b_init": b_init}
    return Layer(init, apply, name="dense", config=config, made_by=dense)


def bias(*, b_init: Initializer = initializers.zeros) -> Layer:
    r"""Add a learned number to every feature.

    .. math:: y_i = x_i + b_i

    Args:
      b_init: initializer of b.

    Shapes:
      x: (..., features) -> y: (..., features), same dtype.
      params: {"b": (features,)}, float32 or wider. state: {}.

    Raises:
      ValueError: in init if x has no feature axis; in apply if x has other features than b.
      TypeError: in both if x is no floating array.

    >>> import jax, jax.numpy as jnp
    >>> net = bias(b_init=initializers.ones)
    >>> params, state = net.init(jax.random.key(0), jnp.zeros((1, 3)))
    >>> print(net.apply(params, state, jnp.array([[1.0, 2.0, 3.0]]))[0])
    [[2. 3. 4.]]
    """

    def init(key, x, /):
        features = features_of(x, "bias")
        return Variables({"b": b_init(key_for(key, "b"), (features,), wide(x.dtype))}, {})

    def apply(params, state, x, /, *, key=None, train=False):
        del key, train
        b = need(params, "b", where="bias", kind="params")
        check_features(x, b.shape[0], "bias")
        return x + b.astype(x.dtype), state

    return Layer(init, apply, name="bias", config={"b_init": b_init}, made_by=bias)
