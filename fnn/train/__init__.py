"""Training: one step, a whole run as one program, many runs at once, and `fit` for daily work."""

from fnn.compiler import compiled as compiled
from fnn.train import workers as workers
from fnn.train.ensemble import ClassBeliefs as ClassBeliefs
from fnn.train.ensemble import Ensemble as Ensemble
from fnn.train.ensemble import NumberBeliefs as NumberBeliefs
from fnn.train.ensemble import class_beliefs as class_beliefs
from fnn.train.ensemble import ensemble as ensemble
from fnn.train.ensemble import gaussian_loss as gaussian_loss
from fnn.train.ensemble import mean_and_variance as mean_and_variance
from fnn.train.ensemble import member_outputs as member_outputs
from fnn.train.ensemble import number_beliefs as number_beliefs
from fnn.train.evaluate import evaluate as evaluate
from fnn.train.evaluate import outputs as outputs
from fnn.train.fit import Fit as Fit
from fnn.train.fit import fit as fit
from fnn.train.kronecker import kronecker_factors as kronecker_factors
from fnn.train.lanes import over_lanes as over_lanes
from fnn.train.objective import objective as objective
from fnn.train.objective import residuals as residuals
from fnn.train.replay import replay as replay
from fnn.train.run import Trace as Trace
from fnn.train.run import run as run
from fnn.train.step import StepInfo as StepInfo
from fnn.train.step import TrainState as TrainState
from fnn.train.step import init as init
from fnn.train.step import make_step as make_step
