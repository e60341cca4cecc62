"""Schedules: pure functions of the step, `schedule(count) -> value`, count being 0 at first.

Any number here may be traced, so that a sweep can `vmap` over a peak or a length. The value is a
float32 (float64 under x64) of count's shape.
"""

from fnn.optim.schedules.cyclical import exp_range as exp_range
from fnn.optim.schedules.cyclical import linear_one_cycle as linear_one_cycle
from fnn.optim.schedules.cyclical import triangular as triangular
from fnn.optim.schedules.cyclical import triangular2 as triangular2
from fnn.optim.schedules.decay import constant as constant
from fnn.optim.schedules.decay import cosine_decay as cosine_decay
from fnn.optim.schedules.decay import exponential_decay as exponential_decay
from fnn.optim.schedules.decay import inverse_sqrt as inverse_sqrt
from fnn.optim.schedules.decay import linear as linear
from fnn.optim.schedules.decay import piecewise as piecewise
from fnn.optim.schedules.decay import polynomial as polynomial
from fnn.optim.schedules.decay import step_decay as step_decay
from fnn.optim.schedules.joined import cosine_restarts as cosine_restarts
from fnn.optim.schedules.joined import join as join
from fnn.optim.schedules.joined import one_cycle as one_cycle
from fnn.optim.schedules.joined import warmup as warmup
from fnn.optim.schedules.joined import warmup_cosine as warmup_cosine
from fnn.optim.schedules.memory import half_life as half_life
