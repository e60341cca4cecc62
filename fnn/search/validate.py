"""Cross-validation of networks of one's own: all folds of all configurations in one sweep."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from fnn.checks import check_given_key
from fnn.core import Layer
from fnn.data import as_arrays
from fnn.search.fold_lanes import FOLD, as_folds, best_checks, built_for, fold_lanes
from fnn.search.folds import Folds
from fnn.search.lane import Build
from fnn.search.resampled import Estimate, choose_apart, corrected_interval, one_standard_error
from fnn.search.space import as_configs
from fnn.search.sweep import sweep
from fnn.train.evaluate import Metric
from fnn.train.step import Loss


class Validation(NamedTuple):
    """What cross-validation found; configurations are in the order given.

    Attributes:
      configs: what was tried.
      loss: (configurations, splits) held-out loss at the check that is best for a configuration
        over all splits; infinite where a run diverged.
      metrics: the same of the metrics, by name.
      stop: (configurations,) how many steps that check is after.
      curves: (configurations, splits, checks) the held-out loss at every check.
      folds: the splits.
      best: the configuration of the least mean loss.
      score: the loss of choosing, by `choose_apart`: what the best on the other splits has on each.
    """

    configs: list[dict[str, Any]]
    loss: np.ndarray
    metrics: dict[str, np.ndarray]
    stop: np.ndarray
    curves: np.ndarray
    folds: Folds
    best: int
    score: Estimate

    def simplest(self, order: Sequence[float]) -> int:
        """The simplest configuration within one standard error of the best.

        Args:
          order: a number a configuration, less is simpler, such as its parameters.
        """
        ranks = np.argsort(np.asarray(order), kind="stable")
        return int(ranks[one_standard_error(self.loss[ranks], ratio=self.folds.ratio)])


def cross_validate(
    build: Build,
    configs: Sequence[Mapping[str, Any]],
    x: Any,
    y: Any,
    *,
    loss: Loss,
    steps: int,
    key: jax.Array,
    folds: int | Folds = 5,
    repeats: int = 1,
    stratify: Any = None,
    groups: Any = None,
    standardize: bool = True,
    metrics: Mapping[str, Metric] | None = None,
    checks: int = 10,
    **settings: Any,
) -> Validation:
    r"""Train every configuration on every split, in one sweep, and measure what was held out.

    .. math:: L_{c, j} = \operatorname{mean}_{i \in \text{held out}_j}
        L(f_{c, j}(x_i), y_i) \text{ after } t_c \text{ steps}, \quad
        t_c = \arg\min_t \sum_j L_{c, j}(t)

    When to stop is chosen like the rest: by the mean over the splits, one time for each
    configuration, not the best moment of each split.

    Args:
      build: as in `sweep`.
      configs: as in `sweep`.
      x: (n, ...) inputs.
      y: (n, ...) targets.
      loss: one number for each example.
      steps: of each run.
      key: seeds the runs and the folds.
      folds: how many, or the folds themselves.
      repeats: how often to cut anew.
      stratify: as in `k_fold`.
      groups: as in `k_fold`.
      standardize: whether x goes into the networks less its mean and over its standard deviation,
        both those of the lane's own training rows; x must be one floating array then.
      metrics: `(prediction, y) -> scalar` by name.
      checks: at how many evenly spread steps to measure.
      **settings: more for `sweep`, such as `batch_size`, `at_once`, `devices`.

    A fold that is smaller than the largest counts its first row twice, so that all have one shape.

    Source: Nadeau & Bengio 2003 for the interval, https://doi.org/10.1023/A:1024068626366

    >>> import fnn
    >>> x, y = fnn.datasets.linear(jax.random.key(0), n=60)
    >>> def build(rate):
    ...     return fnn.search.Candidate(fnn.layers.dense(1), fnn.optim.sgd(rate))
    >>> found = cross_validate(build, [{"rate": 0.0}, {"rate": 0.1}], x, y[:, None], folds=3,
    ...     loss=fnn.losses.squared_error, steps=60, key=jax.random.key(0), checks=2)
    >>> found.best, found.loss.shape, found.stop[1].item()
    (1, (2, 3), 60)
    """
    check_given_key(key, "cross_validate")
    configs = as_configs("cross_validate", configs)
    x, y = as_arrays(x, y, where="cross_validate")
    split = as_folds(folds, x, repeats, stratify, groups, key)
    curves, measured, ends = fold_lanes(
        build, [(c, j) for c in configs for j in range(split.splits)], x, y, split,
        loss=loss, steps=steps, key=key, standardize=standardize, metrics=metrics, checks=checks,
        **settings,
    )  # fmt: skip
    shape = len(configs), split.splits, -1
    curves = curves.reshape(shape)
    check = best_checks(curves)
    places = np.arange(len(configs)), slice(None), check
    losses = curves[places]
    apart = losses[choose_apart(losses, split.repeat), np.arange(split.splits)]
    return Validation(
        [dict(config) for config in configs],
        losses,
        {name: values.reshape(shape)[places] for name, values in measured.items()},
        ends[check],
        curves,
        split,
        int(np.argmin(losses.mean(1))),
        corrected_interval(apart, ratio=split.ratio),
    )


def refit(
    build: Build,
    config: Mapping[str, Any],
    x: Any,
    y: Any,
    *,
    loss: Loss,
    steps: int,
    key: jax.Array,
    standardize: bool = True,
    **settings: Any,
) -> tuple[Layer, Any, Any]:
    """Train one configuration on all rows: `(net, params, state)`, for inputs as they are.

    Args:
      build: as in `cross_validate`.
      config: such as `found.configs[found.best]`.
      x: inputs.
      y: targets.
      loss: one number for each example.
      steps: such as `found.stop[found.best]`.
      key: seeds the run.
      standardize: as in `cross_validate`; the net that comes back does it itself.
      **settings: more for `sweep`, such as `batch_size`.

    >>> import fnn
    >>> x, y = fnn.datasets.linear(jax.random.key(0), n=60)
    >>> def build(rate):
    ...     return fnn.search.Candidate(fnn.layers.dense(1), fnn.optim.sgd(rate))
    >>> net, params, state = refit(build, {"rate": 0.1}, x, y[:, None], steps=100,
    ...     loss=fnn.losses.squared_error, key=jax.random.key(0))
    >>> bool(abs(net.apply(params, state, jax.numpy.zeros((1, 1)))[0] - 0.5).item() < 0.05)
    True
    """
    made = built_for(build, x, np.arange(len(y))[None] if standardize else None)
    found = sweep(
        made, [{**config, FOLD: 0.0}], x, y, loss=loss, steps=int(steps), key=key, checks=1,
        **settings,
    )  # fmt: skip
    return found.net, found.params, found.state
