"""Embedding: integer ids in, learned feature vectors out."""

import jax
import jax.numpy as jnp

from fnn import initializers
from fnn.checks import check_count, need, one_array
from fnn.core import Layer, Variables, key_for
from fnn.initializers import Initializer
from fnn.show import spec_text

_UNIT = initializers.normal(1.0)


def embed(vocabulary: int, features: int, *, w_init: Initializer = _UNIT) -> Layer:
    r"""Look up one learned row of `features` numbers for every id.

    .. math:: y = w_{x}

    Equal to a one-hot vector times w, without building the vector.

    An id outside [0, vocabulary), a negative one too, gives a row of NaN and no gradient. Ids are
    data, which a compiled program cannot raise an error about; NaN shows the mistake in the next
    loss, where taking the nearest row would hide it.

    Args:
      vocabulary: how many ids there are, >= 1.
      features: how many numbers stand for each id, >= 1.
      w_init: initializer of w. The default, normal(1.0), gives each feature the variance of
        standardised inputs (PyTorch's default too); language models often take normal(0.02).

    Shapes:
      x: (...) of any integer dtype -> y: (..., features), in the dtype of w.
      params: {"w": (vocabulary, features)}, of JAX's default float dtype. state: {}.

    Raises:
      ValueError: at construction if a size is less than 1.
      TypeError: at construction if a size is no int; in init and apply if x holds no integers.

    >>> net = embed(5, 2, w_init=lambda key, shape, dtype: jnp.arange(10.0).reshape(shape))
    >>> params, state = net.init(jax.random.key(0), jnp.zeros((1, 3), int))
    >>> print(net.apply(params, state, jnp.array([[1, 4, 5]]))[0])
    [[[ 2.  3.]
      [ 8.  9.]
      [nan nan]]]
    """
    vocabulary = check_count("embed", "vocabulary", vocabulary)
    features = check_count("embed", "features", features)

    def init(key, x, /):
        check_ids(x)
        dtype = jax.dtypes.canonicalize_dtype(float)
        return Variables({"w": w_init(key_for(key, "w"), (vocabulary, features), dtype)}, {})

    def apply(params, state, x, /, *, key=None, train=False):
        del key, train
        check_ids(x)
        w = need(params, "w", where="embed", kind="params")
        rows = w.at[x].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
        return rows, state

    def check_ids(x):
        one_array(x, "embed")
        if not jnp.issubdtype(x.dtype, jnp.integer):
            raise TypeError(
                f"embed: x must hold integer ids in [0, {vocabulary}), got {spec_text(x)};"
                " use x.astype(jnp.int32), or the layer dense for features"
            )

    config = {"vocabulary": vocabulary, "features": features, "w_init": w_init}
    return Layer(init, apply, name="embed", config=config, made_by=embed)
