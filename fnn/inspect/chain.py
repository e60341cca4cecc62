"""A network as a chain: the layers that its nested `serial`s run one after the other."""

from collections.abc import Iterator

from fnn import combine, layers
from fnn.core import Layer

WEIGHING = (layers.dense, layers.conv, layers.depthwise_conv)  # weighted sums of what comes in


def links(layer: Layer, path: str = "") -> Iterator[tuple[str, Layer]]:
    """The layers of a chain with their paths, in the order of their running.

    What is no `serial` is one link, whatever it holds.

    >>> net = combine.serial(body=combine.serial(layers.dense(2)), head=layers.dense(1))
    >>> [path for path, _ in links(net)]
    ['body/dense_0', 'head']
    """
    if layer.made_by is combine.serial:
        for name, child in layer.children.items():
            yield from links(child, f"{path}/{name}" if path else name)
    else:
        yield path, layer


def weighs(layer: Layer) -> bool:
    """Whether it is a layer of neurons: each output a weighted sum of inputs."""
    return layer.made_by in WEIGHING
