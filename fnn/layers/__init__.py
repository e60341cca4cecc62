"""Layers by family: each a function of its settings that returns a `Layer`."""

from fnn.layers.linear import dense as dense
