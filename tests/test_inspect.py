"""A summary tells the truth: counts by hand, paths, calls, and nothing of it costs a network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import compose, frozen, inspect, layers, models, parallel, residual, serial, shared
from fnn.core import Layer
from fnn.inspect.watch import watched

F = jax.ShapeDtypeStruct((6, 5), jnp.float32)
IMAGE = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)


def flops(net, x=F):
    return inspect.summary(net, x).flops


def test_a_product_of_m_k_and_n_costs_2_m_k_n_and_its_bias_m_n():
    assert flops(layers.dense(7)) == (2 * 6 * 5 * 7, 6 * 7)
    assert flops(layers.dense(7, bias=False)) == (2 * 6 * 5 * 7, 0)


@pytest.mark.parametrize(
    ("kernel", "knobs", "places", "inputs"),
    [
        (3, {}, 64, 3),
        (3, {"stride": 2}, 16, 3),
        ((2, 3), {"padding": "VALID"}, 7 * 6, 3),
        (1, {}, 64, 3),
        (3, {"groups": 3}, 64, 1),
    ],
)
def test_a_convolution_costs_two_for_each_weight_at_each_place(kernel, knobs, places, inputs):
    found = flops(layers.conv(6, kernel, bias=False, **knobs), IMAGE)
    window = kernel**2 if isinstance(kernel, int) else kernel[0] * kernel[1]
    expected = 2 * 2 * places * 6 * window * inputs
    if inputs > 1:
        assert found == (expected, 0)
    else:  # on a CPU written as products number by number, and one sum more, to start from 0
        assert expected <= found.total <= expected * 1.2


def test_attention_costs_four_projections_and_two_products_of_time_squared():
    batch, time, width = 2, 7, 8
    x = jax.ShapeDtypeStruct((batch, time, width), jnp.float32)
    found = flops(layers.attention(2, bias=False), x)
    projections = 4 * 2 * batch * time * width * width
    assert found.products == projections + 2 * 2 * batch * time * time * width


def test_a_layer_s_line_includes_what_is_inside_it_and_its_own():
    net = residual(serial(layers.dense(5), jnp.tanh))
    found = inspect.summary(net, F)
    assert found["body"].flops == (2 * 6 * 5 * 5, 6 * 5 + 6 * 5)
    assert found.flops.elementwise == found["body"].flops.elementwise + 6 * 5  # the sum
    assert found.parameters == found["body/dense_0"].parameters == 30


def test_every_layer_that_runs_is_seen_with_what_it_takes_and_gives():
    nets = [
        serial(layers.dense(4), jax.nn.relu, head=layers.dense(2)),
        parallel(jnp.add, a=layers.dense(2), b=serial(layers.dense(2), jnp.sin)),
        frozen(serial(layers.dense(4), layers.batch_norm())),
        compose(lambda f, x: f.b(f.a(x)), a=layers.dense(4), b=jnp.tanh),
        layers.weight_norm(serial(layers.dense(4), jnp.tanh)),
        layers.spectral_norm(layers.dense(4)),
    ]
    for net in nets:
        found = inspect.summary(net, F)
        assert all(row.calls == 1 for row in found.rows), net
        assert found.rows[0].takes == F


def test_a_layer_called_three_times_costs_three_times():
    once, thrice = flops(layers.dense(5)), inspect.summary(shared(layers.dense(5), 3), F)
    assert thrice["body"].calls == 3
    assert thrice.flops == once * 3
    assert thrice.parameters == 30


def test_loops_and_recomputation_are_read_from_the_program():
    body = serial(layers.dense(5), jnp.tanh)

    def init(key, x):
        return jax.vmap(lambda k: body.init(k, x).params)(jax.random.split(key, 4)), {}

    def apply(params, state, x, *, key=None, train=False):
        def step(h, own):
            return jax.checkpoint(lambda p, h: jax.jit(body.apply)(p, {}, h)[0])(own, h), None

        return jax.lax.scan(step, x, params)[0], state

    net = Layer(init, apply, name="loop")
    found = inspect.summary(net, F)
    assert found.flops == flops(body) * 4


def test_a_summary_spends_nothing_and_needs_no_memory():
    huge = serial(layers.dense(10**7), jax.nn.relu, layers.dense(10**7))
    found = inspect.summary(huge, jax.ShapeDtypeStruct((10**6, 10**7), jnp.float32))
    assert found.parameters == 2 * (10**14 + 10**7)


def test_watched_params_compute_what_plain_ones_do():
    net = serial(layers.dense(4), jax.nn.relu, layers.batch_norm(), head=layers.dense(2))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5)), jnp.float32)
    params, state = net.init(jax.random.key(0), x)
    trace = watched(net, params, state, x, key=None, train=True)
    y, *_ = jax.core.eval_jaxpr(
        trace.jaxpr.jaxpr, trace.jaxpr.consts, *jax.tree.leaves((params, state, x))
    )
    np.testing.assert_array_equal(y, net.apply(params, state, x, train=True)[0])


def test_a_table_is_at_most_a_hundred_wide():
    net = models.gpt(65, length=16, features=16, heads=2, blocks=2)
    found = inspect.summary(net, jax.ShapeDtypeStruct((2, 16), jnp.int32))
    assert max(map(len, str(found).splitlines())) <= 100
    assert "layer" in str(found)


def test_an_unknown_path_is_told_with_the_paths_there_are():
    with pytest.raises(KeyError, match=r"no layer 'nose'.*dense_0"):
        inspect.summary(serial(layers.dense(2)), F)["nose"]
