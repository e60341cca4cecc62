"""Recipes: whole networks made of layers and combinators, and of nothing else."""

from fnn.models.mlp import mlp as mlp
