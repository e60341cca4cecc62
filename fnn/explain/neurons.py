"""What an explanation is made of: synapses, neurons, their layers, and the whole."""

import math
import os
from typing import Any, NamedTuple


class Synapse(NamedTuple):
    """A way into a neuron, and the toll that is paid on it.

    Attributes:
      source: who stands at its start, such as "x[0]" or "h1[2]".
      weight: which entry of the layer's weights it has, such as "w[0, 2]".
      w: that weight.
      a: what comes along: the source's activation.
      product: w a, its part of the weighted input.
      gradient: delta a, its part of dC/dw; None in `forward`. Where no other synapse has the same
        weight, as in a dense layer, that is all of dC/dw.
    """

    source: str
    weight: str
    w: float
    a: float
    product: float
    gradient: float | None = None


class Fed(NamedTuple):
    """What a neuron feeds: the blame that comes back from there is w delta.

    Attributes:
      target: a neuron; or what a function such as pooling makes, "max_pool[0, 1, 2]".
      w: the weight between the two; of a function its slope.
      delta: dC/dz of the neuron; dC/da of what the function makes.
    """

    target: str
    w: float
    delta: float


class Neuron(NamedTuple):
    r"""One neuron, forward, and backward if a loss was given (da, delta, share are else None).

    .. math:: z = \sum_i w_i a_i + b, \quad a = f(z), \quad
        \delta = \frac{dC}{dz} = \sum_k \frac{dC}{da_k} \frac{da_k}{dz}

    Attributes:
      name: such as "h1[0]" for the first of the first hidden layer, "out[1]".
      synapses: what comes in.
      bias: b; None if its layer has none.
      bias_name: such as "b[0]".
      z: the weighted input.
      a: the activation.
      da: dC/da.
      slope: da/dz; None where its z moves other neurons of the layer too, as in softmax.
      slopes: then da_k/dz for each neuron k of the layer; else ().
      delta: dC/dz by the chain rule, its error.
      share: |delta| / sum of |delta| over its layer, in [0, 1]: its share of the total error there.
      feeds: where da comes from; () for outputs.
      autodiff: dC/dz by jax.grad.
    """

    name: str
    synapses: tuple[Synapse, ...]
    bias: float | None
    bias_name: str
    z: float
    a: float
    da: float | None = None
    slope: float | None = None
    delta: float | None = None
    share: float | None = None
    feeds: tuple[Fed, ...] = ()
    autodiff: float | None = None
    slopes: tuple[float, ...] = ()


class Parameter(NamedTuple):
    """One weight or bias.

    Attributes:
      name: its entry, such as "w[0, 2]".
      value: what it is.
      synapses: how many synapses have it; a bias: how many neurons. 1 in a dense layer.
      gradient: dC/dw by the chain rule, all synapses together; None in `forward`.
      autodiff: dC/dw by jax.grad.
    """

    name: str
    value: float
    synapses: int
    gradient: float | None = None
    autodiff: float | None = None


class Passed(NamedTuple):
    """A number that a function such as pooling makes of a layer's activations.

    Attributes:
      name: such as "max_pool[0, 1, 2]".
      a: its value.
      da: dC/da; None in `forward`.
      sources: the neurons it depends on here: of a maximum the largest alone.
    """

    name: str
    a: float
    da: float | None
    sources: tuple[str, ...]


class NeuronLayer(NamedTuple):
    """A layer of neurons.

    Attributes:
      role: "hidden 1", "output".
      name: what its neurons are called, "h1", "out".
      path: of the layer that weighs, such as "dense_0".
      kind: "dense", "conv".
      activation: the functions that make a of z, such as "tanh"; "" for none.
      after: those that follow and change the size, such as "max_pool"; "" for none.
      neurons: its neurons.
      parameters: its weights, then its biases.
      inputs: how many numbers it is given.
      passed: what `after` makes of them; () where there is no such function.
    """

    role: str
    name: str
    path: str
    kind: str
    activation: str
    after: str
    neurons: tuple[Neuron, ...]
    parameters: tuple[Parameter, ...]
    inputs: int
    passed: tuple[Passed, ...] = ()

    @property
    def synapses(self) -> int:
        """How many there are: "some" in a convolution."""
        return sum(len(neuron.synapses) for neuron in self.neurons)

    @property
    def all_synapses(self) -> int:
        """How many there would be if each neuron saw every input: "all", as in a dense layer."""
        return self.inputs * len(self.neurons)


class Neurons(NamedTuple):
    """A network explained neuron by neuron; `print` it, `table()` it, or step through its `html`.

    Attributes:
      net: the network in words.
      inputs: the inputs by name, as the first neurons see them.
      layers: its layers of neurons, in order.
      loss: the name of the loss; "" in `forward`.
      target: the target in words.
      cost: C, the mean of the losses; None in `forward`.
      losses: what each output costs, where the loss tells; ().
    """

    net: str
    inputs: tuple[tuple[str, float], ...]
    layers: tuple[NeuronLayer, ...]
    loss: str = ""
    target: str = ""
    cost: float | None = None
    losses: tuple[float, ...] = ()

    def __getitem__(self, name: Any) -> Any:  # type: ignore[override]
        """A neuron by its name, such as "h1[0]", or a layer by its own; a field by its number."""
        if not isinstance(name, str):
            return tuple(self)[name]
        for layer in self.layers:
            if layer.name == name:
                return layer
            for neuron in layer.neurons:
                if neuron.name == name:
                    return neuron
        known = ", ".join(f"{layer.name}[...] ({len(layer.neurons)})" for layer in self.layers)
        raise KeyError(f"explain: no neuron or layer {name!r}; there are {known}")

    @property
    def difference(self) -> float:
        """The largest distance between a number of the chain rule and that of jax.grad.

        NaN in `forward`, which has no gradients, and where one of them is not finite.
        """
        pairs = [
            (one.gradient, one.autodiff) for layer in self.layers for one in layer.parameters
        ] + [(one.delta, one.autodiff) for layer in self.layers for one in layer.neurons]
        apart = [abs(a - b) for a, b in pairs if a is not None and b is not None]
        return max(apart, key=lambda d: math.inf if math.isnan(d) else d, default=math.nan)

    def table(self, of: str = "neurons") -> list[dict[str, Any]]:
        """Rows of a table, such as `pandas.DataFrame` takes.

        Args:
          of: "neurons", a row for each; "synapses", a row for each way in; "parameters", a row for
            each weight and bias.

        Raises:
          ValueError: for any other word.
        """
        from fnn.explain.words import rows

        return rows(self, of)

    def html(self, path: str | os.PathLike[str]) -> None:
        """Write a page in which one steps forward through the neurons and back through the deltas.

        One file that needs no network. The arrow keys step, space plays; in each layer the first
        neurons are drawn and stepped through, the others are in the tables below.
        """
        from fnn.checkpoint.atomic import write_atomically
        from fnn.explain.page import page

        write_atomically(path, page(self))

    def __str__(self) -> str:
        """The most blamed eight of each layer in words, or those of the largest |a|."""
        from fnn.explain.words import text

        return text(self)
