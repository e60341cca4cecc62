"""A summary tells the truth: counts by hand, paths, calls, and nothing of it costs a network."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import (
    Policy,
    compose,
    frozen,
    initializers,
    inspect,
    layers,
    losses,
    models,
    optim,
    parallel,
    repeat,
    residual,
    serial,
    shared,
    trees,
    with_policy,
)
from fnn.core import Layer, Variables
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
    jitted = Layer(body.init, jax.jit(body.apply, static_argnames="train"), children=body.children)
    for net in (repeat(body, 4), repeat(body, 4, remat=True), repeat(jitted, 4)):
        found = inspect.summary(net, F)
        assert found["body/dense_0"].calls == 4
        assert found.flops == flops(body) * 4
        assert found.parameters == 4 * 30


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


def test_a_table_in_colours_says_the_same(deep):
    rich = pytest.importorskip("rich.console")
    for report in (inspect.summary(DEEP, F), inspect.activations(DEEP, *deep)):
        rich.Console(width=100, file=(file := io.StringIO())).print(report)
        shown = set(file.getvalue().split())
        for line in str(report).split("\n"):
            assert set(line.split()) <= {*shown, "-" * len(line)}


def test_a_summary_counts_the_variables_that_it_is_given():
    net = serial(layers.dense(4), head=layers.dense(2))
    params, state = net.init(jax.random.key(0), F)
    found = inspect.summary(net, F, variables=Variables(trees.cast(params, jnp.bfloat16), state))
    assert found.size == found.parameters * 2
    assert [row.depth for row in found.upto(0).rows] == [0]
    assert found.upto(0).parameters == found.parameters


def test_an_unknown_path_is_told_with_the_paths_there_are():
    with pytest.raises(KeyError, match=r"no layer 'nose'.*dense_0"):
        inspect.summary(serial(layers.dense(2)), F)["nose"]


DEEP = serial(
    layers.dense(5),
    jax.nn.relu,
    residual(serial(layers.dense(5), jnp.tanh)),
    repeat(serial(layers.dense(5, w_init=initializers.normal(1.0)), jnp.tanh), 3, remat=True),
    shared(serial(layers.dense(5), jnp.tanh), 2),
    parallel(jnp.add, a=layers.dense(5), b=layers.weight_norm(layers.dense(5))),
    compose(lambda f, x: f.b(f.a(x)), a=layers.dense(4), b=layers.batch_norm()),
)


@pytest.fixture(scope="module")
def deep():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5)), jnp.float32)
    return *DEEP.init(jax.random.key(0), x), x


def by_hand(params, state, x):
    """The outputs of `DEEP` that a loop without `repeat` gives, by path."""
    found = {}
    for name, layer in DEEP.children.items():
        own, mine = params.get(name, {}), state.get(name, {})
        if name == "repeat_3":
            for i, one in enumerate(trees.unstack(own["body"])):
                x, _ = layer.children["body"].apply(one, {}, x)
                found[f"{name}/body/tanh_1", i] = x
        else:
            x, _ = layer.apply(own, mine, x)
            found[name, 0] = x
    return found


def test_activations_are_those_of_each_layer_run_by_hand(deep):
    found = inspect.activations(DEEP, *deep)
    rows = {(row.path, row.call): row for row in found.rows}
    for where, y in by_hand(*deep).items():
        if where in rows:  # shared and compose pass on what their last layer gave
            row = rows[where]
            np.testing.assert_allclose([row.mean, row.std], [y.mean(), y.std()], atol=1e-6)
            np.testing.assert_allclose([row.low, row.high], [y.min(), y.max()], atol=1e-6)
            assert row.shape == y.shape
    assert [row.call for row in rows.values() if row.path == "repeat_3/body/dense_0"] == [0, 1, 2]
    assert len(found["shared_4/body/tanh_1"]) == 2
    assert {"parallel_5/a", "parallel_5/b/body", "compose_6/a", "compose_6/b"} <= {
        row.path for row in found.rows
    }


def test_rows_stand_in_the_order_of_running(deep):
    order = [(row.path, row.call) for row in inspect.activations(DEEP, *deep).rows]
    first = order.index(("repeat_3/body/tanh_1", 0))
    assert order[first + 1] == ("repeat_3/body/dense_0", 1)


@pytest.mark.parametrize("turn", [0, 2])
def test_the_first_layer_with_a_nan_is_named_even_in_a_loop(deep, turn):
    params, state, x = deep
    w = params["repeat_3"]["body"]["dense_0"]["w"].at[turn, 0, 0].set(jnp.nan)
    params = trees.replace(params, {"repeat_3/body/dense_0/w": w})
    found = inspect.activations(DEEP, params, state, x)
    assert (found.first_bad.path, found.first_bad.call) == ("repeat_3/body/dense_0", turn)
    assert "params: repeat_3/body/dense_0/w" in found.notes[0]
    assert "'repeat_3/body/dense_0'" in found.notes[1]


def test_a_nan_born_in_a_layer_is_not_blamed_on_what_came_before():
    net = serial(layers.dense(3), jnp.log, layers.dense(2))
    x = jnp.ones((2, 4))
    params, state = net.init(jax.random.key(0), x)
    params["dense_0"]["w"] = jnp.full((4, 3), -1.0)
    assert inspect.activations(net, params, state, x).first_bad.path == "log_1"


def test_masks_and_ids_go_through_loops_without_a_row():
    body = compose(lambda f, x: {**x, "x": f.block(x["x"])}, block=layers.dense(5))
    net = repeat(body, 2)
    x = {"x": jnp.ones((6, 5)), "mask": jnp.ones(6, bool), "ids": jnp.arange(6)}
    found = inspect.activations(net, *net.init(jax.random.key(0), x), x)
    assert [(row.path, row.call) for row in found.rows[:2]] == [
        ("body/block", 0),
        ("body/block", 1),
    ]


def test_loops_in_loops_are_seen_turn_by_turn_and_in_half_precision():
    net = with_policy(
        repeat(repeat(serial(layers.dense(5), jnp.tanh), 2), 3), Policy(compute=jnp.bfloat16)
    )
    x = jnp.ones((6, 5))
    variables = net.init(jax.random.key(0), x)
    found = inspect.activations(net, *variables, x)
    path = "body/body/body/tanh_1"
    assert [row.call for row in found[path]] == list(range(6))
    assert inspect.summary(net, x)[path].calls == 6
    rows = inspect.gradients(net, losses.squared_error, *variables, x, x)
    assert [row.place for row in rows["body/body/body/dense_0/w"]] == list(range(6))


def test_statistics_are_those_of_the_finite_numbers():
    x = jnp.array([[1.0, jnp.nan], [3.0, -jnp.inf]])
    (row,) = inspect.activations(serial(lambda x: x), {}, {}, x).rows
    assert (row.mean, row.std, row.low, row.high, row.bad) == (2, 1, 1, 3, 0.5)
    (row,) = inspect.activations(serial(lambda x: x), {}, {}, x * jnp.nan).rows
    assert row.bad == 1
    assert all(np.isnan([row.mean, row.std, row.low, row.high]))


def test_dead_units_are_those_that_no_example_wakes():
    net = serial(layers.dense(4), jax.nn.relu)
    x = jnp.array([[1.0], [-1.0]])
    params = {"dense_0": {"w": jnp.array([[1.0, -1.0, 0.0, 0.0]]), "b": jnp.array([0, 0, -1, 1.0])}}
    (row,) = inspect.activations(net, params, {}, x)["relu_1"]
    assert row.dead == 1 / 4
    assert row.zeros == 4 / 8


@pytest.mark.parametrize("function", [jnp.tanh, jax.nn.sigmoid])
def test_saturation_is_a_slope_below_six_percent_of_the_best(function):
    x = jnp.linspace(-10, 10, 2001)[:, None]
    (row,) = inspect.activations(serial(function), {}, {}, x).rows
    slope = jax.vmap(jax.grad(function))(x[:, 0])
    share = (slope < 0.0592 * slope.max()).mean()
    assert abs(row.saturated - share) < 0.002
    (row,) = inspect.activations(serial(jax.nn.relu), {}, {}, x).rows
    assert row.saturated is None


def test_training_is_watched_with_its_randomness(deep):
    net = serial(layers.dense(200), layers.dropout(0.5))
    x = jnp.ones((3, 2))
    params, state = net.init(jax.random.key(0), x)
    found = inspect.activations(net, params, state, x, key=jax.random.key(1), train=True)
    y, _ = net.apply(params, state, x, key=jax.random.key(1), train=True)
    assert found["dropout_1"][0].zeros == pytest.approx(float((y == 0).mean()))


def test_gradients_are_those_of_jax_grad(deep):
    params, state, x = deep
    y = jnp.zeros((6, 4))

    def loss(prediction, y):
        return jnp.square(prediction - y).sum(-1)

    def objective(params):
        return loss(DEEP.apply(params, state, x, train=True)[0], y).mean()

    found = inspect.gradients(DEEP, loss, params, state, x, y, optimizer=optim.sgd(0.1))
    value, grads = jax.value_and_grad(objective)(params)
    assert found.loss == pytest.approx(float(value), rel=1e-5)
    assert found.norm == pytest.approx(float(trees.norm(grads)), rel=1e-5)
    for path, g in trees.paths(grads).items():
        rows = found[path]
        parts = g if path.startswith("repeat") else [g]
        for row, part in zip(rows, parts, strict=True):
            np.testing.assert_allclose(row.gradient, jnp.linalg.norm(part), rtol=1e-4, atol=1e-5)
            if row.weights:
                assert row.update == pytest.approx(0.1 * row.relative, rel=1e-4)
    assert found.rows[0].path.startswith("dense_0")


def test_gradients_say_whom_none_reaches_and_where_a_slope_is_infinite():
    net = serial(frozen(layers.dense(2)), layers.dense(1, bias=False))
    x = jnp.ones((2, 3))
    params, state = net.init(jax.random.key(0), x)
    found = inspect.gradients(net, losses.squared_error, params, state, x, jnp.ones((2, 1)))
    assert found.notes == ("no gradient reaches frozen_0/body/b, frozen_0/body/w",)
    net = serial(layers.dense(1, bias=False), jnp.abs, jnp.sqrt)
    zero = {"dense_0": {"w": jnp.zeros((3, 1))}}
    found = inspect.gradients(net, losses.squared_error, zero, {}, x, jnp.ones((2, 1)))
    assert found.rows[0].bad == 1
    assert "the loss is finite" in found.notes[0]


def test_every_table_is_at_most_a_hundred_wide(deep):
    found = inspect.activations(DEEP, *deep)
    asked = inspect.gradients(
        DEEP, losses.squared_error, *deep, jnp.zeros((6, 4)), optimizer=optim.adam(1e-3)
    )
    for report in (found, asked, inspect.summary(DEEP, F)):
        assert max(map(len, str(report).split("\n"))) <= 100
