"""A mode in which a random key that is used twice is an error."""

import contextlib
from collections.abc import Iterator

import jax


@contextlib.contextmanager
def no_key_reuse() -> Iterator[None]:
    """Within this, a key from which two draws are made, or one after a split, is an error.

    Two draws from one key are the same numbers: two dropout masks alike, or noise that repeats the
    weights. JAX's own check is switched on, which sees `jax.random` and, in this mode, `fnn.random`
    too. It knows typed keys (`jax.random.key`), not raw ones, and looks at whole programs: call
    what `jax.jit` gave. Programs compile anew in it, so it is for a few steps, not for training.

    Raises:
      ValueError: for a key used twice, with the path of the layer that did so; the line is in the
        traceback above.

    >>> import fnn
    >>> @jax.jit
    ... def noise(key):
    ...     return fnn.random.uniform(key, (2,)) + fnn.random.uniform(key, (2,))
    >>> with no_key_reuse():
    ...     noise(jax.random.key(0))
    Traceback (most recent call last):
    ValueError: no_key_reuse: ...
    """
    try:
        with jax.debug_key_reuse(True):
            yield
    except jax.errors.KeyReuseError as error:
        told = " ".join(str(error).split("See https")[0].split()).rstrip(".")
        path, about, _ = getattr(error, "_fnn_at", ("", "", ""))
        where = f" in layer '{path}' ({about})" if path else ""
        raise ValueError(
            f"no_key_reuse: a key is used twice{where}: {told}; give each draw a key of its own, by"
            " jax.random.split, or by fold_in with a number, or with key_for with a name"
        ) from error
