"""Forward and backward propagation by hand, with every number named."""

import functools
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.core import Layer, as_jax
from fnn.explain.layers import Layers, by_layers
from fnn.explain.neurons import Fed, Neuron, NeuronLayer, Neurons, Parameter, Passed, Synapse
from fnn.explain.opened import RESHAPES, Chain, Group, Step, flat, opened, slopes_of
from fnn.inspect.chain import weighs
from fnn.inspect.summary import branch
from fnn.show import value_text
from fnn.trees import wide

Loss = Callable[[Any, Any], jax.Array]


def forward(
    net: Layer, params: Any, state: Any, x: Any, *, by: str = "auto", limit: int = 20_000
) -> Neurons | Layers:
    r"""Tell how an example goes through the network, neuron by neuron, with each product listed.

    .. math:: z_j = \sum_i w_{ij} a_i + b_j, \qquad a_j = f(z_j)

    Along each synapse a toll is paid: the activation a that comes along is multiplied by the weight
    w. A neuron adds its tolls and its bias, and its activation function makes a of the sum.

    Args:
      net: the network, as in inference.
      params: its parameters.
      state: its state.
      x: one example with its batch axis, (1, ...); for a network that is shown layer by layer any
        batch.
      by: "neurons"; "layers"; "auto" opens the network neuron by neuron if it is a chain of dense
        layers, convolutions and functions of x, and shows it layer by layer if not.
      limit: how many synapses may be listed; a layer may take and give 2,048 numbers besides.

    Returns:
      `Neurons` or `Layers`, each with `str`, `table()` and `html(path)`.

    Raises:
      ValueError: if x holds more than one example or none, where neurons are shown; if
        by="neurons" and the network cannot be opened: the message says why.

    >>> from fnn.layers import dense
    >>> params = {"w": jnp.array([[0.5], [-1.0]]), "b": jnp.array([0.25])}
    >>> print(forward(dense(1), params, {}, jnp.array([[1.0, 2.0]]))["out[0]"].z)
    -1.25
    """
    x = as_jax(x)
    chain = _open("forward", net, params, state, x, by, limit)
    if isinstance(chain, str):
        return by_layers(net, params, state, x, None, None, chain)
    return Neurons(repr(net), _inputs(chain), tuple(_layers(chain)))


def backprop(
    net: Layer,
    params: Any,
    state: Any,
    x: Any,
    y: Any,
    loss: Loss,
    *,
    by: str = "auto",
    limit: int = 20_000,
) -> Neurons | Layers:
    r"""Tell which neuron, weight and bias bears how much of the error, by the chain rule.

    .. math::
        \delta_j = \frac{dC}{dz_j} = \frac{dC}{da_j} f'(z_j), \quad
        \frac{dC}{dw_{ij}} = \delta_j a_i, \quad \frac{dC}{db_j} = \delta_j, \quad
        \frac{dC}{da_i} = \sum_j w_{ij} \delta_j

    The chain rule is carried out layer by layer from the activations of the forward pass, in
    float64, and stands beside the numbers of `jax.grad`, which it does not use. What it takes from
    elsewhere are slopes of single functions at single points: those of the activations and of the
    loss, by forward differentiation of each alone. In float32 the two agree to about 1e-7; in
    bfloat16 jax.grad rounds, and `difference` shows by how much.

    Args:
      net: the network, as in inference.
      params: its parameters.
      state: its state.
      x: one example with its batch axis, (1, ...); for a network that is shown layer by layer any
        batch.
      y: its target, likewise with a batch axis.
      loss: `loss(prediction, y)` -> losses; C is their mean.
      by: "neurons", "layers" or "auto", as in `forward`.
      limit: how many synapses may be listed.

    Returns:
      `Neurons` or `Layers`, as `forward`, with the backward half.

    Raises:
      ValueError: as `forward`.

    Source: Rumelhart, Hinton & Williams 1986, eq. 4 to 7, https://doi.org/10.1038/323533a0;
      Nielsen 2015, ch. 2, BP1 to BP4, http://neuralnetworksanddeeplearning.com/chap2.html

    >>> from fnn import losses
    >>> from fnn.layers import dense
    >>> params = {"w": jnp.array([[0.5], [-1.0]]), "b": jnp.array([0.25])}
    >>> x, y = jnp.array([[1.0, 2.0]]), jnp.array([[0.75]])
    >>> found = backprop(dense(1), params, {}, x, y, losses.squared_error)
    >>> found.cost, found["out[0]"].delta, [one.gradient for one in found["out"].parameters]
    (4.0, -4.0, [-4.0, -8.0, -4.0])
    """
    x, y = as_jax(x), as_jax(y)
    chain = _open("backprop", net, params, state, x, by, limit)
    if isinstance(chain, str):
        return by_layers(net, params, state, x, y, loss, chain)
    out = chain.steps[-1].y
    nudges = [np.zeros(group.weighted.y.shape, group.weighted.y.dtype) for group in chain.groups]
    own = [(step.params, step.state) for step in chain.steps]
    layers = tuple(step.layer for step in chain.steps)
    judge = loss if isinstance(loss, Hashable) else lambda out, y: loss(out, y)
    cost, losses, slope, checks = _of_the_loss(
        net, judge, layers, nudges, own, out, params, state, x, y
    )
    return Neurons(
        net=repr(net),
        inputs=_inputs(chain),
        layers=tuple(_layers(chain, _errors(chain, flat(slope)), checks)),
        loss=value_text(loss),
        target=_numbers(y),
        cost=float(cost),
        losses=tuple(flat(losses).tolist()) if losses.size == out.size else (),
    )


