"""The networks that a comparison knows by name: small, and suited to the data."""

import jax

from fnn import layers, models
from fnn.combine import serial
from fnn.compare.task import Task
from fnn.core import Layer
from fnn.initializers import he_normal

NETS = ("mlp", "cnn", "linear")


def make_net(name: str, task: Task, *, width: int | None = None, depth: int | None = None) -> Layer:
    """The network of that name for a task.

    Args:
      name: "mlp", fully connected; "cnn", convolutions that halve an image each, then one dense
        layer; "linear", one dense layer.
      task: says how many outputs there must be.
      width: neurons of each hidden layer of the mlp, 128 if None; channels of the first
        convolution, which each further one doubles, 8 if None.
      depth: hidden layers of the mlp, 1 if None; convolutions of the cnn, 2 if None.

    Raises:
      ValueError: for an unknown name, a network that the data do not fit, or a size that the
        linear one does not have.

    >>> from fnn.compare.task import make_task
    >>> make_net("mlp", make_task("iris"), width=16)
    serial(flatten(), dense(16), relu, dense(3))
    """
    if name not in NETS:
        raise ValueError(f"compare: no net {name!r}; there are {', '.join(NETS)}")
    if name == "mlp":
        return models.mlp(*[width or 128] * (depth or 1), task.outputs)
    if name == "linear":
        if width or depth:
            raise ValueError("compare: the linear net has no width and no depth; leave them out")
        return serial(layers.flatten(), layers.dense(task.outputs))
    depth = depth or 2
    _check_images(task, 2**depth)
    stages = []
    for place in range(depth):
        # strides and no pools: a step costs a third of that with pools, and a fair race many steps
        convolution = layers.conv((width or 8) << place, (3, 3), stride=2, w_init=he_normal)
        stages += [convolution, jax.nn.relu]
    return serial(*stages, layers.flatten(), layers.dense(task.outputs))


def _check_images(task: Task, least: int) -> None:
    shape = jax.tree.leaves(task.data.x_train)[0].shape[1:]
    if len(shape) != 3:
        raise ValueError(
            f"compare: the cnn needs images of (height, width, channels), got examples of shape"
            f" {shape} in {task.name}; take the mlp or the linear net"
        )
    if min(shape[:2]) < least:
        raise ValueError(
            f"compare: the cnn's convolutions halve an image until nothing is left, got images of"
            f" {shape[0]} x {shape[1]} in {task.name}, needed are {least} x {least}; take fewer"
            " of them (depth), or the mlp"
        )
