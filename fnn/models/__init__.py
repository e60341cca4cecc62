"""Recipes: whole networks made of layers and combinators, and of nothing else."""

from fnn.models.convnet import convnet as convnet
from fnn.models.convnet import lenet as lenet
from fnn.models.mlp import mlp as mlp
from fnn.models.resnet import resnet as resnet
from fnn.models.rnn import rnn_lm as rnn_lm
from fnn.models.rnn import stacked as stacked
