"""What is not finite is found, told with its place, and survived where one asks for that."""

import json
import platform
import signal
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import layers, losses, serial
from fnn.inspect import first_nonfinite


@jax.custom_vjp
def fragile(x):
    """The identity, whose gradient is NaN wherever x is beyond 90."""
    return x


fragile.defvjp(lambda x: (x, x), lambda x, g: (jnp.where(x > 90, jnp.nan, g),))


def cracking(x):
    """The identity up to 90, and infinite beyond."""
    return jnp.where(x > 90, jnp.inf, x)


def data(bad=()):
    """Twenty easy examples; those named are far away."""
    x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    y = 2 * x
    x = x.copy()
    x[list(bad)] = 100.0
    return x, y


def training(middle=cracking, bad=(), **changed):
    x, y = data(bad)
    usual = {
        "net": serial(middle, layers.dense(4), layers.dense(1)), "x": x, "y": y,
        "loss": losses.squared_error, "optimizer": fnn.optim.adam(0.02), "batch_size": 1,
        "key": jax.random.key(3), "steps": 60, "check_every": 20, "progress": False,
    }  # fmt: skip
    return fnn.fit(**{**usual, **changed})


def fault_of(net, x=None, y=None, loss=losses.squared_error, **changed):
    x = jnp.ones((4, 3)) if x is None else x
    params, state = net.init(jax.random.key(0), x)
    y = jnp.zeros((4, 1)) if y is None else y
    return first_nonfinite(net, params, state, x, y, loss, key=jax.random.key(1), **changed)


# where it appears


def test_a_network_whose_numbers_are_finite_has_no_fault():
    assert fault_of(serial(layers.dense(2), jnp.tanh, layers.dropout(0.5), layers.dense(1))) is None


def test_the_first_layer_that_gives_infinity_is_named_with_what_it_took():
    fault = fault_of(serial(layers.dense(2), jnp.log, layers.dense(1)), jnp.zeros((4, 3)))
    assert (fault.place, fault.path) == ("forward", "log_1")
    assert (fault.infs, fault.nans, fault.size) == (8, 0, 8)
    assert fault.low == fault.high == 0


def test_the_first_layer_whose_gradient_is_bad_is_named():
    fault = fault_of(serial(layers.dense(2), jnp.sqrt, layers.dense(1)), jnp.zeros((4, 3)))
    assert (fault.place, fault.path) == ("backward", "sqrt_1")
    assert "gradient at the input of 'sqrt_1'" in str(fault)


def test_a_loss_is_told_from_its_gradient():
    net = layers.dense(1)
    found = fault_of(net, loss=lambda a, b: jnp.log(0 * a[:, 0]))
    assert (found.place, found.path, found.infs) == ("loss", "", 4)
    found = fault_of(net, loss=lambda a, b: jnp.sqrt(0 * a[:, 0]))
    assert found.place == "backward"
    assert "that the loss gives" in str(found)


def test_in_a_loop_over_depth_the_turn_is_told():
    deep = fnn.repeat(serial(layers.dense(3), lambda x: 1e15 * jnp.square(x)), 3)
    fault = fault_of(serial(deep, layers.dense(1)))
    assert (fault.place, fault.path) == ("forward", "repeat_0/body/function_1")
    assert "turn 2" in str(fault) or "turn 1" in str(fault)
    assert "grew too large" in fault.cure


@pytest.mark.parametrize("what", ["x", "params"])
def test_what_was_bad_before_anything_ran_is_said_first(what):
    net = layers.dense(1)
    params, state = net.init(jax.random.key(0), jnp.ones((2, 3)))
    x = jnp.ones((2, 3))
    if what == "x":
        x = x.at[0, 0].set(jnp.nan)
    else:
        params["w"] = params["w"].at[0].set(jnp.nan)
    fault = first_nonfinite(net, params, state, x, x[:, :1], losses.squared_error)
    assert (fault.place, fault.nans) == ("given", 1)
    assert str(fault).startswith(what)


# what a fit does about it


