"""A trained network as one file that runs without fnn: StableHLO, by `jax.export`."""

import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.export
import numpy as np

from fnn.checkpoint.atomic import write_atomically
from fnn.checks import check_count, check_path
from fnn.core import Layer, spec
from fnn.inference import predict

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def export(
    net: Layer,
    params: Any,
    state: Any,
    x: Any,
    *,
    path: str | os.PathLike[str] | None = None,
    batch_size: int | None = None,
    platforms: Sequence[str] = PLATFORMS,
) -> jax.export.Exported:
    r"""The network at inference, x -> y, with its weights, as a program that needs JAX alone.

    .. math:: y = f_\theta(x), \quad \theta \text{ now constants of the program}

    Whoever has the file loads it by `jax.export.deserialize(pathlib.Path(path).read_bytes())` and
    calls `jax.jit(loaded.call)(x)`. That needs JAX and flatbuffers, not fnn nor the code that built
    the network. JAX promises to read such a file for six months: for years keep the weights, by
    `fnn.checkpoint.save`.

    Args:
      net: the network.
      params: its parameters.
      state: its state, such as running averages.
      x: an input with its batch axis, or its shapes and dtypes (`jax.ShapeDtypeStruct`); a pytree
        of them where the network takes one.
      path: where to write the file; None writes none. It replaces what is there, and never leaves
        half a file.
      batch_size: how many examples a call holds; None lets every call choose, by one program with
        an unknown first axis of every array in x.
      platforms: for which devices, of "cpu", "cuda", "rocm", "tpu". Where a layer has a form of its
        own for one kind of device, as convolutions for a CPU, that of this process is taken:
        results are the same on all, speed is best on this kind.

    Returns:
      The exported program; `call` runs it, `serialize()` gives the file's bytes, and
      `mlir_module()` its StableHLO as text.

    Raises:
      ImportError: if a file is asked for without flatbuffers, of the extra `export`.
      ValueError: for a platform that is not known, a batch size below 1, an x without batch axis,
        or a network that needs to know the batch size.

    Source: https://docs.jax.dev/en/latest/export/export.html

    >>> import fnn
    >>> net = fnn.layers.dense(2)
    >>> params, state = net.init(jax.random.key(0), np.ones((1, 3)))
    >>> program = export(net, params, state, np.ones((1, 3), np.float32))
    >>> program.call(np.ones((5, 3), np.float32)).shape
    (5, 2)
    """
    if not isinstance(net, Layer):
        raise TypeError(
            f"export: net must be a layer, got {type(net).__name__}; give the network, then its"
            " params and state"
        )
    platforms = (platforms,) if isinstance(platforms, str) else tuple(platforms)
    unknown = sorted(set(platforms) - set(PLATFORMS))
    if unknown or not platforms:
        raise ValueError(
            f"export: platforms must be some of {', '.join(PLATFORMS)},"
            f" got {', '.join(unknown) or 'none'}; by default it runs on all"
        )
    path = None if path is None else check_path("export", path)
    given = _with_batch(spec(x, "export"), batch_size)
    weights, kept = jax.tree.map(np.asarray, (params, state))  # constants of the program
    program = jax.jit(lambda x: predict(net, weights, kept, x))
    jax.eval_shape(program, _with_batch(given, batch_size or 1))  # what is wrong with x shows here
    try:
        exported = jax.export.export(program, platforms=platforms)(given)
    except jax.errors.InconclusiveDimensionOperation as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ValueError(
            f"export: the network does not compile for every batch size ({reason});"
            " give batch_size=, the number of examples a call holds"
        ) from error
    if path is not None:
        write_atomically(path, _bytes(exported))
    return exported


def _with_batch(x: Any, batch_size: int | None) -> Any:
    """The shapes of x with the first axis of every array unknown, or of the size given."""
    if batch_size is not None:
        check_count("export", "batch_size", batch_size)
    if any(not leaf.shape for leaf in jax.tree.leaves(x)):
        raise ValueError(
            "export: every array of x needs a batch axis, got one of shape (); give x[None]"
        )
    (batch,) = (batch_size,) if batch_size is not None else jax.export.symbolic_shape("batch")
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct((batch, *a.shape[1:]), a.dtype), x)


def _bytes(exported: jax.export.Exported) -> bytes:
    try:
        return bytes(exported.serialize())
    except ImportError as error:
        raise ImportError(
            "export: a file needs flatbuffers; install it by pip install 'fnn[export]'"
        ) from error
