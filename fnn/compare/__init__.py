"""Optimizers raced fairly: one budget, one set of weights and batches, ours and optax's."""

from fnn.compare.contestants import DEFAULT as DEFAULT
from fnn.compare.race import compare as compare
from fnn.compare.result import Comparison as Comparison
from fnn.compare.result import Row as Row