def test_a_fit_that_stops_says_step_layer_and_direction():
    done = training(cracking, bad=[7])
    assert "the loss was not finite at step" in done.stopped
    assert "in the forward pass, the output of 'cracking_0' (cracking): 1 infinite" in done.stopped
    assert "from finite input in [100, 100]" in done.stopped


def test_a_gradient_that_spoils_the_weights_is_told_at_its_own_step():
    net = serial(layers.dense(1, bias=False), fragile, layers.dense(1))
    start = fnn.train.init(net, fnn.optim.sgd(1e-6), jax.random.key(3), jnp.ones((1, 1)))
    start.params["dense_0"]["w"] = jnp.ones((1, 1))
    done = training(net=net, bad=[8], optimizer=fnn.optim.sgd(1e-6), start=start)
    order = fnn.core.key_for(start.key, "order")
    rows = [int(fnn.random.batch_order(order, i, n=20, batch_size=1)[0]) for i in range(20)]
    began = rows.index(8) + 1
    assert f"began at step {began} in the backward pass, the gradient at the input" in done.stopped
    assert "of 'fragile_1' (fragile): 1 NaN of 1 numbers" in done.stopped


@pytest.mark.parametrize("chunk_seconds", [0.0, 100.0])
def test_a_skipped_step_leaves_all_but_the_step_count_as_it_was(chunk_seconds, monkeypatch):
    monkeypatch.setattr(sys.modules["fnn.train.fit"], "CHUNK_SECONDS", chunk_seconds)
    done = training(cracking, bad=[7], on_nonfinite="skip")
    assert done.stopped == "all 60 steps are done"
    np.testing.assert_array_equal(done.history["skipped"], [1, 1, 1])
    assert np.isfinite(done.history["loss"]).all()

    net = serial(cracking, layers.dense(4), layers.dense(1))
    optimizer, (x, y) = fnn.optim.adam(0.02), data([7])
    step = jax.jit(fnn.train.make_step(net, losses.squared_error, optimizer))
    state, seen = fnn.train.init(net, optimizer, jax.random.key(3), x[:1]), []
    for number in range(60):
        key = fnn.core.key_for(state.key, "order")
        rows = fnn.random.batch_order(key, number, n=20, batch_size=1)
        new, info = step(state, (x[rows], y[rows]))
        state = new if np.isfinite(info.loss) else state._replace(step=state.step + 1)
        seen.append(float(info.loss))
    means = np.nanmean(np.where(np.isfinite(seen), seen, np.nan).reshape(3, 20), axis=1)
    np.testing.assert_allclose(done.history["loss"], means, rtol=1e-5)
    assert int(done.last.step) == int(state.step)
    for ours, theirs in zip(done.last[:3], state[:3], strict=True):
        chex.assert_trees_all_close(ours, theirs, rtol=1e-5, atol=1e-7)


def test_skipping_gives_up_after_ten_in_a_row():
    done = training(cracking, bad=range(20), on_nonfinite="skip")
    assert done.stopped.startswith("gave up after 10 bad steps in a row (skip): the loss was not")
    assert int(done.last.step) == 10


def test_a_rate_too_large_is_reduced_until_the_run_gets_well():
    wild = {"optimizer": fnn.optim.sgd(40.0), "middle": lambda x: x, "batch_size": None}
    net = layers.dense(1)
    lost = training(net=net, steps=400, **wild)
    assert "not finite" in lost.stopped
    done = training(net=net, steps=400, on_nonfinite="reduce", **wild)
    assert done.stopped == "all 400 steps are done"
    halvings = done.history["skipped"].sum()
    assert halvings >= 3
    np.testing.assert_allclose(done.last.opt_state.learning_rate, 40.0 * 0.5**halvings)
    assert done.history["loss"][-1] < 1e-3


