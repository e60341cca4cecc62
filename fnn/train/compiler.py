"""`jax.jit` for whole training runs, with the options that suit them."""

import functools
from collections.abc import Callable
from typing import Any

import jax

# XLA hands operations to a library on a CPU. Its products and sums are the fastest there are; its
# convolutions run on one core, XLA's own on all of them.
_LIBRARY = "xla_cpu_experimental_ynn_fusion_type"
_KINDS = "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"


def compiled(function: Callable[..., Any], **settings: Any) -> Callable[..., Any]:
    """`jax.jit(function, **settings)`, with convolutions on all cores of a CPU.

    `fnn.fit` compiles its programs by it; use it around `train.run` and steps of your own where a
    network has convolutions. The options belong to this one program: no flag of the process is set.
    Where JAX does not know them, or there is no CPU, this is `jax.jit`.

    >>> float(compiled(lambda x: 2 * x)(3.0))
    6.0
    """
    return jax.jit(function, compiler_options=_options(), **settings)


@functools.cache
def _options() -> dict[str, str] | None:
    if jax.default_backend() != "cpu":
        return None
    options = {_LIBRARY: _KINDS}
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(0.0).compile()
    except Exception:  # an XLA without the option, or with other names for it
        return None
    return options
