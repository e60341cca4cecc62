"""Seeing a network: what it is made of, what it spends, and how it fares on a batch."""

from fnn.inspect.flops import Flops as Flops
from fnn.inspect.summary import Row as Row
from fnn.inspect.summary import Summary as Summary
from fnn.inspect.summary import summary as summary