def test_a_run_with_skipped_steps_resumes_to_the_same_end(tmp_path):
    whole = training(cracking, bad=[7, 8], on_nonfinite="skip")
    part = training(cracking, bad=[7, 8], on_nonfinite="skip", steps=33, checkpoint=tmp_path)
    assert int(part.last.step) == 33
    rest = training(cracking, bad=[7, 8], on_nonfinite="skip", checkpoint=tmp_path)
    chex.assert_trees_all_equal(rest.last, whole.last)


def test_a_member_that_is_certain_is_not_uncertain_within():
    sure = jnp.array([[[200.0, -200.0, 0.0]], [[-200.0, 200.0, 0.0]]])
    found = fnn.train.class_beliefs(sure)
    np.testing.assert_allclose(found.entropy, [np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(found.mutual_information, [np.log(2)], rtol=1e-6)  # all
    with pytest.raises(ValueError, match=r"^mean_and_variance: the last axis must be even"):
        fnn.train.gaussian_loss(jnp.zeros((2, 3)), jnp.zeros((2, 1)))


def test_an_update_that_spoils_the_weights_is_told_with_its_cure():
    def update(grads, state, params=None):
        return jax.tree.map(lambda g: g / 0, grads), state

    wild = fnn.optim.Optimizer(fnn.optim.sgd(1.0).init, update)
    done = training(net=layers.dense(1), optimizer=wild)
    assert "finite: in the update; best holds" in done.stopped
    assert done.stopped.endswith("try a smaller learning rate, or clip the gradients")


def test_a_fit_that_is_told_to_end_by_a_signal_returns_what_there_is():
    rule = fnn.stop.Rule(lambda report: signal.raise_signal(signal.SIGTERM))
    done = training(net=layers.dense(1), stop=rule)
    assert done.stopped == f"interrupted after {int(done.last.step)} steps"
    assert int(done.last.step) < 60


# float16


def half(optimizer):
    """A fit of a line whose gradients are below what float16 can hold."""
    net = fnn.combine.with_policy(
        layers.dense(1), fnn.combine.Policy(param="float32", compute="float16")
    )
    x = jnp.linspace(-1, 1, 64)[:, None]

    def loss(prediction, y):
        return 1e-6 * losses.squared_error(prediction, y)

    def run(key):
        return fnn.train.run(
            key, net, x, 1e-3 * x, loss=loss, optimizer=optimizer, steps=300, batch_size=None
        )

    return jax.jit(run)(jax.random.key(0)), fnn.train.init(net, optimizer, jax.random.key(0), x)


def test_gradients_that_underflow_in_float16_train_with_a_loss_scale_and_not_without():
    (plain, _), start = half(fnn.optim.adam(0.01))
    chex.assert_trees_all_equal(plain.params, start.params)  # every gradient was 0
    (scaled, _), start = half(fnn.optim.dynamic_loss_scale(fnn.optim.adam(0.01), every=100))
    assert abs(float(start.params["body"]["w"][0, 0])) > 0.1
    np.testing.assert_allclose(scaled.params["body"]["w"], 1e-3, atol=1e-4)
    assert float(scaled.opt_state.loss_scale) == 2.0**18  # doubled thrice


def test_a_loss_scale_that_overflows_is_halved_and_its_step_not_taken():
    optimizer = fnn.optim.dynamic_loss_scale(fnn.optim.adam(0.01), initial_scale=2.0**60)
    (end, _), _ = half(optimizer)
    assert int(end.opt_state.skipped) == int(60 - np.log2(end.opt_state.loss_scale)) > 10
    assert int(end.opt_state.inner.count) == 300 - int(end.opt_state.skipped)
    np.testing.assert_allclose(end.params["body"]["w"], 1e-3, atol=1e-3)


def test_a_loss_scale_in_float32_changes_no_number():
    net, (x, y) = layers.dense(1), data()
    ends = []
    for optimizer in (fnn.optim.adam(0.1), fnn.optim.dynamic_loss_scale(fnn.optim.adam(0.1))):
        state = fnn.train.init(net, optimizer, jax.random.key(0), x)
        step = jax.jit(fnn.train.make_step(net, losses.squared_error, optimizer))
        for _ in range(3):
            state, info = step(state, (x, y))
        ends.append((state.params, info))
    chex.assert_trees_all_close(*ends, rtol=1e-6)


def test_a_loss_scale_that_the_step_does_not_see_is_an_error():
    optimizer = fnn.optim.dynamic_loss_scale(fnn.optim.sgd(0.1))
    with pytest.raises(ValueError, match="make it the outermost optimizer"):
        optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))


