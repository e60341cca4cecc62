"""Metrics: (prediction, target) of a whole set -> one number, or one array.

Unlike losses they are read by people and need no gradient. Like losses they never broadcast a
prediction against a target, and say what was wrong when the two do not fit. Each is plain
`jax.numpy`: it may be jitted, vmapped, and given to `fnn.fit(metrics={"accuracy": accuracy})`.
"""

from fnn.metrics.classes import accuracy as accuracy
from fnn.metrics.classes import balanced_accuracy as balanced_accuracy
from fnn.metrics.classes import confusion_matrix as confusion_matrix
from fnn.metrics.classes import f1 as f1
from fnn.metrics.classes import f_beta as f_beta
from fnn.metrics.classes import false_positive_rate as false_positive_rate
from fnn.metrics.classes import matthews as matthews
from fnn.metrics.classes import null_accuracy as null_accuracy
from fnn.metrics.classes import precision as precision
from fnn.metrics.classes import recall as recall
from fnn.metrics.classes import specificity as specificity
from fnn.metrics.classes import top_k_accuracy as top_k_accuracy
from fnn.metrics.classes import true_positive_rate as true_positive_rate
from fnn.metrics.regression import explained_variance as explained_variance
from fnn.metrics.regression import mae as mae
from fnn.metrics.regression import max_error as max_error
from fnn.metrics.regression import mse as mse
from fnn.metrics.regression import null_r2 as null_r2
from fnn.metrics.regression import r2 as r2
from fnn.metrics.regression import rmse as rmse
from fnn.metrics.scores import RocCurve as RocCurve
from fnn.metrics.scores import average_precision as average_precision
from fnn.metrics.scores import brier_score as brier_score
from fnn.metrics.scores import expected_calibration_error as expected_calibration_error
from fnn.metrics.scores import roc_auc as roc_auc
from fnn.metrics.scores import roc_curve as roc_curve
