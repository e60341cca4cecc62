"""Search by a model of what has been tried: Optuna asks and is told, the runs are lanes here."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from fnn.checks import check_count, check_given_key
from fnn.core import key_for
from fnn.search.group import Groups, groups_of, prepared
from fnn.search.lane import Build
from fnn.search.space import (
    Choice,
    Config,
    Distribution,
    Integers,
    LogUniform,
    Space,
    distributions,
)
from fnn.search.sweep import Best, Result, Sweep, check_ends, runs
from fnn.train.evaluate import Metric
from fnn.train.step import Loss


def model_based(
    build: Build,
    space: Space,
    x: Any,
    y: Any,
    *,
    loss: Loss,
    steps: int,
    key: jax.Array,
    trials: int = 64,
    together: int | None = None,
    sampler: Any = None,
    batch_size: int | None = 32,
    validation: tuple[Any, Any] | None = None,
    metrics: Mapping[str, Metric] | None = None,
    checks: int = 10,
    devices: Sequence[Any] | None = None,
    on_results: Callable[[dict[int, Result]], None] | None = None,
) -> Sweep:
    """Try what a model of the runs so far holds for promising, some at once, until all are spent.

    Optuna's sampler proposes `together` configurations, which train as the lanes of `sweep` do; it
    is told their best losses and proposes the next. Programs are compiled once for each combination
    of what is not a float, however many times it is proposed. A run that diverged is told as
    failed.

    Args:
      build: as in `sweep`.
      space: as in `search.random`: ranges, choices, lists and constants by name.
      x: inputs, as in `fit`.
      y: targets.
      loss: `loss(prediction, y)`, one number for each example.
      steps: of each run.
      key: seeds all, the sampler too.
      trials: how many runs there are in all, >= 1.
      together: how many are proposed at once, >= 1: fewer learn more from each other, more fill the
        machine. By default as many as there are devices, and at least 4.
      sampler: one of `optuna.samplers`; by default `TPESampler`, which takes runs under way for bad
        ones, so that it proposes others.
      batch_size: examples a step; None takes all.
      validation: `(x, y)` by which runs are judged; without them the training loss judges.
      metrics: `(prediction, y) -> scalar` of the held-out data, by name.
      checks: at how many evenly spread steps to measure and to keep the best weights.
      devices: which; by default all.
      on_results: called with the results of runs that are done, by number.

    Returns:
      A `Sweep`, its lanes in the order in which they were proposed.

    Raises:
      ImportError: without Optuna; it names the extra.
      ValueError: for data, budgets or a space that do not fit together.

    Source: the sampler is Bergstra et al. 2011, section 4,
      https://papers.nips.cc/paper/4443-algorithms-for-hyper-parameter-optimization, by Optuna

    >>> import fnn
    >>> x, y = fnn.datasets.linear(jax.random.key(0), n=64)
    >>> found = model_based(
    ...     lambda rate: (fnn.layers.dense(1), fnn.optim.sgd(rate)),
    ...     {"rate": fnn.search.log_uniform(1e-4, 1.0)}, x, y[:, None], trials=6, together=3,
    ...     loss=fnn.losses.squared_error, steps=20, key=jax.random.key(1))
    >>> len(found.configs), found.groups, bool(found.losses.min() == found.losses[found.best])
    (6, 1, True)
    """
    optuna = _optuna()
    check_given_key(key, "model_based")
    check_count("model_based", "trials", trials)
    devices = list(devices or jax.devices())
    together = min(trials, max(4, len(devices)) if together is None else together)
    check_count("model_based", "together", together)
    named = distributions("model_based", space)
    seed = int(jax.random.bits(key_for(key, "sampler")) >> 1)
    sampler = sampler or optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    asked = {name: _as_optunas(optuna, values) for name, values in named.items()}

    results, best, groups = {}, Best(), None
    ends = check_ends("model_based", steps, checks)
    while len(results) < trials:
        count = min(together, trials - len(results))
        proposed = [study.ask(asked) for _ in range(count)]
        configs = [_config(named, trial.params) for trial in proposed]
        if groups is None:
            groups = prepared(
                "model_based", build, configs, x, y, loss=loss, steps=steps, key=key,
                batch_size=batch_size, validation=validation, metrics=metrics, devices=devices,
                at_once=len(devices) if devices[0].platform == "cpu" else together,
            )  # fmt: skip
            lanes = list(range(count))
        else:
            lanes = _added(groups, configs)
        for group in groups.all:
            members = [lane for lane in lanes if lane in group.numbers]
            for found, carry in runs(groups, group, members, ends):
                results |= found
                best.offer(found, carry)
                if on_results is not None:
                    on_results(found)
        for lane, trial in zip(lanes, proposed, strict=True):
            _tell(optuna, study, trial, results[lane].best_loss)
    assert groups is not None  # there is at least one trial
    ordered = [results[lane] for lane in range(trials)]
    net = groups.net(best.lane)
    kept = best.variables
    return Sweep(
        groups.configs, ordered, ends, best.lane, net, *kept, len(groups.all), groups.seconds
    )


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ImportError(
            "search.model_based proposes by Optuna; pip install 'fnn[optuna]', or take"
            " search.sobol or search.hyperband, which need nothing more"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _as_optunas(optuna: Any, values: Distribution) -> Any:
    """A distribution as Optuna has it; of a choice the place is asked for."""
    kinds = optuna.distributions
    if isinstance(values, Choice):
        return kinds.CategoricalDistribution(list(range(len(values.values))))
    if isinstance(values, Integers):
        return kinds.IntDistribution(values.low, values.high)
    return kinds.FloatDistribution(values.low, values.high, log=isinstance(values, LogUniform))


def _config(named: Mapping[str, Distribution], params: Mapping[str, Any]) -> Config:
    """What was proposed as a configuration."""
    return {
        name: values.values[params[name]] if isinstance(values, Choice) else params[name]
        for name, values in named.items()
    }


def _added(groups: Groups, configs: Sequence[Config]) -> list[int]:
    """Give the configurations lanes, in the groups that have their programs where there are."""
    first = len(groups.configs)
    for new in groups_of(configs):
        known = next((group for group in groups.all if group.shares_program(new)), None)
        numbers = {first + lane: own for lane, own in new.numbers.items()}
        if known is None:
            groups.all.append(new._replace(numbers=numbers))
        else:
            known.numbers.update(numbers)
    groups.configs.extend(dict(config) for config in configs)
    return list(range(first, first + len(configs)))


def _tell(optuna: Any, study: Any, trial: Any, loss: float) -> None:
    if math.isfinite(loss):
        study.tell(trial, float(loss))
    else:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
