"""Groups of parameters, each with an optimizer of its own: `partition`, `masked`, `freeze`."""

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.averages import averages_in, eval_params
from fnn.optim.base import Optimizer, extras_of, resolved
from fnn.optim.links import identity
from fnn.trees import paths


@jax.tree_util.register_static
@dataclass(frozen=True)
class Labels:
    """Which group each leaf belongs to, in the order of the leaves: static, part of the state.

    So the state alone knows the groups, and nothing looks for patterns again after `init`.
    """

    of: tuple[str, ...]

    def only(self, label: str, tree: Any, what: str = "grads") -> Any:
        """The tree with `()`, which holds no leaf, in place of each leaf of another group."""
        leaves, structure = self._flat(tree, what)
        return structure.unflatten(
            [leaf if of == label else () for of, leaf in zip(self.of, leaves, strict=True)]
        )

    def joined(self, groups: Mapping[str, Any], like: Any) -> Any:
        """The inverse: one tree of the groups' leaves."""
        structure = self._flat(like, "grads")[1]
        left = {label: iter(jax.tree.leaves(tree)) for label, tree in groups.items()}
        return structure.unflatten([next(left[of]) for of in self.of])

    def _flat(self, tree: Any, what: str) -> tuple[list[Any], Any]:
        leaves, structure = jax.tree.flatten(tree)
        if len(leaves) != len(self.of):
            raise ValueError(
                f"partition: {what} has {len(leaves)} leaves, the params that init was given had"
                f" {len(self.of)}; give the gradients of these very params"
            )
        return leaves, structure


class PartitionState(NamedTuple):
    """The groups' own states.

    Attributes:
      groups: {label: state of the group's optimizer}.
      labels: which group each leaf belongs to; static.
    """

    groups: dict[str, Any]
    labels: Labels


class AveragedPartitionState(NamedTuple):
    """A `PartitionState` with an optimizer in it that keeps an average of its parameters."""

    groups: dict[str, Any]
    labels: Labels

    def eval_params(self, params: Any) -> Any:
        """The averages in the groups that keep one, the parameters themselves in the others."""
        own = {
            label: eval_params(state, self.labels.only(label, params, "params"))
            for label, state in self.groups.items()
        }
        return self.labels.joined(own, params)


def partition(rules: Mapping[str, Any], *, default: Any = None, labels: Any = None) -> Optimizer:
    """Give each group of parameters an optimizer of its own; every leaf is in exactly one group.

    An optimizer sees its group as the whole tree with `()` in place of the other leaves: paths stay
    what they are, and no state is kept for leaves of other groups. What clips or measures by a norm
    takes the norm of its group.

    Args:
      rules: {shell pattern of paths: optimizer, ours or optax's}, such as
        {"*/b": sgd(0.1), "head/*": adam(1e-3)}; `*` crosses slashes. With `labels`, {label:
        optimizer}.
      default: the optimizer of the leaves that no rule takes; None if there must be none.
      labels: a tree of strings like the parameters or like their upper levels, or a function from
        the parameters to one, for groups that paths do not tell.

    Of the extra arguments of `update`, `grad` comes to each optimizer cut to its group, `value_fn`
    as a function of the group's parameters, the others being where they are.
    `with_hypers` changes a name in all groups; to change one group's, give it `state.groups[...]`.

    Raises:
      TypeError: if a rule's optimizer has no init or update.
      ValueError: in init, if a rule takes no leaf, two rules take the same one, or none takes it
        and there is no default; the message has the paths.

    Same as: optax.partition(transforms, labels), which has no patterns and lets rules be idle

    >>> from fnn.optim import sgd
    >>> params = {"body": {"b": jnp.zeros(1), "w": jnp.zeros(1)}, "head": {"w": jnp.zeros(1)}}
    >>> optimizer = partition({"body/*": sgd(0.5)}, default=sgd(0.25))
    >>> grads = jax.tree.map(jnp.ones_like, params)
    >>> updates, state = optimizer.update(grads, optimizer.init(params), params)
    >>> print({path: float(u[0]) for path, u in paths(updates).items()})
    {'body/b': -0.5, 'body/w': -0.5, 'head/w': -0.25}
    """
    optimizers = dict(rules)
    if default is not None:
        if "default" in optimizers:
            raise ValueError("partition: 'default' is a rule and an argument; keep one of them")
        optimizers["default"] = default
    for name, optimizer in optimizers.items():
        if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
            raise TypeError(
                f"partition: the optimizer of {name!r} must have init and update, got"
                f" {type(optimizer).__name__}; call its constructor first"
            )

    def label(params):
        if labels is None:
            return _by_pattern(tuple(rules), params, default is not None)
        return _by_label(tuple(rules), labels, params, default is not None)

    return _grouped("partition", optimizers, label)


