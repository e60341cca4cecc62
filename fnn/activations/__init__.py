"""Activations by their standard names, and `properties`, which measures what each is like.

All are functions of an array, elementwise unless they take an axis, and finite, in value and in
gradient, at +-1e4 in float32. A knob is given by `functools.partial(leaky_relu, slope=0.1)`.
"""

from fnn.activations.normalised import glu as glu
from fnn.activations.normalised import gumbel_softmax as gumbel_softmax
from fnn.activations.normalised import log_softmax as log_softmax
from fnn.activations.normalised import softmax as softmax
from fnn.activations.normalised import softmin as softmin
from fnn.activations.normalised import standardize as standardize
from fnn.activations.piecewise import hard_sigmoid as hard_sigmoid
from fnn.activations.piecewise import hard_silu as hard_silu
from fnn.activations.piecewise import hard_swish as hard_swish
from fnn.activations.piecewise import hard_tanh as hard_tanh
from fnn.activations.piecewise import hardshrink as hardshrink
from fnn.activations.piecewise import identity as identity
from fnn.activations.piecewise import leaky_relu as leaky_relu
from fnn.activations.piecewise import linear as linear
from fnn.activations.piecewise import prelu as prelu
from fnn.activations.piecewise import relu as relu
from fnn.activations.piecewise import relu6 as relu6
from fnn.activations.piecewise import rrelu as rrelu
from fnn.activations.piecewise import softshrink as softshrink
from fnn.activations.piecewise import sparse_plus as sparse_plus
from fnn.activations.piecewise import sparse_sigmoid as sparse_sigmoid
from fnn.activations.piecewise import threshold as threshold
from fnn.activations.properties import Properties as Properties
from fnn.activations.properties import properties as properties
from fnn.activations.smooth import celu as celu
from fnn.activations.smooth import elu as elu
from fnn.activations.smooth import gelu as gelu
from fnn.activations.smooth import gelu_tanh as gelu_tanh
from fnn.activations.smooth import log_sigmoid as log_sigmoid
from fnn.activations.smooth import mish as mish
from fnn.activations.smooth import selu as selu
from fnn.activations.smooth import sigmoid as sigmoid
from fnn.activations.smooth import silu as silu
from fnn.activations.smooth import softplus as softplus
from fnn.activations.smooth import softsign as softsign
from fnn.activations.smooth import squareplus as squareplus
from fnn.activations.smooth import swish as swish
from fnn.activations.smooth import tanh as tanh
from fnn.activations.smooth import tanhshrink as tanhshrink
