"""A sweep whose groups are tasks of Ray, on a cluster that Ray starts on this machine."""

import gc
import os
import pathlib

import jax
import numpy as np
import pytest

import fnn
from fnn.search import Candidate, sweep, sweep_on_ray

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        tests = pathlib.Path(__file__).parent
        patch.setenv("PYTHONPATH", f"{tests}{os.pathsep}{tests.parent}")  # workers import this file
        ray.init(
            num_cpus=1,
            include_dashboard=False,
            log_to_driver=False,
            _temp_dir=str(tmp_path_factory.mktemp("ray")),
        )
        yield
        ray.shutdown()
        gc.collect()  # what it leaves open is told of here, and not in a later test


def build(width, rate):
    net = fnn.serial(fnn.layers.dense(width), jax.numpy.tanh, fnn.layers.dense(2))
    return Candidate(net, fnn.optim.adam(rate))


def settings():
    return {"loss": fnn.losses.cross_entropy, "steps": 30, "key": jax.random.key(1), "checks": 3}


def test_groups_on_a_cluster_come_to_the_numbers_of_a_sweep(cluster):
    x, y = fnn.datasets.moons(jax.random.key(0), n=64)
    configs = [{"width": width, "rate": rate} for width in (3, 5) for rate in (1e-3, 0.1)]
    there = sweep_on_ray(build, configs, x, y, **settings())
    here = sweep(build, configs, x, y, **settings())
    np.testing.assert_allclose(there.losses, here.losses, rtol=1e-6)
    assert (there.best, there.groups) == (here.best, 2)
    assert repr(there.net) == repr(here.net)
    for a, b in zip(jax.tree.leaves(there.params), jax.tree.leaves(here.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert there.table() == here.table()


def test_what_goes_by_the_numbers_of_lanes_is_refused():
    with pytest.raises(ValueError, match="rows cannot be given"):
        sweep_on_ray(build, [{"width": 3, "rate": 0.1}], [[0.0]], [0], rows=[[0]], **settings())