def masked(optimizer: Any, mask: Any) -> Optimizer:
    """Apply an optimizer or a link to some leaves; the others pass through as they came in.

    For links of a `chain`: what passes an *optimizer* untouched is a gradient, which as an update
    would climb. To train a part alone use `partition({"head/*": adam(1e-3)}, default=freeze())`.

    Args:
      optimizer: ours or optax's; it keeps no state for leaves left out.
      mask: True where it applies: a shell pattern of paths such as "*/w", a tree of bools like the
        parameters or like their upper levels, or a function from the parameters to one.

    Same as: optax.masked

    >>> from fnn.optim import clip
    >>> link, grads = masked(clip(1.0), "w"), {"b": jnp.array(5.0), "w": jnp.array(5.0)}
    >>> print({name: float(u) for name, u in link.update(grads, link.init(grads))[0].items()})
    {'b': 5.0, 'w': 1.0}
    """
    optimizers = {"in": optimizer, "out": identity()}
    return _grouped("masked", optimizers, lambda params: _in_or_out("masked", mask, params))


def freeze(mask: Any = "*") -> Optimizer:
    """Turn the updates of some leaves to zero, so that these parameters stay as they are.

    A link for the end of a `chain`: after it nothing moves what is frozen, weight decay least of
    all. Optimizers before it keep their state for the frozen leaves too; `partition({"body/*":
    freeze()}, default=adam(1e-3))` keeps none. Either way, compiled, the gradients of what is
    frozen are not computed where nothing else asks for them.

    Args:
      mask: True where nothing may move: a shell pattern of paths, a tree of bools like the
        parameters or like their upper levels, or a function from the parameters to one.

    Same as: optax.freeze

    >>> from fnn.optim import chain, sgd
    >>> optimizer = chain(sgd(1.0), freeze("b*"))
    >>> grads = {"b": jnp.array(5.0), "w": jnp.array(5.0)}
    >>> updates, _ = optimizer.update(grads, optimizer.init(grads))
    >>> print({name: float(u) for name, u in updates.items()})
    {'b': 0.0, 'w': -5.0}
    """

    def still(grads, state, params=None):
        return jax.tree.map(jnp.zeros_like, grads), state

    optimizers = {"in": Optimizer(lambda params: (), still), "out": identity()}
    return _grouped("freeze", optimizers, lambda params: _in_or_out("freeze", mask, params))


def _grouped(
    owner: str, optimizers: Mapping[str, Any], label: Callable[[Any], list[str]]
) -> Optimizer:
    picks = {name: extras_of(optimizer.update) for name, optimizer in optimizers.items()}

    def init(params):
        labels = Labels(tuple(label(params)))
        groups = {
            name: optimizer.init(labels.only(name, params, "params"))
            for name, optimizer in optimizers.items()
            if name in labels.of
        }
        kind = AveragedPartitionState if averages_in(groups) else PartitionState
        return kind(groups, labels)

    def update(grads, state, params=None, **extra):
        if not isinstance(state, PartitionState | AveragedPartitionState):
            raise ValueError(
                f"{owner}: state must be a PartitionState, got {type(state).__name__};"
                " pass what this optimizer's init returned"
            )
        labels, updates, groups = state.labels, {}, {}
        for name, old in state.groups.items():
            own = None if params is None else labels.only(name, params, "params")
            cut = {k: _cut(labels, name, k, v, params) for k, v in picks[name](extra).items()}
            updates[name], groups[name] = optimizers[name].update(
                labels.only(name, grads), old, own, **cut
            )
        return labels.joined(updates, grads), state._replace(groups=groups)

    return Optimizer(init, update)


