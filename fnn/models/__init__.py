"""Recipes: whole networks made of layers and combinators, and of nothing else."""

from fnn.models.convnet import convnet as convnet
from fnn.models.convnet import lenet as lenet
from fnn.models.gpt import generate as generate
from fnn.models.gpt import gpt as gpt
from fnn.models.mlp import mlp as mlp
from fnn.models.resnet import resnet as resnet
from fnn.models.rnn import rnn_lm as rnn_lm
from fnn.models.rnn import stacked as stacked
from fnn.models.transformer import feed_forward as feed_forward
from fnn.models.transformer import transformer as transformer
from fnn.models.transformer import transformer_block as transformer_block
from fnn.models.vit import vit as vit
