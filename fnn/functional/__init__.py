"""Stateless array maths that layers are made of; of use without a layer, too."""

from fnn.functional.attention import attention as attention
from fnn.functional.attention import attention_weights as attention_weights
from fnn.functional.attention import causal_mask as causal_mask
from fnn.functional.attention import weighted_values as weighted_values
from fnn.functional.conv import conv as conv
from fnn.functional.pool import avg_pool as avg_pool
from fnn.functional.pool import max_pool as max_pool
from fnn.functional.positions import alibi as alibi
from fnn.functional.positions import alibi_slopes as alibi_slopes
from fnn.functional.positions import rotary as rotary
from fnn.functional.rows import rows_times as rows_times
