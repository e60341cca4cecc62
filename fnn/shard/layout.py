"""From rules to the sharding of every array that training carries."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from fnn.shard.rules import Rules, axis_size, data_parallel
from fnn.trees import map_with_path, paths


def shardings(train_state: Any, mesh: Mesh, rules: Rules) -> Any:
    """The `NamedSharding` of every array of a train state, in its structure.

    Parameters lie as the rules say. What an optimizer keeps for a parameter, such as a moment, lies
    as the parameter does: it has its path and its shape. All else is whole on every device.

    Args:
      train_state: a `fnn.train.TrainState` of arrays or of `jax.ShapeDtypeStruct`s.
      mesh: the devices, by named axes.
      rules: of this package.

    Raises:
      ValueError: if an axis is not in the mesh, serves twice, or does not divide its dimension.

    >>> import fnn
    >>> net, mesh = fnn.layers.dense(4), jax.make_mesh((1,), ("data",))
    >>> start = fnn.train.init(net, fnn.optim.adam(1e-3), jax.random.key(0), jax.numpy.ones((1, 3)))
    >>> placed = shardings(start, mesh, fnn.shard.fully_sharded())
    >>> [tuple(a.spec) for a in (placed.params["w"], placed.opt_state.mu["w"], placed.step)]
    [(None, 'data'), (None, 'data'), ()]
    """
    mesh = _by_compiler(mesh)
    whole = NamedSharding(mesh, PartitionSpec())
    shapes = {path: _shape(leaf) for path, leaf in paths(train_state.params).items()}
    own = {path: _sharding(path, shape, mesh, rules) for path, shape in shapes.items()}
    by_names = {tuple(path.split("/")): path for path in shapes}

    def of_optimizer(path, leaf):
        owner = _owner(tuple(path.split("/")), by_names)
        return own[owner] if owner in own and shapes[owner] == _shape(leaf) else whole

    return train_state._replace(
        params=map_with_path(lambda path, _: own[path], train_state.params),
        state=jax.tree.map(lambda _: whole, train_state.state),
        opt_state=map_with_path(of_optimizer, train_state.opt_state),
        key=whole,
        step=whole,
    )


class Layout(NamedTuple):
    """Where everything of a training run lies; hashable, so that programs are kept by it.

    Attributes:
      leaves: the shardings of the train state's arrays in order.
      treedef: its structure.
      batch: the sharding of a batch's arrays, by their first axis.
      whole: that of what lies on every device.
      data: that of the training data: `whole`, or `batch` if they came divided.
    """

    leaves: tuple[NamedSharding, ...]
    treedef: Any
    batch: NamedSharding
    whole: NamedSharding
    data: NamedSharding

    @property
    def state(self) -> Any:
        """The train state's shardings in its structure."""
        return jax.tree.unflatten(self.treedef, self.leaves)

    def keeping(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """The same step, whose batch is divided and whose train state stays where it was."""

        def placed(train_state, batch):
            batch = jax.lax.with_sharding_constraint(batch, self.batch)
            train_state, info = step(train_state, batch)
            return jax.lax.with_sharding_constraint(train_state, self.state), info

        return placed


def layout(
    train_state: Any, mesh: Mesh, rules: Rules | None, batch_size: int, *, divided: bool = False
) -> Layout:
    """The layout of a run, checked.

    Args:
      train_state: of arrays, or of shapes and dtypes.
      mesh: the devices; more than one axis for mixes.
      rules: `data_parallel()` along the mesh's first axis if None.
      batch_size: examples a step, a multiple of the devices among which they are divided.
      divided: whether the data's rows are divided as a batch is, instead of whole everywhere.

    Raises:
      TypeError: if the mesh or the rules are something else.
      ValueError: as `shardings`, and if the batch cannot be divided.
    """
    if not isinstance(mesh, Mesh):
        raise TypeError(
            f"fit: mesh must be a jax.sharding.Mesh, got {type(mesh).__name__}; such as"
            " jax.make_mesh((8,), ('data',))"
        )
    mesh = _by_compiler(mesh)
    rules = data_parallel(mesh.axis_names[0]) if rules is None else rules
    if not isinstance(rules, Rules):
        raise TypeError(
            f"fit: sharding must be rules of fnn.shard, got {type(rules).__name__}; such as"
            " fnn.shard.fully_sharded()"
        )
    parts = math.prod(axis_size(mesh, axis, "fit: the batch") for axis in rules.batch)
    if batch_size % parts:
        raise ValueError(
            f"fit: a batch of {batch_size} examples cannot be divided among the {parts} devices"
            f" along {', '.join(rules.batch)}; take a batch_size that is a multiple of {parts}"
        )
    leaves, treedef = jax.tree.flatten(shardings(train_state, mesh, rules))
    by_batch = PartitionSpec(rules.batch) if rules.batch else PartitionSpec()
    whole = NamedSharding(mesh, PartitionSpec())
    batch = NamedSharding(mesh, by_batch)
    return Layout(tuple(leaves), treedef, batch, whole, batch if divided else whole)


def place(train_state: Any, where: Layout | None) -> Any:
    """A train state where a layout wants it, from wherever it lies; as it is without a layout."""
    return train_state if where is None else jax.device_put(train_state, where.state)


def _by_compiler(mesh: Mesh) -> Mesh:
    """The mesh with axes along which XLA divides a program; `jax.make_mesh` gives explicit ones."""
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))


def _shape(leaf: Any) -> tuple[int, ...]:
    return tuple(getattr(leaf, "shape", ()))


def _owner(names: tuple[str, ...], parameters: dict[tuple[str, ...], str]) -> str | None:
    """The parameter whose path is the longest that stands unbroken in another one."""
    for size in range(len(names), 0, -1):
        for first in range(len(names) - size + 1):
            if (found := parameters.get(names[first : first + size])) is not None:
                return found
    return None


def _sharding(path: str, shape: tuple[int, ...], mesh: Mesh, rules: Rules) -> NamedSharding:
    """The sharding of one parameter, or an error that says why there is none."""
    spec = rules.spec(path, shape, mesh, (None,) * len(shape))
    where, used = f"shard: parameter {path!r}", []
    for i, entry in enumerate(spec):
        axes = () if entry is None else (entry,) if isinstance(entry, str) else tuple(entry)
        parts = math.prod(axis_size(mesh, axis, where) for axis in axes)
        used += axes
        if shape[i] % parts:
            raise ValueError(
                f"{where}: dimension {i} of shape {shape} cannot be divided among the {parts}"
                f" devices along {', '.join(axes)}; make it a multiple of {parts}, divide another"
                " dimension, or leave it whole with None"
            )
    if len(set(used)) < len(used):
        raise ValueError(
            f"{where}: an axis divides two dimensions, got {PartitionSpec(*spec)}; name each once"
        )
    while spec and spec[-1] is None:
        spec = spec[:-1]
    return NamedSharding(mesh, PartitionSpec(*spec))