def _cut(labels: Labels, name: str, argument: str, value: Any, params: Any) -> Any:
    """An extra argument of `update` as the group sees it."""
    if argument == "grad":
        return labels.only(name, value)
    if argument == "value_fn" and params is not None:
        rest = {other: labels.only(other, params, "params") for other in labels.of}
        return _OwnValue(
            value, lambda own: labels.joined({**rest, name: own}, params), labels, name
        )
    return value


class _OwnValue:
    """`value_fn` as a function of one group's parameters, and its examples if it knows them."""

    def __init__(self, value_fn: Any, whole: Callable[[Any], Any], labels: Labels, name: str):
        self.value_fn, self.whole = value_fn, whole
        if hasattr(value_fn, "weighed_sum"):

            def weighed_sum(weigh, own, **how):
                total, n = value_fn.weighed_sum(
                    lambda grads: weigh(labels.only(name, grads)), whole(own), **how
                )
                return labels.only(name, total), n

            self.weighed_sum = weighed_sum

    def __call__(self, own: Any) -> jax.Array:
        return self.value_fn(self.whole(own))


def _by_pattern(patterns: tuple[str, ...], params: Any, has_default: bool) -> list[str]:
    """The pattern that takes each leaf."""
    there = list(paths(params))
    takers = {
        p: [pattern for pattern in patterns if fnmatch.fnmatchcase(p, pattern)] for p in there
    }
    for path, found in takers.items():
        if len(found) > 1:
            told = " and ".join(map(repr, found))
            raise ValueError(
                f"partition: {path!r} is matched by {told}; let one rule take each parameter"
            )
    for pattern in patterns:
        if [pattern] not in takers.values():
            raise ValueError(
                f"partition: no path matches {pattern!r}; there are {', '.join(there)}"
            )
    left = [path for path, found in takers.items() if not found]
    if left and not has_default:
        raise ValueError(
            f"partition: no rule matches {', '.join(left)}; give a default, or freeze() by name"
        )
    return [found[0] if found else "default" for found in takers.values()]


def _by_label(names: tuple[str, ...], labels: Any, params: Any, has_default: bool) -> list[str]:
    """The label of each leaf, `default` where no rule has its label."""
    tree = labels(params) if callable(labels) else labels
    found = _broadcast("partition", "labels", tree, params)
    for path, label in zip(paths(params), found, strict=True):
        if label not in names and not has_default:
            raise ValueError(
                f"partition: {path!r} has the label {label!r}, the rules are for"
                f" {', '.join(names)}; add a rule or a default"
            )
    for name in names:
        if name not in found:
            raise ValueError(
                f"partition: no parameter has the label {name!r}; the labels are"
                f" {', '.join(sorted(set(map(str, found))))}"
            )
    return [label if label in names else "default" for label in found]


def _in_or_out(owner: str, mask: Any, params: Any) -> list[str]:
    found = _broadcast(owner, "mask", resolved(mask, params), params)
    if odd := [value for value in found if value not in (True, False)]:
        raise TypeError(f"{owner}: mask must hold True and False, got {odd[0]!r}")
    return ["in" if value else "out" for value in found]


def _broadcast(owner: str, what: str, tree: Any, params: Any) -> list[Any]:
    """One entry for each leaf of params, from a tree like them or like their upper levels."""
    try:
        return jax.tree.leaves(
            jax.tree.map(lambda entry, branch: jax.tree.map(lambda _: entry, branch), tree, params)
        )
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{owner}: {what} must be a tree like the params or like their upper levels, got"
            f" {jax.tree.structure(tree)} for params with {', '.join(paths(params))}"
        ) from error
