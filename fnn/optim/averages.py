"""`eval_params`: the parameters to evaluate with, where an optimizer keeps an average of them."""

from typing import Any

import jax


def eval_params(opt_state: Any, params: Any) -> Any:
    """The parameters to evaluate and to keep: an average, if the optimizer has one; else `params`.

    A state that keeps such parameters is a NamedTuple with a method `eval_params(self, params)`;
    of nested states the outermost is asked. `fnn.fit` validates with what it says.

    Args:
      opt_state: an optimizer's state, ours or optax's.
      params: the parameters in training that belong to it.

    Raises:
      ValueError: if states side by side, as in a `chain`, each have an average of their own.

    >>> from fnn.optim import sgd
    >>> print(eval_params(sgd(0.1).init(2.0), 2.0))
    2.0
    """
    averages = averages_in(opt_state)
    if len(averages) > 1:
        names = " and ".join(type(node).__name__ for node in averages)
        raise ValueError(
            f"eval_params: the state has more than one average, {names}; keep one of them"
        )
    return averages[0].eval_params(params) if averages else params


def averages_in(opt_state: Any) -> list[Any]:
    """The outermost states that keep parameters to evaluate with."""
    nodes = jax.tree.leaves(opt_state, is_leaf=_has_average)
    return [node for node in nodes if _has_average(node)]


def _has_average(node: Any) -> bool:
    return hasattr(type(node), "eval_params")
