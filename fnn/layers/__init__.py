"""Layers by family: each a function of its settings that returns a `Layer`."""

from fnn.layers.activation import prelu as prelu
from fnn.layers.conv import conv as conv
from fnn.layers.conv import depthwise_conv as depthwise_conv
from fnn.layers.conv import separable_conv as separable_conv
from fnn.layers.conv_transpose import conv_transpose as conv_transpose
from fnn.layers.dropout import dropout as dropout
from fnn.layers.embed import embed as embed
from fnn.layers.linear import bias as bias
from fnn.layers.linear import dense as dense
from fnn.layers.norm import batch_norm as batch_norm
from fnn.layers.norm import layer_norm as layer_norm
from fnn.layers.patches import patches as patches
from fnn.layers.pool import adaptive_avg_pool as adaptive_avg_pool
from fnn.layers.pool import adaptive_max_pool as adaptive_max_pool
from fnn.layers.pool import avg_pool as avg_pool
from fnn.layers.pool import global_avg_pool as global_avg_pool
from fnn.layers.pool import global_max_pool as global_max_pool
from fnn.layers.pool import max_pool as max_pool
from fnn.layers.shape import flatten as flatten
from fnn.layers.shape import reshape as reshape
from fnn.layers.upsample import pixel_shuffle as pixel_shuffle
from fnn.layers.upsample import pixel_unshuffle as pixel_unshuffle
from fnn.layers.upsample import upsample as upsample
