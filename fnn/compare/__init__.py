"""Optimizers raced fairly: one budget, one set of weights and batches, ours and optax's."""

from fnn.compare.contestants import DEFAULT as DEFAULT
from fnn.compare.knobs import KNOBS as KNOBS
from fnn.compare.knobs import Trial as Trial
from fnn.compare.race import compare as compare
from fnn.compare.result import Comparison as Comparison
from fnn.compare.result import Row as Row
