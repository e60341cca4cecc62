"""fnn: neural networks as pure functions on JAX.

>>> import jax, fnn
>>> net = fnn.serial(fnn.layers.dense(128), jax.nn.relu, fnn.layers.dense(10))
>>> x = jax.numpy.ones((32, 784))
>>> params, state = net.init(jax.random.key(0), x)
>>> logits, _ = net.apply(params, state, x)
>>> logits.shape
(32, 10)
"""

import importlib
from typing import TYPE_CHECKING, Any

from fnn.combine import Policy as Policy
from fnn.combine import frozen as frozen
from fnn.combine import parallel as parallel
from fnn.combine import remat as remat
from fnn.combine import repeat as repeat
from fnn.combine import residual as residual
from fnn.combine import serial as serial
from fnn.combine import shared as shared
from fnn.combine import with_policy as with_policy
from fnn.compose import compose as compose
from fnn.core import Layer as Layer
from fnn.core import Variables as Variables

if TYPE_CHECKING:  # what `__getattr__` does, for those who read and do not run
    from fnn import activations as activations
    from fnn import checkpoint as checkpoint
    from fnn import compare as compare
    from fnn import data as data
    from fnn import datasets as datasets
    from fnn import diagnose as diagnose
    from fnn import draw as draw
    from fnn import estimators as estimators
    from fnn import explain as explain
    from fnn import functional as functional
    from fnn import initializers as initializers
    from fnn import inspect as inspect
    from fnn import interop as interop
    from fnn import layers as layers
    from fnn import losses as losses
    from fnn import metrics as metrics
    from fnn import models as models
    from fnn import optim as optim
    from fnn import play as play
    from fnn import random as random
    from fnn import search as search
    from fnn import shard as shard
    from fnn import stop as stop
    from fnn import surfaces as surfaces
    from fnn import tables as tables
    from fnn import train as train
    from fnn import trees as trees
    from fnn.inference import predict as predict
    from fnn.interop import export as export
    from fnn.train import fit as fit

__version__ = "0.1.0"

# A room is imported when it is first asked for, so that `import fnn` costs next to nothing.
_ROOMS = (
    "activations",
    "checkpoint",
    "compare",
    "data",
    "datasets",
    "diagnose",
    "draw",
    "estimators",
    "explain",
    "functional",
    "initializers",
    "inspect",
    "interop",
    "layers",
    "losses",
    "metrics",
    "models",
    "optim",
    "play",
    "random",
    "search",
    "shard",
    "stop",
    "surfaces",
    "tables",
    "train",
    "trees",
)
_MOVED_UP = {"predict": "inference", "export": "interop", "fit": "train"}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"fnn.{name}")
    if name not in _MOVED_UP:
        raise AttributeError(f"module 'fnn' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"fnn.{_MOVED_UP[name]}"), name)
    globals()[name] = value  # so that the next one need not ask
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS, *_MOVED_UP})