# gradients that one wrote


@jax.custom_vjp
def half_a_square(x):
    """The square, with half its gradient."""
    return x * x


half_a_square.defvjp(lambda x: (x * x, x), lambda x, g: (g * x,))


def check(middle):
    net, x = serial(layers.dense(4), middle, layers.dense(2)), jnp.ones((3, 2))
    params, state = net.init(jax.random.key(0), x)
    return fnn.diagnose.gradients(net, params, state, x, key=jax.random.key(1))


def test_right_gradients_are_ok_and_wrong_ones_are_found_below_where_they_go_wrong():
    assert check(jnp.square).verdict == "ok"
    assert check(jnp.square).error < 1e-8
    found = check(half_a_square)
    assert found.verdict == "wrong"
    assert found.path in ("params/dense_0/w", "params/dense_0/b", "x")
    assert found.errors["params/dense_2/w"] < 1e-8
    np.testing.assert_allclose(found.error, 0.5, atol=0.01)
    assert str(found).startswith("wrong: the gradient of")


def test_a_kink_is_neither_right_nor_wrong():
    found = fnn.diagnose.gradients(jnp.abs, jnp.array([0.0, 1.0, -2.0]), key=jax.random.key(0))
    assert (found.verdict, found.kinks) == ("ok", {"0": 1})
    assert fnn.diagnose.gradients(jnp.abs, jnp.zeros(2), key=jax.random.key(0)).verdict == "unsure"


# why it compiled again


def test_a_compilation_is_explained_by_the_leaf_that_changed():
    step = fnn.inspect.explain_recompile(
        jax.jit(lambda params, x, n=1: params["w"] * x * n, static_argnames="n")
    )
    params = {"w": jnp.ones(3)}
    step(params, jnp.ones(3))
    step(params, jnp.ones(3))
    assert (step.compilations, step.reasons) == (1, [])
    step(params, jnp.ones((2, 3)))
    step(params, jnp.ones(3, jnp.int32))
    step(params, 1.0)
    step(params, jnp.ones(3), n=2)
    step(params, jnp.ones(3), n=3)
    told = "\n".join(step.reasons)
    for words in (
        "args/1 was float32[3], is float32[2,3]",
        "is int32[3]",
        "is the Python float",
        "kwargs/n is new",
    ):
        assert words in told
    assert len(step.reasons) == 5


def test_only_what_is_jitted_can_be_explained():
    with pytest.raises(TypeError, match=r"write explain_recompile\(jax.jit\(step\)\)"):
        fnn.inspect.explain_recompile(lambda x: x)


# a run done again


def test_a_recorded_run_replays_to_the_same_parameters_bit_for_bit(tmp_path):
    net, optimizer, (x, y) = layers.dense(1), fnn.optim.adam(0.02), data()
    training(net=net, optimizer=optimizer, steps=9, checkpoint=tmp_path)  # and then longer
    done = training(net=net, optimizer=optimizer, steps=33, checkpoint=tmp_path)
    recorded = {"loss": losses.squared_error, "optimizer": optimizer}
    again = fnn.train.replay(tmp_path, net, x, y, **recorded)
    chex.assert_trees_all_equal(again.last, done.last)
    noted = json.loads((tmp_path / "run.json").read_text())["versions"]
    assert noted["python"] == platform.python_version()
    assert noted["machine"] == platform.machine()
    with pytest.raises(ValueError, match=r"the data was .*, is .*; give what the run was given"):
        fnn.train.replay(tmp_path, net, x, 2 * y, **recorded)
    with pytest.raises(ValueError, match="is the loss or the optimizer another"):
        fnn.train.replay(tmp_path, net, x, y, loss=losses.absolute_error, optimizer=optimizer)
    with pytest.raises(ValueError, match="is no record of a run"):
        fnn.train.replay(tmp_path / "none", net, x, y, **recorded)