def _errors(chain: Chain, blame: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The chain rule from dC by the output: dC by what a group passes on, dC/da and dC/dz of each.

    They come in the order of the groups, and are found from the last to the first.
    """
    found = []
    for group in reversed(chain.groups):
        da = group.passed.T @ blame
        delta = group.slopes.T @ da
        found.append((blame, da, delta))
        blame = group.effective @ delta
    return found[::-1]


def _open(
    where: str, net: Layer, params: Any, state: Any, x: Any, by: str, limit: int
) -> Chain | str:
    if by not in ("auto", "neurons", "layers"):
        raise ValueError(f"explain.{where}: by must be 'auto', 'neurons' or 'layers', got {by!r}")
    if by == "layers":
        return ""
    chain = opened(where, net, params, state, x, limit)
    if isinstance(chain, str) and by == "neurons":
        raise ValueError(
            f"explain.{where}: the network cannot be shown neuron by neuron: {chain};"
            " take by='layers'"
        )
    return chain


def _mean(losses: jax.Array) -> jax.Array:
    return jnp.mean(losses, dtype=wide(losses.dtype))


def _numbers(y: Any) -> str:
    return ", ".join(f"{value:.4g}" for leaf in jax.tree.leaves(y) for value in flat(leaf))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _of_the_loss(
    net: Layer, loss: Loss, layers: tuple[Layer, ...], nudges: Any, own: Any, out: Any, *given: Any
) -> tuple[jax.Array, jax.Array, jax.Array, Any]:
    """C, the losses, the slope of C at the output alone; and, to be compared, what jax.grad says.

    Of jax.grad: gradients by the parameters, and by a nudge to the z of each layer of neurons.
    Compiled once for a network and a loss.
    """
    params, state, x, y = given

    def by_params(params):
        return _mean(loss(net.apply(params, state, x)[0], y))

    def by_nudges(nudges):
        a, left = x, iter(nudges)
        for layer, (params, state) in zip(layers, own, strict=True):
            a, _ = layer.apply(params, state, a)
            a = a + next(left) if weighs(layer) else a
        return _mean(loss(a, y))

    losses = loss(out, y)
    slope = slopes_of(lambda out: _mean(loss(out, y)), out)
    return _mean(losses), losses, slope, (jax.grad(by_params)(params), jax.grad(by_nudges)(nudges))


def _inputs(chain: Chain) -> tuple[tuple[str, float], ...]:
    first = chain.groups[0].weighted
    return tuple(zip(_names("x", first.x.shape[1:]), flat(first.x).tolist(), strict=True))


def _names(word: str, shape: tuple[int, ...]) -> list[str]:
    return [f"{word}[{', '.join(map(str, place))}]" for place in np.ndindex(*shape)]


def _layers(chain: Chain, errors: Any = None, checks: Any = None) -> list[NeuronLayer]:
    """The layers in order; errors are (blame behind, dC/da, dC/dz) of each, checks jax.grad's."""
    words = [f"h{number + 1}" for number in range(len(chain.groups) - 1)] + ["out"]
    sources = [name for name, _ in _inputs(chain)]
    found = []
    for number, (group, word) in enumerate(zip(chain.groups, words, strict=True)):
        own, names = group.weighted, _names(word, group.weighted.y.shape[1:])
        blame, da, delta = errors[number] if errors else (None, None, None)
        later = chain.groups[number + 1] if number + 1 < len(chain.groups) else None
        neurons = _neurons(group, names, sources, da, delta)
        passed = _passed(group, names, blame)
        if errors and passed:
            targets = [one.name for one in passed]
            neurons = _feeding(neurons, group.passed.T, group.passed.T != 0, targets, blame)
        elif errors and later is not None:
            targets = _names(words[number + 1], later.weighted.y.shape[1:])
            neurons = _feeding(
                neurons, later.effective, later.taps >= 0, targets, errors[number + 1][2]
            )
        if checks:
            seen = flat(checks[1][number]).tolist()
            neurons = [n._replace(autodiff=g) for n, g in zip(neurons, seen, strict=True)]
        found.append(
            NeuronLayer(
                role="output" if later is None else f"hidden {number + 1}",
                name=word,
                path=own.path,
                kind=own.layer.name,
                activation=_called(group.activation),
                after=_called(group.after),
                neurons=tuple(neurons),
                parameters=tuple(_parameters(group, delta, checks and branch(checks[0], own.path))),
                inputs=own.x.size,
                passed=passed,
            )
        )
        sources = [one.name for one in passed] or names
    return found


def _passed(group: Group, names: list[str], blame: Any) -> tuple[Passed, ...]:
    if not group.after:
        return ()
    last = [step for step in group.after if step.layer.name not in RESHAPES][-1]
    a = flat(last.y).tolist()
    da = [None] * len(a) if blame is None else blame.tolist()
    found = []
    for k, name in enumerate(_names(last.layer.name, last.y.shape[1:])):
        sources = tuple(names[j] for j in np.flatnonzero(group.passed[k]))
        found.append(Passed(name, a[k], da[k], sources))
    return tuple(found)


def _called(steps: tuple[Step, ...]) -> str:
    """The functions by name; those that pass on what they take are not worth one."""
    return ", ".join(step.layer.name for step in steps if step.layer.name not in RESHAPES)


def _neurons(
    group: Group, names: list[str], sources: list[str], da: Any, delta: Any
) -> list[Neuron]:
    a, z, activation = flat(group.weighted.x), group.z, group.a
    weights = _names("w", group.weighted.params["w"].shape)
    biases, bias_of = group.weighted.params.get("b"), _bias_of(group)
    slopes = group.slopes
    apart = np.count_nonzero(slopes - np.diag(np.diag(slopes)), axis=0) == 0
    total = np.abs(delta).sum() if delta is not None else 0.0
    found = []
    for j, name in enumerate(names):
        ways = np.flatnonzero(group.taps[:, j] >= 0)
        taps = group.taps[ways, j]
        synapses = tuple(
            Synapse(
                sources[i],
                weights[tap],
                float(group.w[tap]),
                float(a[i]),
                float(group.w[tap] * a[i]),
                None if delta is None else float(delta[j] * a[i]),
            )
            for i, tap in zip(ways.tolist(), taps.tolist(), strict=True)
        )
        bias = None if biases is None else float(biases[bias_of[j]])
        one = Neuron(name, synapses, bias, f"b[{bias_of[j]}]", float(z[j]), float(activation[j]))
        if apart[j]:
            one = one._replace(slope=float(slopes[j, j]))
        else:
            one = one._replace(slopes=tuple(slopes[:, j].tolist()))
        if delta is not None:
            one = one._replace(
                da=float(da[j]),
                delta=float(delta[j]),
                share=float(abs(delta[j]) / total) if total else 0.0,
            )
        found.append(one)
    return found


def _bias_of(group: Group) -> np.ndarray:
    """Which bias each neuron has: the features are the last axis."""
    return np.arange(group.z.size) % group.weighted.y.shape[-1]


def _feeding(
    neurons: list[Neuron], slopes: np.ndarray, there: np.ndarray, targets: list[str], blame: Any
) -> list[Neuron]:
    """The neurons with what they feed: slopes are (neurons, targets), blame dC by each target."""
    found = []
    for i, neuron in enumerate(neurons):
        ways = np.flatnonzero(there[i]).tolist()
        fed = tuple(Fed(targets[k], float(slopes[i, k]), float(blame[k])) for k in ways)
        found.append(neuron._replace(feeds=fed))
    return found


def _parameters(group: Group, delta: Any, grads: Any) -> list[Parameter]:
    there = group.taps >= 0
    products = None if delta is None else np.outer(flat(group.weighted.x), delta)[there]
    found = _summed("w", group, group.taps[there], products, grads)
    if "b" in group.weighted.params:
        found += _summed("b", group, _bias_of(group), delta, grads)
    return found


def _summed(name: str, group: Group, used: np.ndarray, parts: Any, grads: Any) -> list[Parameter]:
    """Each entry of w or b with the parts of its gradient added up."""
    value = group.weighted.params[name]
    none = [None] * value.size
    counts = np.bincount(used, minlength=value.size).tolist()
    by_hand = none if parts is None else np.bincount(used, parts, value.size).tolist()
    checked = none if parts is None else flat(grads[name]).tolist()
    names = _names(name, value.shape)
    return list(map(Parameter, names, flat(value).tolist(), counts, by_hand, checked))
