"""The data of a setting, its network, and the one program that trains it and looks at it."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn import losses, models, trees
from fnn.compiler import compiled
from fnn.core import Layer, key_for
from fnn.data import standardizer
from fnn.optim import eval_params, find
from fnn.play.setting import ACTIVATIONS, DATA, FEATURES, Setting
from fnn.train.evaluate import evaluate
from fnn.train.run import make_advance
from fnn.train.step import TrainState, init, make_step

GRID, THIN = 72, 4  # points a side of the boundary's picture; a neuron's has every fourth of them


class Data(NamedTuple):
    """What is trained on and what is drawn.

    Attributes:
      points: (n, 2), the standardised coordinates, training part first.
      x: (n, features), what the network is given of them.
      y: (n, 1): 0 or 1, or standardised numbers.
      grid: (GRID * GRID, features): the pictures' points, row by row from the top left.
      half: the pictures go from -half to half on both axes.
    """

    points: jax.Array
    x: jax.Array
    y: jax.Array
    grid: jax.Array
    half: jax.Array


class Shape(NamedTuple):
    """What a program is compiled for; everything else is an argument of it."""

    widths: tuple[int, ...]
    activation: str
    optimizers: tuple[str, ...]
    batch_size: int | None
    penalty: str
    numbers: bool
    train_size: int


class Look(NamedTuple):
    """What is seen of each optimizer's network after a stretch of steps.

    Attributes:
      losses: (optimizers, 3): training loss, test loss, test accuracy; of numbers no accuracy.
      weights: (optimizers, parameters): layer by layer w (inputs, outputs) row by row, then b.
      output: (optimizers, GRID * GRID) uint8: 0 is class 0, or a number 2 deviations low.
      neurons: (optimizers, neurons, points) uint8: inputs, then each hidden layer; 128 is zero.
    """

    losses: Any
    weights: Any
    output: Any
    neurons: Any


class Programs(NamedTuple):
    """`start(key, x, rates) -> states` and `advance(states, data, rates, strength, count)`."""

    start: Any
    advance: Any


def shape_of(setting: Setting) -> Shape:
    """The part of a setting that a program is compiled for."""
    return Shape(
        widths=(len(setting.features), *setting.hidden, 1),
        activation=setting.activation,
        optimizers=tuple(name for name, _ in setting.optimizers),
        batch_size=setting.batch_size,
        penalty=setting.penalty,
        numbers=DATA[setting.data].numbers,
        train_size=setting.train_size,
    )


def data_of(setting: Setting) -> Data:
    """The setting's examples, standardised by those that are trained on, and the pictures' points.

    >>> data = data_of(Setting(examples=20, features=("x1", "x1^2")))
    >>> data.x.shape, bool(jnp.allclose(data.points[:, 0] ** 2, data.x[:, 1]))
    ((20, 2), True)
    """
    key = key_for(jax.random.key(setting.seed), "data")
    sizes = (setting.examples, setting.train_size)
    return _made(setting.data, setting.features, sizes, key, setting.noise)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))  # one program: each by itself takes longer
def _made(name: str, features: tuple[str, ...], sizes: tuple[int, int], key, noise) -> Data:
    kind, (n, train) = DATA[name], sizes
    points, y = kind.make(key, n=n, noise=noise)
    points = standardizer(points[:train])(points)
    y = y[:, None].astype(jnp.float32)
    y = standardizer(y[:train])(y) if kind.numbers else y
    half = jnp.abs(points).max() * 1.08
    side = (jnp.arange(GRID) + 0.5) / GRID * 2 - 1
    across, up = jnp.meshgrid(half * side, -half * side)
    grid = jnp.stack([across.ravel(), up.ravel()], axis=1)

    def given(points):
        return jnp.stack([FEATURES[name](points[:, 0], points[:, 1]) for name in features], axis=1)

    return Data(points, given(points), y, given(grid), half)


def net_of(shape: Shape) -> Layer:
    """The perceptron of these widths; a single neuron if no layer is hidden."""
    return models.mlp(*shape.widths[1:], activation=ACTIVATIONS[shape.activation])


def loss_of(shape: Shape) -> Any:
    """Half the squared error for numbers, else the surprise at the true class."""
    error = losses.squared_error if shape.numbers else losses.binary_cross_entropy
    return lambda prediction, y: error(prediction, y)[:, 0]


def penalty_of(shape: Shape, strength: Any) -> Any:
    """The strength times the weights' sum of sizes (L1), or half that of squares (L2); or None."""
    if shape.penalty == "none":
        return None

    def penalty(params):
        weights = trees.select(params, "*/w").values()
        if shape.penalty == "L1":
            return strength * sum(jnp.abs(w).sum() for w in weights)
        return strength / 2 * sum(jnp.square(w).sum() for w in weights)

    return penalty


