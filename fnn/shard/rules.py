"""Rules: from a parameter's path and shape to the mesh axes that divide it.

None of them changes what is computed, only where: a rule that suits a network badly costs time, not
truth.
"""

import fnmatch
from collections.abc import Callable, Mapping
from typing import NamedTuple

from jax.sharding import Mesh, PartitionSpec

from fnn.checks import check_count

Shape = tuple[int, ...]
# (path, shape, mesh, what earlier rules divided, an entry a dimension) -> the same with more
Spec = Callable[[str, Shape, Mesh, tuple], tuple]

# How the layers of fnn name what tensor parallelism divides: attention's projections, the halves of
# a transformer's feed-forward part, dense layers and embeddings. Numbers, as in `dense_2`, are left
# out.
_OUTPUTS = ("q", "k", "v", "up", "gate", "dense")
_INPUTS = ("out", "down", "table", "embed")  # of an embedding: the vocabulary


class Rules(NamedTuple):
    """Where the parameters and the batch go.

    Attributes:
      spec: gives each dimension of a parameter its mesh axis, or None to leave it whole.
      batch: the mesh axes that divide the examples of a batch.
    """

    spec: Spec
    batch: tuple[str, ...]


def data_parallel(axis: str = "data") -> Rules:
    """Every device holds all parameters and works on its share of each batch.

    Args:
      axis: the mesh axis along which batches are divided.

    >>> data_parallel().batch
    ('data',)
    """
    return Rules(lambda path, shape, mesh, taken: taken, (axis,))


def fully_sharded(axis: str = "data", *, at_least: int = 1) -> Rules:
    r"""Divide batches, and each parameter and its optimizer state along its largest free dimension.

    Of d devices each holds a d-th of what can be divided. Before it is used a weight is gathered.

    Args:
      axis: the mesh axis for both.
      at_least: numbers a parameter must have to be divided; smaller ones stay whole. So do those
        of which no dimension is a multiple of the axis.

    Source: Rajbhandari et al. 2020, section 5.3, https://arxiv.org/abs/1910.02054
    """
    check_count("fully_sharded", "at_least", at_least)

    def spec(path, shape, mesh, taken):
        size, numbers = axis_size(mesh, axis, "fully_sharded"), 1
        for dimension in shape:
            numbers *= dimension
        free = [i for i, n in enumerate(shape) if taken[i] is None and n and n % size == 0]
        if not free or numbers < at_least or axis in taken:
            return taken
        best = max(free, key=lambda i: shape[i])
        return tuple(axis if i == best else entry for i, entry in enumerate(taken))

    return Rules(spec, (axis,))


def tensor_parallel(axis: str = "model", *, batch: str | None = "data") -> Rules:
    """Divide the weights of dense layers, attention and embeddings: no device holds one whole.

    Dense layers, the projections q, k, v and the widening half of a feed-forward part are divided
    along their outputs, `out` and the narrowing half along their inputs, embeddings along the
    vocabulary. Layers are told by the names that fnn gives them; for others use `by_path`. Where
    the dimension is no multiple of the axis, a weight stays whole.

    Args:
      axis: the mesh axis for weights. A multiple of it in heads saves communication.
      batch: the mesh axis for batches; None computes each batch on all devices.

    Source: Shoeybi et al. 2019, section 3, https://arxiv.org/abs/1909.08053
    """

    def spec(path, shape, mesh, taken):
        size = axis_size(mesh, axis, "tensor_parallel")
        names = path.split("/")
        owner = names[-2].rstrip("0123456789").rstrip("_") if len(names) > 1 else ""
        at = None
        if owner in _OUTPUTS and names[-1] in ("w", "b"):
            at = len(shape) - 1
        elif owner in _INPUTS and names[-1] == "w":
            at = len(shape) - 2
        if at is None or at < 0 or shape[at] % size or taken[at] is not None or axis in taken:
            return taken
        return tuple(axis if i == at else entry for i, entry in enumerate(taken))

    return Rules(spec, () if batch is None else (batch,))


def by_path(specs: Mapping[str, PartitionSpec], *, otherwise: Rules | None = None) -> Rules:
    """Partition specs by the parameter's path: the first shell pattern that matches decides.

    Args:
      specs: such as `{"*/dense_0/w": PartitionSpec(None, "model")}`; `*` crosses slashes.
      otherwise: for parameters that no pattern matches, and for batches; `data_parallel()` if None.

    >>> rules = by_path({"head/*": PartitionSpec("model")})
    >>> rules.batch
    ('data',)
    """
    rest = data_parallel() if otherwise is None else otherwise
    for pattern, found in specs.items():
        if not isinstance(found, PartitionSpec):
            raise TypeError(
                f"by_path: {pattern!r} must have a jax.sharding.PartitionSpec, got {found!r};"
                f" write PartitionSpec({found!r})"
            )

    def spec(path, shape, mesh, taken):
        for pattern, found in specs.items():
            if fnmatch.fnmatchcase(path, pattern):
                if len(found) > len(shape):
                    raise ValueError(
                        f"by_path: {pattern!r} divides {len(found)} dimensions, but {path!r} has"
                        f" shape {shape}; give at most {len(shape)} entries"
                    )
                return tuple(found) + (None,) * (len(shape) - len(found))
        return rest.spec(path, shape, mesh, taken)

    return Rules(spec, rest.batch)


def mixed(*rules: Rules) -> Rules:
    """Several rules at once: each divides what those before it left whole.

    `mixed(tensor_parallel("model"), fully_sharded("data"))` divides weights along both axes.

    >>> mixed(tensor_parallel("model"), fully_sharded("data")).batch
    ('data',)
    """
    if not rules:
        raise ValueError("mixed: no rules given; give such as tensor_parallel(), fully_sharded()")

    def spec(path, shape, mesh, taken):
        for rule in rules:
            taken = rule.spec(path, shape, mesh, taken)
        return taken

    return Rules(spec, tuple(dict.fromkeys(axis for rule in rules for axis in rule.batch)))


def axis_size(mesh: Mesh, axis: str, where: str) -> int:
    """How many devices a mesh has along an axis, or an error that names the axes there are."""
    if axis not in mesh.shape:
        there = ", ".join(f"{name}={size}" for name, size in mesh.shape.items())
        raise ValueError(
            f"{where}: axis {axis!r} is not in the mesh, got a mesh with {there}; name an axis of"
            f" it, or build the mesh with one: jax.make_mesh((n,), ({axis!r},))"
        )
    return mesh.shape[axis]
