"""A network's answers, without its training: one compiled program for each network and shape."""

import functools
from typing import Any

import jax
from jax.stages import Wrapped

from fnn.checks import check_given
from fnn.core import Layer, Params, State, as_jax, spec


def predict(net: Layer, params: Params, state: State, x: Any, /) -> Any:
    """`y` alone, at inference: `net.apply(params, state, x)[0]`, compiled once for each shape of x.

    Raises:
      TypeError: if `params` or `state` is no dict, or `x` no array or pytree of arrays.
      ValueError: whatever a layer finds amiss, with its path.

    >>> import fnn, numpy as np
    >>> print(predict(fnn.serial(jax.nn.relu), {}, {}, np.array([-1.0, 2.0])))
    [0. 2.]
    """
    check_given(params, where=net.name, kind="params")
    check_given(state, where=net.name, kind="state")
    spec(x, net.name)
    return _program(net)(params, state, as_jax(x))


# Few are kept, since a program lives as long as it: whoever predicts by a thousand networks in turn
# should not hold them all. Plain jit, as compiler options may not stand inside of another one.
@functools.lru_cache(maxsize=32)
def _program(net: Layer) -> Wrapped:
    return jax.jit(lambda params, state, x: net.apply(params, state, x)[0], inline=True)
