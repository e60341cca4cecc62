"""Weights from PyTorch: a `state_dict` into the params and state of a network."""

import fnmatch
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn import trees
from fnn.core import Layer, Variables
from fnn.inspect.summary import walk
from fnn.interop.kinds import Turn, rules

Names = Mapping[str, Any] | Callable[[str], Any]


def from_torch(
    net: Layer,
    variables: Variables,
    weights: Mapping[str, Any] | str | os.PathLike[str],
    names: Names,
    *,
    ignore: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> Variables:
    r"""The variables of a network, with every number taken from a PyTorch `state_dict`.

    Each array is turned as its layer needs it: a Linear's weight from (outputs, inputs) to (inputs,
    outputs), a convolution's from features first to features last, the three projections that
    MultiheadAttention keeps in one array into three. Running averages go into the state.

    Nothing is guessed and nothing is dropped in silence: every array of `variables` must be filled,
    every array of `weights` used, and every shape fit, or else one error lists all that do not. A
    square weight that needs no turning, as GPT-2's published ones, fits as well when it is turned:
    compare an output.

    Args:
      net: the network.
      variables: what its `init` gives, or `jax.eval_shape(net.init, key, x)`; its names, shapes and
        dtypes are those of the result.
      weights: arrays by name: a `state_dict` (of tensors or of NumPy arrays), or the path of a
        safetensors file.
      names: which PyTorch module each layer is, a dict or a function from paths: {"dense_0":
        "fc1"}. Inside `repeat`, "{}" is the place in depth, {"blocks/body/mlp/up":
        "h.{}.mlp.c_fc"}, or a list has one name for each. A single array may be named as well,
        {"head/w": "lm_head.weight"}, or a pair of its name and a function that turns it:
        {"attention/q/w": ("c_attn.weight", lambda a: a[:, :64])}. Of a recurrent module of several
        layers "lstm" is the first and "lstm.l1" the second.
      ignore: shell patterns of arrays in `weights` that are not wanted, such as "*.attn.mask".
        Counts of batches (`num_batches_tracked`) never are.
      keep: shell patterns of arrays that stay as they are in `variables`, such as "head/*".

    Raises:
      ValueError: if an array finds no other, has another shape, or is left over.

    >>> from fnn import layers
    >>> net = layers.dense(2)
    >>> like = jax.eval_shape(net.init, jax.random.key(0), jnp.ones((1, 3)))
    >>> weights = {"fc.weight": np.array([[1.0, 2, 3], [4, 5, 6]]), "fc.bias": np.zeros(2)}
    >>> params, state = from_torch(net, like, weights, {"": "fc"})
    >>> print(params["w"])
    [[1. 4.]
     [2. 5.]
     [3. 6.]]
    """
    source = read_weights(weights, ignore)
    owners = list(walk(net))
    used: set[str] = set()
    faults: list[str] = []

    def fill(path, like):
        if any(fnmatch.fnmatchcase(path, pattern) for pattern in keep):
            if isinstance(like, jax.ShapeDtypeStruct):
                faults.append(f"  {path} is to stay, but variables hold its shape only")
            return like
        slots = list(_slots(path, like.shape, owners))
        parts = []
        for slot in slots:
            looked = list(_candidates(slot, names))
            found = next((one for one in looked if source.keys() >= set(one[0])), None)
            if found is None:
                faults.append(f"  {slot} finds none{_looked(looked)}")
                return like
            taken, turn = found
            used.update(taken)
            arrays = [source[name] for name in taken]
            part = turn(arrays[0] if len(taken) == 1 else np.stack(arrays), slot.layer, slot.shape)
            if part.shape != slot.shape:
                both = " and ".join(taken)
                faults.append(f"  {slot}, but {both}, turned to fit, is {part.shape}")
                return like
            parts.append(part)
        return jnp.asarray(np.reshape(parts, like.shape), like.dtype)

    filled = Variables(*(trees.map_with_path(fill, tree) for tree in variables))
    faults += [f"  {name} {source[name].shape} is left over" for name in source if name not in used]
    if faults:
        raise ValueError(
            "from_torch: the weights do not fit the network:\n"
            + "\n".join(faults)
            + "\nsay in names which module each layer is, in ignore and keep what shall be left out"
        )
    return filled


class _Slot(NamedTuple):
    """One array of one layer; inside `repeat`, one layer's part of the stacked array."""

    path: str
    owner: str
    layer: Layer
    place: tuple[int, ...]
    number: int
    shape: tuple[int, ...]

    def __str__(self) -> str:
        at = f"[{', '.join(map(str, self.place))}]" if self.place else ""
        return f"{self.path}{at} of {self.layer.name} is {self.shape}"


def _slots(path: str, shape: Sequence[int], owners: Sequence[Any]) -> Iterator[_Slot]:
    """The parts of one array, in the order in which they are stacked."""
    above = [(p, layer) for p, _, layer in owners if not p or path.startswith(f"{p}/")]
    loops = sum(layer.name == "repeat" for _, layer in above)
    owner, layer = above[-1]
    for number, place in enumerate(np.ndindex(*shape[:loops])):
        yield _Slot(path, owner, layer, place, number, tuple(shape[loops:]))


def _candidates(slot: _Slot, names: Names) -> Iterator[tuple[tuple[str, ...], Turn]]:
    """The names under which a slot's array may be, with the turn that each needs."""
    words = slot.path.split("/")
    owner = len(slot.owner.split("/")) if slot.owner else 0
    whole = "/".join(words[owner:])
    for cut in range(len(words), owner - 1, -1):
        given = _given(names, "/".join(words[:cut]), slot)
        part = "/".join(words[cut:])
        if isinstance(given, tuple):
            name, turn = given
            yield (
                (name.format(*slot.place),),
                lambda a, layer, shape, turn=turn: np.asarray(turn(a)),
            )
        elif given is not None and not part:
            turns = [rule.turn for rule in rules(slot.layer, whole)]
            yield (given,), turns[0] if turns else lambda a, layer, shape: a
        elif given is not None:
            for rule in rules(slot.layer, part):
                for full in rule.under(given):
                    yield full, rule.turn


def _given(names: Names, path: str, slot: _Slot) -> Any:
    """What `names` says of a path, for the slot's place in depth; None if it says nothing."""
    given = names(path) if callable(names) else names.get(path)
    if isinstance(given, list):
        return given[slot.number] if slot.number < len(given) else None
    return given.format(*slot.place) if isinstance(given, str) else given


def _looked(candidates: Sequence[tuple[tuple[str, ...], Turn]]) -> str:
    if not candidates:
        return "; names has no module for it"
    return f"; looked for {', or '.join(' and '.join(names) for names, _ in candidates)}"


def in_order(
    net: Layer,
    variables: Variables,
    weights: Mapping[str, Any] | str | os.PathLike[str],
    *,
    ignore: Sequence[str] = (),
) -> dict[str, Any]:
    """A first guess at `names`: the layers and the PyTorch modules, paired in their order.

    PyTorch lists modules in the order in which they were assigned, which is mostly, but not always,
    the order in which they run. `from_torch` checks that every shape fits; of two alike that stand
    in another order it cannot know. So look at the pairs, and compare an output.

    Args:
      net: the network.
      variables: as of `from_torch`.
      weights: as of `from_torch`.
      ignore: as of `from_torch`.

    Raises:
      ValueError: if there are more of one than of the other.

    >>> from fnn import layers
    >>> net = layers.dense(2)
    >>> like = jax.eval_shape(net.init, jax.random.key(0), jnp.ones((1, 3)))
    >>> in_order(net, like, {"fc.weight": np.zeros((2, 3)), "fc.bias": np.zeros(2)})
    {'': 'fc'}
    """
    modules = _modules(read_weights(weights, ignore))
    owned = [path for tree in variables for path in trees.paths(tree)]
    ours = list(_running(net, "", {_owner(path, net) for path in owned}))
    found: dict[str, Any] = {}
    left = list(modules)
    for path, layer in ours:
        heads = [""]
        if layer.name == "attention" and left and "in_proj_weight" not in modules[left[0]]:
            heads = ["/q", "/k", "/v", "/out"]
        if layer.name == "separable_conv":
            heads = ["/depthwise", "/pointwise"]
        for head in heads:
            found.setdefault((path + head).removeprefix("/"), []).append(
                left.pop(0) if left else "-"
            )
    if left or any("-" in names for names in found.values()):
        pairs = [f"  {path or 'the network'}: {', '.join(names)}" for path, names in found.items()]
        raise ValueError(
            "in_order: layers and modules are not as many as each other:\n"
            + "\n".join([*pairs, *(f"  -: {name}" for name in left)])
            + "\ngive names yourself"
        )
    return {path: names[0] if len(names) == 1 else names for path, names in found.items()}


def _modules(source: Mapping[str, Any]) -> dict[str, list[str]]:
    """The modules that own arrays, in order, with the names of these."""
    found: dict[str, list[str]] = {}
    for name in source:
        module, _, array = name.replace(".parametrizations.weight.", ".").rpartition(".")
        outer = module.removesuffix(".out_proj").removesuffix("out_proj")
        if "in_proj_weight" in found.get(outer, ()):
            module = outer  # a part of MultiheadAttention
        if layer := re.search(r"_(l\d+)(_reverse)?$", array):
            module = f"{module}.{layer[1]}".removeprefix(".")  # a layer of a recurrent module
        found.setdefault(module, []).append(array)
    return found


def _running(layer: Layer, path: str, owners: set[str]) -> Iterator[tuple[str, Layer]]:
    """The layers that own arrays, in their order; those in `repeat` as often as they are."""
    if path in owners:
        yield path, layer
    for _ in range(layer.config["n"] if layer.name == "repeat" else 1):
        for name, child in layer.children.items():
            yield from _running(child, f"{path}/{name}" if path else name, owners)


def _owner(path: str, net: Layer) -> str:
    return next(_slots(path, (1,) * 9, list(walk(net)))).owner


def read_weights(
    weights: Mapping[str, Any] | str | os.PathLike[str], ignore: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Arrays by name as NumPy's, of a dict of tensors or arrays or of a safetensors file.

    Args:
      weights: the dict, or the file's path.
      ignore: shell patterns of names that are not wanted.
    """
    if isinstance(weights, str | os.PathLike):
        from safetensors.numpy import load_file

        weights = load_file(weights)
    patterns = ("*num_batches_tracked", *ignore)
    return {
        name: _array(a)
        for name, a in weights.items()
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    }


def _array(a: Any) -> np.ndarray:
    """A tensor of PyTorch, or an array of any kind, as NumPy's."""
    for step in ("detach", "cpu"):
        a = getattr(a, step, lambda a=a: a)()
    return np.asarray(a)