@functools.lru_cache(maxsize=8)
def programs(shape: Shape) -> Programs:
    """The compiled programs of a shape, kept so that to reset costs nothing."""
    net, loss = net_of(shape), loss_of(shape)

    def start(key, x, rates):
        made = zip(shape.optimizers, rates, strict=True)
        return tuple(init(net, find(name)(rate), key, x[:1]) for name, rate in made)

    def advance(states, data, rates, strength, count):
        n = shape.train_size
        train, test = (data.x[:n], data.y[:n]), (data.x[n:], data.y[n:])
        penalty = penalty_of(shape, strength)
        moved, looks = [], []
        for name, rate, state in zip(shape.optimizers, rates, states, strict=True):
            step = make_step(net, loss, find(name)(rate), penalty=penalty)
            state = _with_rate(state, rate)
            state, _ = make_advance(step, n, shape.batch_size)(state, train, count)
            moved.append(state)
            looks.append(_look(shape, net, loss, state, train, test, data.grid))
        return tuple(moved), jax.tree.map(lambda *parts: jnp.stack(parts), *looks)

    return Programs(jax.jit(start), compiled(advance))


def _with_rate(state: TrainState, rate: Any) -> TrainState:
    """The state with this learning rate, which every optimizer of ours keeps in a leaf."""
    old = state.opt_state.learning_rate
    rate = jnp.asarray(rate, jnp.result_type(old))
    return state._replace(opt_state=state.opt_state._replace(learning_rate=rate))


def _look(shape: Shape, net: Layer, loss: Any, state: TrainState, train, test, grid) -> Look:
    params = eval_params(state.opt_state, state.params)
    metrics = {} if shape.numbers else {"accuracy": _accuracy}
    seen = evaluate(net, params, state.state, *train, loss=loss)["loss"]
    found = evaluate(net, params, state.state, *test, loss=loss, metrics=metrics)
    neurons, output = _outputs(net, params, state.state, grid)
    output = output / 4 + 0.5 if shape.numbers else jax.nn.sigmoid(output)
    weights = [
        params[name][part].ravel() for name in net.children if name in params for part in "wb"
    ]
    return Look(
        jnp.stack([seen, found["loss"], found.get("accuracy", jnp.nan)]),
        jnp.concatenate(weights),
        _bytes(output[:, 0]),
        _bytes(neurons / 2 + 0.5),
    )


def _outputs(net: Layer, params: Any, state: Any, grid: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What inputs and hidden neurons give, (neurons, points) from -1 to 1, and the output."""
    x, seen = grid, [grid]
    for name, layer in net.children.items():
        x, _ = layer.apply(params.get(name, {}), state.get(name, {}), x)
        if name not in params and layer.name != "flatten":
            seen.append(x)
    columns = jnp.concatenate(seen, axis=1).reshape(GRID, GRID, -1)
    columns = columns[THIN // 2 :: THIN, THIN // 2 :: THIN]
    columns = columns.reshape(-1, columns.shape[-1]).T
    return columns / jnp.maximum(1, jnp.abs(columns).max(axis=1, keepdims=True)), x


def _bytes(a: jax.Array) -> jax.Array:
    """From [0, 1] to whole numbers from 0 to 255; what is no number is in the middle."""
    return jnp.nan_to_num(jnp.clip(255 * a, 0, 255).round(), nan=128).astype(jnp.uint8)


def _accuracy(logits: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.mean((logits > 0) == (y > 0.5))
