"""What is the matter with the data, the net, the training: questions that are answered by tests."""

from fnn.diagnose.added import Test as Test
from fnn.diagnose.aligned import aligned as aligned
from fnn.diagnose.gradients import GradientCheck as GradientCheck
from fnn.diagnose.gradients import gradients as gradients
from fnn.diagnose.landscape import Landscape as Landscape
from fnn.diagnose.landscape import Way as Way
from fnn.diagnose.landscape import interpolate as interpolate
from fnn.diagnose.landscape import landscape as landscape
from fnn.diagnose.linear import Linearity as Linearity
from fnn.diagnose.linear import is_linear as is_linear
from fnn.diagnose.minima import Interval as Interval
from fnn.diagnose.minima import Level as Level
from fnn.diagnose.minima import Minima as Minima
from fnn.diagnose.minima import minima as minima
from fnn.diagnose.minima import wilson as wilson
from fnn.diagnose.quality import Quality as Quality
from fnn.diagnose.quality import fit_quality as fit_quality
from fnn.diagnose.symmetry import canonical as canonical