# keys used twice


@pytest.mark.parametrize(
    "second", [fnn.random.uniform, jax.random.normal, lambda key, _: jax.random.split(key)]
)
def test_a_key_used_twice_is_an_error_where_that_is_asked_for(second):
    @jax.jit
    def draw(key):
        return fnn.random.bits(key, (2,)), second(key, (2,))

    draw(jax.random.key(0))
    with pytest.raises(ValueError, match="a key is used twice"), fnn.inspect.no_key_reuse():
        draw(jax.random.key(0))


def test_a_layer_of_ones_own_that_uses_its_key_twice_is_caught_and_ours_are_not():
    def apply(params, state, x, *, key=None, train=False):
        noise = 0.0 if key is None else fnn.random.uniform(key) + fnn.random.uniform(key)
        return x + noise, state

    def sloppy():
        return fnn.core.Layer(lambda key, x: fnn.core.Variables({}, {}), apply, name="sloppy")

    def step(net):
        optimizer, x = fnn.optim.sgd(0.1), jnp.ones((4, 2))
        state = fnn.train.init(net, optimizer, jax.random.key(0), x)
        return jax.jit(fnn.train.make_step(net, losses.squared_error, optimizer))(
            state, (x, jnp.ones((4, 2)))
        )

    with fnn.inspect.no_key_reuse():
        step(serial(layers.dense(2), layers.dropout(0.5), layers.dropout(0.5)))
    at_fault = r"a key is used twice in layer 'body/sloppy_1' \(sloppy, given x: float32\[4,2"
    with pytest.raises(ValueError, match=at_fault), fnn.inspect.no_key_reuse():
        step(serial(layers.dense(2), body=serial(layers.dropout(0.5), sloppy())))


def test_the_layer_that_gives_two_children_one_key_is_the_one_at_fault():
    drop = layers.dropout(0.5)

    def apply(params, state, x, *, key=None, train=False):
        y, _ = drop.apply({}, {}, x, key=key, train=train)
        return drop.apply({}, {}, y, key=key, train=train)

    twin = fnn.core.Layer(lambda key, x: fnn.core.Variables({}, {}), apply, name="twin")
    net, x = serial(layers.dense(2), twin), jnp.ones((4, 2))
    variables = net.init(jax.random.key(0), x)
    run = jax.jit(lambda key: net.apply(*variables, x, key=key, train=True))
    with pytest.raises(ValueError, match="in layer 'twin_1'"), fnn.inspect.no_key_reuse():
        run(jax.random.key(1))


def test_a_layer_that_draws_its_weights_from_one_key_is_named():
    def init(key, x):
        w = {"a": jax.random.normal(key, (2,)), "b": jax.random.normal(key, (2,))}
        return fnn.core.Variables(w, {})

    twice = fnn.core.Layer(init, lambda p, s, x, **_: (x, s), name="twice")
    net = serial(layers.dense(2), body=serial(twice))
    with pytest.raises(ValueError, match="in layer 'body/twice_0'"), fnn.inspect.no_key_reuse():
        net.init(jax.random.key(0), jnp.ones((4, 2)))


# extreme inputs


@pytest.mark.parametrize("name", ["softplus", "squareplus", "gelu", "silu", "mish", "tanh", "elu"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16])
def test_activations_and_their_slopes_are_finite_at_extreme_inputs(name, dtype):
    x = jnp.asarray([-6e4, 0.0, 6e4] if dtype == jnp.float16 else [-1e30, -1e4, 1e4, 1e30], dtype)
    function = getattr(fnn.activations, name)
    y, pull = jax.vjp(function, x)
    assert jnp.isfinite(y).all()
    assert jnp.isfinite(pull(jnp.ones_like(y))[0]).all()
