"""Combinators: they make networks out of networks, and are the whole architecture language.

A container names its children (`dense_0, relu_1` by kind and position, or by keyword) and these
names are the keys of `params` and `state`, the salt of each child's random key, and the path in
every error. A child that owns nothing leaves no trace in either dict.
"""

from fnn.combine.children import apply_child as apply_child
from fnn.combine.children import check_function as check_function
from fnn.combine.children import name_children as name_children
from fnn.combine.children import put as put
from fnn.combine.children import under as under
from fnn.combine.containers import parallel as parallel
from fnn.combine.containers import residual as residual
from fnn.combine.containers import serial as serial
from fnn.combine.depth import repeat as repeat
from fnn.combine.depth import shared as shared
from fnn.combine.gradients import frozen as frozen
from fnn.combine.gradients import remat as remat
from fnn.combine.gradients import resting as resting
from fnn.combine.policy import Policy as Policy
from fnn.combine.policy import with_policy as with_policy
