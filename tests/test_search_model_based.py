"""A search by a model: what Optuna proposes runs as lanes, and it is told how they did."""

import sys

import jax
import numpy as np
import optuna
import pytest

import fnn
from fnn import search

KEY = jax.random.key(1)
HOW = {"loss": fnn.losses.squared_error, "steps": 30, "batch_size": 16, "checks": 2}


@pytest.fixture(scope="module")
def data():
    x, y = fnn.datasets.linear(jax.random.key(0), n=48, features=2)
    return np.asarray(x), np.asarray(y)[:, None]


def build(rate, width):
    return fnn.models.mlp(width, 1), fnn.optim.sgd(rate)


SPACE = {"rate": search.log_uniform(1e-5, 1e6), "width": search.integers(2, 3)}


@pytest.fixture(scope="module")
def found(data):
    told = []
    swept = search.model_based(
        build, SPACE, *data, trials=14, together=5, key=KEY, on_results=told.append, **HOW
    )
    return swept, told


def test_every_trial_is_a_lane_and_the_best_is_kept(found):
    swept, _ = found
    assert len(swept.configs) == len(swept.results) == 14
    assert swept.losses[swept.best] == swept.losses.min()
    assert {type(config["width"]) for config in swept.configs} == {int}


def test_a_width_is_compiled_once_however_often_it_is_proposed(found):
    swept, _ = found
    widths = [config["width"] for config in swept.configs]
    assert swept.groups == len(set(widths)) == 2
    assert min(widths.count(width) for width in set(widths)) > 1


def test_its_lanes_are_those_of_a_sweep(found, data):
    swept, _ = found
    again = search.sweep(build, swept.configs, *data, key=KEY, **HOW)
    for a, b in zip(swept.results, again.results, strict=True):
        np.testing.assert_allclose(a.loss, b.loss, rtol=1e-5)
    net = swept.net.apply(swept.params, swept.state, data[0])[0]
    theirs = again.net.apply(again.params, again.state, data[0])[0]
    np.testing.assert_allclose(net, theirs, rtol=1e-5)


def test_results_are_told_by_number_as_they_come(found):
    swept, told = found
    assert sorted(lane for part in told for lane in part) == list(range(14))
    assert len(told) >= 3  # five, five, four
    for part in told:
        for lane, result in part.items():
            assert result.best_loss == swept.results[lane].best_loss


def test_a_run_that_diverged_is_told_as_failed_and_others_with_their_loss(data):
    class Told(optuna.samplers.RandomSampler):
        def __init__(self):
            super().__init__(seed=0)
            self.states = []

        def after_trial(self, study, trial, state, values):
            self.states.append((trial.params["rate"], state, values))

    sampler = Told()
    swept = search.model_based(
        lambda rate: build(rate, 2), {"rate": [1e-3, 1e30]}, *data, trials=6, together=3,
        sampler=sampler, key=KEY, **HOW,
    )  # fmt: skip
    diverged = [not np.isfinite(loss) for loss in swept.losses]
    assert {True, False} == set(diverged)
    for bad, loss, (_, state, values) in zip(diverged, swept.losses, sampler.states, strict=True):
        wanted = optuna.trial.TrialState.FAIL if bad else optuna.trial.TrialState.COMPLETE
        assert state == wanted
        assert bad or values == [pytest.approx(loss)]


def test_the_model_finds_the_valley_that_chance_misses(data):
    """Of 40 rates over ten decades, those that the sampler proposes late are near the best."""
    swept = search.model_based(
        lambda rate: (fnn.layers.dense(1), fnn.optim.sgd(rate)),
        {"rate": search.log_uniform(1e-9, 10.0)}, *data, trials=40, together=4, key=KEY, **HOW,
    )  # fmt: skip
    rates = np.log10([config["rate"] for config in swept.configs])
    best = rates[swept.best]
    assert np.median(np.abs(rates[20:] - best)) < 0.5 * np.median(np.abs(rates[:10] - best))


def test_without_optuna_its_extra_is_named(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pip install 'fnn\[optuna\]'"):
        search.model_based(build, SPACE, *data, key=KEY, **HOW)


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"together": 0}])
def test_counts_are_held_to_their_ranges(data, wrong):
    with pytest.raises(ValueError, match=f"model_based: {next(iter(wrong))} must be at least 1"):
        search.model_based(build, SPACE, *data, key=KEY, **HOW, **wrong)
