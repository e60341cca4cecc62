"""Embedding: integer ids in, learned feature vectors out, and back to a score for every id."""

import jax
import jax.numpy as jnp

from fnn import functional, initializers
from fnn.checks import check_count, check_features, need, one_array
from fnn.core import Layer, Variables, key_for
from fnn.initializers import Initializer
from fnn.show import spec_text

_UNIT = initializers.normal(1.0)


def embed(
    vocabulary: int, features: int, *, attend: bool = False, w_init: Initializer = _UNIT
) -> Layer:
    r"""Look up one learned row of `features` numbers for every id.

    .. math:: y = w_{x}

    Equal to a one-hot vector times w, without building the vector. With `attend=True` the same
    table also works in the other direction: x that is floating, (..., features), is compared with
    every row,

    .. math:: y_v = \sum_f x_f w_{vf}

    which are the logits of a language model whose input and output embeddings are one. Called
    twice in `compose`, the layer shares its table (see the example); PyTorch sets one layer's
    weight to another's, Flax calls `Embed.attend`.

    An id outside [0, vocabulary), a negative one too, gives a row of NaN and no gradient. Ids are
    data, which a compiled program cannot raise an error about; NaN shows the mistake in the next
    loss, where taking the nearest row would hide it.

    Args:
      vocabulary: how many ids there are, >= 1.
      features: how many numbers stand for each id, >= 1.
      attend: whether floating x is compared with the table; if not, it is refused.
      w_init: initializer of w. The default, normal(1.0), gives each feature the variance of
        standardised inputs (PyTorch's default too). Where the table attends, take a small one,
        such as normal(0.02): logits have a variance of `features` times that of w and of x.

    Shapes:
      x: (...) of any integer dtype -> y: (..., features), in the dtype of w.
      x: (..., features) floating -> y: (..., vocabulary), same dtype; with `attend=True`.
      params: {"w": (vocabulary, features)}, of JAX's default float dtype. state: {}.

    Raises:
      ValueError: at construction if a size is less than 1; in init and apply if floating x has
        other features than the table.
      TypeError: at construction if a size is no int; in init and apply if x holds no integers
        (with `attend=True`: neither integers nor floats).

    Source: Press & Wolf 2017, section 3, for the tied table, https://arxiv.org/abs/1608.05859

    >>> net = embed(5, 2, w_init=lambda key, shape, dtype: jnp.arange(10.0).reshape(shape))
    >>> params, state = net.init(jax.random.key(0), jnp.zeros((1, 3), int))
    >>> print(net.apply(params, state, jnp.array([[1, 4, 5]]))[0])
    [[[ 2.  3.]
      [ 8.  9.]
      [nan nan]]]

    A language model that reads and writes by one table:

    >>> from fnn import compose, serial
    >>> from fnn.layers import dense
    >>> def language_model(f, ids):
    ...     return f.table(f.body(f.table(ids)))
    >>> table = embed(65, 8, attend=True, w_init=initializers.normal(0.02))
    >>> net = compose(language_model, table=table, body=serial(dense(8), jnp.tanh))
    >>> params, state = net.init(jax.random.key(0), jnp.zeros((2, 5), int))
    >>> params["table"]["w"].shape, net.apply(params, state, jnp.zeros((2, 5), int))[0].shape
    ((65, 8), (2, 5, 65))
    """
    vocabulary = check_count("embed", "vocabulary", vocabulary)
    features = check_count("embed", "features", features)

    def init(key, x, /):
        check(x)
        dtype = jax.dtypes.canonicalize_dtype(float)
        return Variables({"w": w_init(key_for(key, "w"), (vocabulary, features), dtype)}, {})

    def apply(params, state, x, /, *, key=None, train=False):
        del key, train
        check(x)
        w = need(params, "w", where="embed", kind="params")
        if jnp.issubdtype(x.dtype, jnp.integer):
            y = w.at[x].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
        else:
            y = functional.rows_times(x, w.T.astype(x.dtype))
        return y, state

    def check(x):
        one_array(x, "embed")
        if jnp.issubdtype(x.dtype, jnp.integer):
            return
        if not (attend and jnp.issubdtype(x.dtype, jnp.inexact)):
            raise TypeError(
                f"embed: x must hold integer ids in [0, {vocabulary}), got {spec_text(x)};"
                " use x.astype(jnp.int32), or the layer dense for features, or"
                " embed(..., attend=True) to compare features with the table"
            )
        check_features(x, features, "embed")

    config = {
        "vocabulary": vocabulary,
        "features": features,
        "attend": attend,
        "w_init": w_init,
    }
    return Layer(init, apply, name="embed", config=config, made_by=embed)
