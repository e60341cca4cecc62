"""Layers by family: each a function of its settings that returns a `Layer`."""

from fnn.layers.activation import prelu as prelu
from fnn.layers.dropout import dropout as dropout
from fnn.layers.embed import embed as embed
from fnn.layers.linear import bias as bias
from fnn.layers.linear import dense as dense
from fnn.layers.norm import batch_norm as batch_norm
from fnn.layers.norm import layer_norm as layer_norm
from fnn.layers.shape import flatten as flatten
from fnn.layers.shape import reshape as reshape
