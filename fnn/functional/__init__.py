"""Stateless array maths that layers are made of; of use without a layer, too."""

from fnn.functional.conv import conv as conv
from fnn.functional.pool import avg_pool as avg_pool
from fnn.functional.pool import max_pool as max_pool
