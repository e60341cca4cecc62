"""Forward and backward propagation explained: every number named, beside jax.grad's own.

>>> import jax, jax.numpy as jnp
>>> from fnn import explain, layers, losses, serial
>>> net = serial(layers.dense(2), jnp.tanh, layers.dense(1))
>>> params, state = net.init(jax.random.key(0), jnp.ones((1, 2)))
>>> x, y = jnp.array([[1.0, 0.0]]), jnp.array([[1.0]])
>>> found = explain.backprop(net, params, state, x, y, losses.squared_error)
>>> found.difference < 1e-6
True
"""

from fnn.explain.chain_rule import backprop as backprop
from fnn.explain.chain_rule import forward as forward
from fnn.explain.layers import LayerRow as LayerRow
from fnn.explain.layers import Layers as Layers
from fnn.explain.neurons import Fed as Fed
from fnn.explain.neurons import Neuron as Neuron
from fnn.explain.neurons import NeuronLayer as NeuronLayer
from fnn.explain.neurons import Neurons as Neurons
from fnn.explain.neurons import Parameter as Parameter
from fnn.explain.neurons import Synapse as Synapse
from fnn.explain.windows import Window as Window
