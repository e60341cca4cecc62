"""Seeing a network: what it is made of, what it spends, and how it fares on a batch."""

from fnn.inspect.activations import Activation as Activation
from fnn.inspect.activations import Activations as Activations
from fnn.inspect.activations import activations as activations
from fnn.inspect.attributions import Attribution as Attribution
from fnn.inspect.attributions import integrated_gradients as integrated_gradients
from fnn.inspect.attributions import saliency as saliency
from fnn.inspect.faults import Fault as Fault
from fnn.inspect.faults import first_nonfinite as first_nonfinite
from fnn.inspect.flops import Flops as Flops
from fnn.inspect.gradients import Gradient as Gradient
from fnn.inspect.gradients import Gradients as Gradients
from fnn.inspect.gradients import gradients as gradients
from fnn.inspect.keys import no_key_reuse as no_key_reuse
from fnn.inspect.recompile import explain_recompile as explain_recompile
from fnn.inspect.summary import Row as Row
from fnn.inspect.summary import Summary as Summary
from fnn.inspect.summary import summary as summary
