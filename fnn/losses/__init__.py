"""Losses: (prediction, target) -> one number per example. Callers take the mean.

Regression losses give one number per element, of the arrays' own shape; losses of classes, regions
and vectors one per example, without the last axis. Under a mean over everything, which training
takes, the two agree. Prediction and target must have one shape: nothing is broadcast between them,
since a target (n,) against a prediction (n, 1) would give (n, n) numbers and train on nonsense. All
are computed in float32 or wider, and stay finite, in value and gradient, at logits of +-1e4.
"""

from fnn.losses.classes import binary_cross_entropy as binary_cross_entropy
from fnn.losses.classes import binary_focal as binary_focal
from fnn.losses.classes import cross_entropy as cross_entropy
from fnn.losses.classes import dice as dice
from fnn.losses.classes import focal as focal
from fnn.losses.classes import hinge as hinge
from fnn.losses.classes import kl_divergence as kl_divergence
from fnn.losses.classes import multiclass_hinge as multiclass_hinge
from fnn.losses.classes import nll as nll
from fnn.losses.classes import soft_cross_entropy as soft_cross_entropy
from fnn.losses.classes import squared_hinge as squared_hinge
from fnn.losses.classes import weighted_mean as weighted_mean
from fnn.losses.normals import gaussian_kl as gaussian_kl
from fnn.losses.pairs import contrastive as contrastive
from fnn.losses.pairs import cosine_distance as cosine_distance
from fnn.losses.pairs import cosine_embedding as cosine_embedding
from fnn.losses.pairs import margin_ranking as margin_ranking
from fnn.losses.pairs import triplet as triplet
from fnn.losses.regression import absolute_error as absolute_error
from fnn.losses.regression import gaussian_nll as gaussian_nll
from fnn.losses.regression import huber as huber
from fnn.losses.regression import log_cosh as log_cosh
from fnn.losses.regression import mae as mae
from fnn.losses.regression import mse as mse
from fnn.losses.regression import poisson_nll as poisson_nll
from fnn.losses.regression import rmse as rmse
from fnn.losses.regression import root_mean_squared_error as root_mean_squared_error
from fnn.losses.regression import smooth_l1 as smooth_l1
from fnn.losses.regression import squared_error as squared_error
from fnn.losses.sequences import ctc as ctc
