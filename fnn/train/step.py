"""One training step as a pure function: what is carried, and what one may look at."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn import random
from fnn.checks import check_key
from fnn.combine import resting
from fnn.core import Layer, key_for
from fnn.optim.base import Optimizer, accepted, apply_updates
from fnn.train.arguments import check_losses, check_parts
from fnn.train.per_example import BatchValue
from fnn.trees import norm, wide

Loss = Callable[[Any, Any], jax.Array]


class TrainState(NamedTuple):
    """All that training carries from step to step, and all that a checkpoint needs.

    Attributes:
      params: the network's parameters.
      state: the network's state, such as running averages.
      opt_state: the optimizer's state, its hyperparameters among it.
      key: the key of the whole run; step t draws from `fold_in(key, t)`.
      step: how many steps are done.
    """

    params: Any
    state: Any
    opt_state: Any
    key: jax.Array
    step: jax.Array


class StepInfo(NamedTuple):
    """What one may look at after a step; nothing of it is carried on.

    Attributes:
      loss: the batch's mean loss before the step, with the penalty if there is one.
      grad_norm: the Euclidean norm of all gradients together.
      update_norm: the same of the updates: how far the parameters moved.
    """

    loss: jax.Array
    grad_norm: jax.Array
    update_norm: jax.Array


Step = Callable[[TrainState, tuple[Any, Any]], tuple[TrainState, StepInfo]]
Objective = Callable[[Any, Any, Any, Any, jax.Array], tuple[jax.Array, Any]]


def init(net: Layer, optimizer: Optimizer, key: jax.Array, x: Any) -> TrainState:
    """The state before the first step: fresh parameters and an optimizer that has seen nothing.

    Args:
      net: the network.
      optimizer: ours or optax's.
      key: seeds the parameters and, apart from them, the run.
      x: an input batch, or its shapes and dtypes; the size of the batch does not matter.

    >>> import fnn
    >>> net = fnn.layers.dense(1)
    >>> start = init(net, fnn.optim.adam(1e-3), jax.random.key(0), jnp.ones((1, 3)))
    >>> int(start.step), round(float(start.opt_state.learning_rate), 6)
    (0, 0.001)
    """
    check_key(key, "train.init")
    params, state = net.init(key_for(key, "init"), x)
    return TrainState(params, state, optimizer.init(params), key, jnp.zeros((), jnp.int32))


def make_objective(
    net: Layer, loss: Loss, penalty: Callable[[Any], jax.Array] | None = None
) -> Objective:
    """What a step goes down: `objective(params, state, x, y, key) -> (value, state)`.

    The mean of the batch's losses, with the network in training, plus the penalty if there is one.
    """

    def objective(params, state, x, y, key):
        prediction, state = net.apply(params, state, x, key=key, train=True)
        losses = loss(prediction, y)
        check_losses(losses)
        value = jnp.mean(losses, dtype=wide(losses.dtype))
        return (value if penalty is None else value + penalty(params)), state

    return objective


def make_step(
    net: Layer,
    loss: Loss,
    optimizer: Optimizer,
    *,
    penalty: Callable[[Any], jax.Array] | None = None,
) -> Step:
    r"""One step of training: `step(train_state, (x, y)) -> (train_state, info)`, pure, not jitted.

    .. math::
        J(\theta) &= \operatorname{mean}_i L(f_\theta(x_i), y_i) + R(\theta) \\
        u, s' &= \operatorname{update}(\nabla J(\theta), s, \theta), \qquad \theta' = \theta + u

    Args:
      net: the network f.
      loss: L, `loss(prediction, y)` -> one number per example; the mean is taken here.
      optimizer: ours or optax's; it is given `value`, `grad` and `value_fn` if it takes them. The
        last is J of this batch as a function of the parameters, and knows its single examples.
      penalty: R, a function of the parameters alone, such as a sum of squares.

    The step reads the hyperparameters from `opt_state`: one compiled step serves every learning
    rate. `jax.jit(step, donate_argnums=0)` lets it work in place.

    >>> import fnn
    >>> net, optimizer = fnn.layers.dense(1), fnn.optim.sgd(0.1)
    >>> x, y = jnp.array([[1.0], [2.0]]), jnp.array([[2.0], [4.0]])
    >>> step = jax.jit(make_step(net, fnn.losses.squared_error, optimizer))
    >>> train_state = init(net, optimizer, jax.random.key(0), x)
    >>> for _ in range(200):
    ...     train_state, info = step(train_state, (x, y))
    >>> float(info.loss) < 1e-3
    True
    """
    check_parts("make_step", net, loss, optimizer)

    objective = make_objective(net, loss, penalty)

    def step(train_state, batch):
        params, state, opt_state, key, count = train_state
        x, y = batch
        key_now = random.fold_in(key_for(key, "layers"), count)
        scale = getattr(opt_state, "loss_scale", None)  # of optim.dynamic_loss_scale alone
        goal = objective if scale is None else _times(objective, scale)
        (value, state), grads = jax.value_and_grad(goal, has_aux=True)(params, state, x, y, key_now)
        if scale is not None:
            value, grads = jax.tree.map(lambda a: (a / scale).astype(a.dtype), (value, grads))
        extra = {
            "value": value,
            "grad": grads,
            "value_fn": BatchValue(objective, train_state.state, batch, key_now),
        }
        if scale is not None:
            extra["loss_scale"] = scale
        updates, opt_state = optimizer.update(
            grads, opt_state, params, **accepted(optimizer.update, extra)
        )
        updates = resting(net, updates)
        params = apply_updates(params, updates)
        info = StepInfo(value, norm(grads), norm(updates))
        return TrainState(params, state, opt_state, key, count + 1), info

    return step


def _times(objective: Objective, scale: jax.Array) -> Objective:
    """The objective times a number; the state beside it is not scaled."""

    def scaled(*args):
        value, state = objective(*args)
        return value * scale, state

    return scaled
