"""What each optimizer's paper claims, what the states hold, and what the errors say."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fnn import optim
from fnn.optim import chain
from fnn.optim.base import accepted, advance
from fnn.optim.names import NAMES

EVERY = pytest.mark.parametrize("name", NAMES)


def run(optimizer, gradients, params=0.0):
    """The updates that a fixed sequence of gradients brings, and the last state."""
    params = jnp.asarray(params, jnp.result_type(float))
    state, updates = optimizer.init(params), []
    update = jax.jit(optimizer.update)
    for g in gradients:
        step, state = update(jnp.full_like(params, g), state, params)
        params = params + step
        updates.append(step)
    return jnp.stack(updates), state


def squares(params):
    return sum(jnp.sum(jnp.square(p).astype(float)) for p in jax.tree.leaves(params))


def update_of(optimizer):
    """Its `update`, given a bowl's loss, or its value, if it asks for them."""

    def update(grads, state, params):
        extra = {"value_fn": squares, "value": squares(params)}
        return optimizer.update(grads, state, params, **accepted(optimizer.update, extra))

    return update


# what the papers claim


def test_gradient_descent_on_a_quadratic_shrinks_the_error_by_one_minus_eta_curvature(x64):
    eta, curvature, x = 0.1, 3.0, jnp.array(2.0)
    optimizer = optim.gradient_descent(eta)
    state = optimizer.init(x)
    for _ in range(20):
        updates, state = optimizer.update(curvature * x, state)
        x = optim.apply_updates(x, updates)
    np.testing.assert_allclose(x, 2.0 * (1 - eta * curvature) ** 20, rtol=1e-12)


def test_sgd_is_gradient_descents_rule_to_the_last_bit():
    gradients = jax.random.normal(jax.random.key(0), (5,))
    ours, theirs = run(optim.sgd(0.3), gradients)[0], run(optim.gradient_descent(0.3), gradients)[0]
    assert jnp.array_equal(ours, theirs)


@pytest.mark.parametrize("make", [optim.momentum, optim.nesterov])
def test_the_terminal_velocity_of_momentum_is_eta_over_one_minus_decay(make, x64):
    updates, _ = run(make(0.1, decay=0.8), [1.0] * 150)
    np.testing.assert_allclose(updates[-1], -0.1 / (1 - 0.8), rtol=1e-12)


def test_momentum_after_t_steps_is_a_geometric_sum(x64):
    updates, _ = run(optim.momentum(0.1, decay=0.8), [1.0] * 30)
    t = np.arange(1, 31)
    np.testing.assert_allclose(updates, -0.1 * (1 - 0.8**t) / (1 - 0.8), rtol=1e-12)


def test_the_averaging_form_of_momentum_is_ours_with_eta_times_one_minus_decay(x64):
    gradients = np.sin(np.arange(20.0))
    v, expected = 0.0, []
    for g in gradients:
        v = 0.9 * v + (1 - 0.9) * g
        expected.append(-0.1 * v)
    updates, _ = run(optim.momentum(0.1 * (1 - 0.9)), gradients)
    np.testing.assert_allclose(updates, expected, rtol=1e-12)


def test_nesterov_brakes_sooner_than_momentum_when_the_gradient_turns():
    gradients = [1.0] * 10 + [-1.0] * 3
    plain, ahead = run(optim.momentum(0.1), gradients)[0], run(optim.nesterov(0.1), gradients)[0]
    assert ahead[9] < plain[9] < 0  # both fall, Nesterov's the faster
    assert ahead[10] > plain[10]  # and at the turn it gives way first


def test_adagrads_steps_fall_as_one_over_the_root_of_t_under_a_constant_gradient(x64):
    updates, _ = run(optim.adagrad(0.1, initial_accumulator=0.0, eps=0.0), [7.0] * 50)
    np.testing.assert_allclose(updates, -0.1 / np.sqrt(np.arange(1, 51)), rtol=1e-12)


def test_adagrads_initial_accumulator_shortens_the_first_steps(x64):
    updates, _ = run(optim.adagrad(1.0, initial_accumulator=9.0, eps=0.0), [4.0])
    np.testing.assert_allclose(updates, [-4 / 5], rtol=1e-12)


@pytest.mark.parametrize("place", ["inside", "outside"])
def test_adagrad_without_eps_rests_where_there_was_never_a_gradient(place):
    adagrad = optim.adagrad(0.1, initial_accumulator=0.0, eps=0.0, eps_place=place)
    updates, _ = run(adagrad, [0.0, 0.0, 2.0])
    np.testing.assert_allclose(updates, [0.0, 0.0, -0.1], rtol=1e-6)


def test_adadelta_does_not_see_the_units_of_the_loss(x64):
    gradients = 1e3 * (2 + np.sin(np.arange(30.0)))
    ones, thousands = (
        run(optim.adadelta(eps=1e-12), scale * gradients)[0] for scale in (1.0, 1000.0)
    )
    np.testing.assert_allclose(ones, thousands, rtol=1e-6)
    assert jnp.all(ones < 0)


def test_adadeltas_first_step_is_the_root_of_eps_over_one_minus_decay(x64):
    updates, _ = run(optim.adadelta(decay=0.75, eps=1e-6), [5.0])
    np.testing.assert_allclose(updates, -np.sqrt(1e-6 / 0.25), rtol=1e-6)


def test_rmsprop_settles_at_steps_of_size_eta(x64):
    updates, _ = run(optim.rmsprop(0.01, eps=0.0), [-3.0] * 400)
    np.testing.assert_allclose(updates[-1], 0.01, rtol=1e-12)
    np.testing.assert_allclose(updates[0], 0.01 / np.sqrt(1 - 0.9), rtol=1e-12)


def test_eps_has_the_units_of_the_place_where_it_stands(x64):
    g, v, eps = 2.0, 0.1 * 2.0**2, 0.5
    inside, _ = run(optim.rmsprop(1.0, eps=eps), [g])
    outside, _ = run(optim.rmsprop(1.0, eps=eps, eps_place="outside"), [g])
    np.testing.assert_allclose(inside, [-g / np.sqrt(v + eps)], rtol=1e-12)
    np.testing.assert_allclose(outside, [-g / (np.sqrt(v) + eps)], rtol=1e-12)


def test_centred_rmsprop_divides_by_the_running_standard_deviation(x64):
    gradients, mean, square = [1.0, 4.0, -2.0], 0.0, 0.0
    for g in gradients:
        mean, square = 0.8 * mean + 0.2 * g, 0.8 * square + 0.2 * g**2
    updates, _ = run(optim.centered_rmsprop(0.1, decay=0.8, eps=1e-4), gradients)
    np.testing.assert_allclose(updates[-1], 0.2 / np.sqrt(square - mean**2 + 1e-4), rtol=1e-10)


@pytest.mark.parametrize("make", [optim.adam, optim.amsgrad, optim.adamax])
def test_the_first_step_of_adam_is_eta_times_the_sign_of_the_gradient(make, x64):
    for g in (1e-3, -40.0, 5e5):
        updates, _ = run(make(0.1, eps=1e-14), [g])
        np.testing.assert_allclose(updates, [-0.1 * np.sign(g)], rtol=1e-9)


def test_adam_under_a_constant_gradient_keeps_the_length_of_its_first_step(x64):
    updates, _ = run(optim.adam(0.1, eps=0.0), [3.0] * 50)
    np.testing.assert_allclose(updates, -0.1, rtol=1e-12)


def test_adam_does_not_see_the_scale_of_the_gradients(x64):
    gradients = np.cos(np.arange(20.0))
    small, large = (run(optim.adam(0.1, eps=0.0), s * gradients)[0] for s in (1.0, 1e6))
    np.testing.assert_allclose(small, large, rtol=1e-9)


def test_nadams_first_step_looks_one_step_ahead(x64):
    b1 = 0.9
    updates, _ = run(optim.nadam(0.1, b1=b1, eps=0.0), [3.0])
    ahead = b1 * (1 - b1) / (1 - b1**2) + 1 - b1 + b1  # = b1 / (1 + b1) + (1 - b1) / (1 - b1)
    np.testing.assert_allclose(updates, [-0.1 * ahead], rtol=1e-12)


def test_adamax_remembers_the_largest_gradient_and_lets_it_decay(x64):
    _, state = run(optim.adamax(b2=0.5, eps=0.0), [8.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(state.nu, 1.0)
    _, state = run(optim.adamax(b2=0.5, eps=0.0), [8.0, 1.0])
    np.testing.assert_allclose(state.nu, 4.0)


@pytest.mark.parametrize("debias", ["before", "after", "never"])
def test_amsgrads_denominator_never_falls_and_adams_does(debias, x64):
    gradients = [10.0] + [0.1] * 20
    amsgrad, adam = optim.amsgrad(b2=0.9, debias=debias), optim.adam(b2=0.9)
    top = [float(run(amsgrad, gradients[:n])[1].nu_max) for n in range(1, 20, 3)]
    assert all(a <= b for a, b in itertools.pairwise(top))
    assert run(adam, gradients)[1].nu < 0.2 * run(adam, gradients[:1])[1].nu


def test_amsgrad_of_the_paper_is_without_debiasing(x64):
    updates, _ = run(optim.amsgrad(0.1, b1=0.9, b2=0.99, eps=0.0, debias="never"), [4.0, 4.0])
    first = 0.1 * 4 / np.sqrt(0.01 * 16)
    second = (0.9 * 0.1 * 4 + 0.1 * 4) / np.sqrt(0.99 * 0.01 * 16 + 0.01 * 16)
    np.testing.assert_allclose(updates, [-0.1 * first, -0.1 * second], rtol=1e-9)


def test_adamw_without_gradients_shrinks_the_weights_by_eta_lambda_a_step(x64):
    _, theta = 0, jnp.array(2.0)
    optimizer = optim.adamw(0.1, weight_decay=0.5)
    state = optimizer.init(theta)
    for _ in range(10):
        updates, state = optimizer.update(jnp.array(0.0), state, theta)
        theta = theta + updates
    np.testing.assert_allclose(theta, 2.0 * (1 - 0.1 * 0.5) ** 10, rtol=1e-12)


def test_lions_steps_have_one_size_whatever_the_gradient():
    updates, _ = run(optim.lion(0.01, weight_decay=0.0), [3.0, 1e-6, -2.0, -1e9])
    np.testing.assert_allclose(jnp.abs(updates), 0.01, rtol=1e-6)


@EVERY
def test_every_optimizer_descends_a_bowl(name):
    make = optim.find(name)
    rate = {"adadelta": 30.0, "adagrad": 0.5, "lion": 0.02, "shampoo": 0.5, "sm3": 0.5, "lars": 5.0}
    rate |= dict.fromkeys(("prodigy", "dadapt_sgd", "dadapt_adam", "dog", "l_dog"), 1.0)
    rate = rate.get(name, 0.05)
    optimizer, x = make(rate), jnp.array([3.0, -2.0])

    def step(carry, _):
        x, state = carry
        updates, state = update_of(optimizer)(2 * x, state, x)
        return (optim.apply_updates(x, updates), state), None

    end = jax.jit(lambda: jax.lax.scan(step, (x, optimizer.init(x)), None, length=300)[0][0])()
    assert jnp.sum(end**2) < 0.1 * jnp.sum(x**2)


# links


def test_clip_by_norm_shortens_each_leaf_alone_and_keeps_directions():
    grads = {"long": jnp.array([30.0, 40.0]), "short": jnp.array([0.3, 0.4]), "none": jnp.zeros(2)}
    link = optim.clip_by_norm(1.0)
    clipped, _ = link.update(grads, link.init(grads))
    expected = {"long": jnp.array([0.6, 0.8]), "short": grads["short"], "none": grads["none"]}
    chex.assert_trees_all_close(clipped, expected, rtol=1e-6)


def test_clip_by_global_norm_bounds_the_whole_and_leaves_what_is_short():
    grads = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([[4.0]])}
    for bound, factor in ((1.0, 0.2), (5.0, 1.0), (9.0, 1.0)):
        link = optim.clip_by_global_norm(bound)
        clipped, _ = link.update(grads, link.init(grads))
        chex.assert_trees_all_close(clipped, jax.tree.map(lambda g: g * factor, grads), rtol=1e-6)  # noqa: B023


def test_the_norm_of_sixteen_bit_gradients_is_taken_in_float32():
    grads = jnp.full(10_000, 0.1, jnp.bfloat16)
    link = optim.clip_by_global_norm(1.0)
    clipped, _ = link.update(grads, link.init(grads))
    assert clipped.dtype == jnp.bfloat16
    np.testing.assert_allclose(jnp.linalg.norm(clipped.astype(jnp.float32)), 1.0, rtol=1e-2)


def test_clipping_lets_nan_through_so_that_divergence_is_seen():
    for link in (optim.clip(1.0), optim.clip_by_norm(1.0), optim.clip_by_global_norm(1.0)):
        grads = jnp.array([jnp.nan, 1.0])
        assert jnp.isnan(link.update(grads, link.init(grads))[0][0])


@pytest.mark.parametrize(
    "mask",
    [
        {"layer": {"b": False, "w": True}, "head": False},
        {"layer": {"b": jnp.array(False), "w": jnp.array(True)}, "head": jnp.array(False)},
        lambda params: jax.tree.map(lambda p: p.ndim > 1, params),
        "layer/w",
    ],
    ids=["tree", "arrays", "function", "pattern"],
)
def test_a_mask_says_which_parameters_decay(mask):
    params = {"layer": {"b": jnp.ones(2), "w": jnp.ones((2, 2))}, "head": jnp.ones(3)}
    grads = jax.tree.map(jnp.zeros_like, params)
    link = optim.add_decayed_weights(0.5, mask=mask)
    updates, _ = link.update(grads, link.init(params), params)
    expected = {"layer": {"b": jnp.zeros(2), "w": jnp.full((2, 2), 0.5)}, "head": jnp.zeros(3)}
    chex.assert_trees_all_close(updates, expected)


def test_a_mask_may_speak_of_whole_branches():
    params = {"body": {"b": jnp.ones(2), "w": jnp.ones(2)}, "head": jnp.ones(3)}
    optimizer = optim.lion(1.0, weight_decay=0.5, mask={"body": True, "head": False})
    updates, _ = optimizer.update(
        jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params
    )
    expected = {"body": {"b": -0.5 * jnp.ones(2), "w": -0.5 * jnp.ones(2)}, "head": jnp.zeros(3)}
    chex.assert_trees_all_close(updates, expected)


def test_the_noise_has_the_papers_variance_and_mean_zero(key):
    eta, gamma, zeros = 0.3, 0.55, {"a": jnp.zeros(40_000), "b": jnp.zeros(40_000)}
    ours = optim.add_noise(eta, gamma=gamma, key=key)
    theirs = optax.add_noise(eta, gamma, key)
    mine, its = ours.init(zeros), theirs.init(zeros)
    for t in range(3):
        noise, mine = ours.update(zeros, mine)
        other, its = theirs.update(zeros, its)
        sigma = np.sqrt(eta / (1 + t) ** gamma)
        for leaf in ("a", "b"):
            np.testing.assert_allclose(noise[leaf].mean(), 0, atol=4 * sigma / 200)
            np.testing.assert_allclose(noise[leaf].std(), sigma, rtol=0.02)
            np.testing.assert_allclose(noise[leaf].std(), other[leaf].std(), rtol=0.03)
        assert abs(np.corrcoef(noise["a"], noise["b"])[0, 1]) < 0.03


def test_the_noise_depends_on_the_key_and_the_step_alone(key):
    g = jnp.zeros(4)
    link = optim.add_noise(1.0, key=key)
    first, state = link.update(g, link.init(g))
    second, _ = link.update(g, state)
    again, _ = link.update(g, link.init(g))
    assert jnp.array_equal(first, again)
    assert not jnp.allclose(first, second)


def test_a_chain_hands_extra_arguments_to_those_links_alone_that_take_them():
    seen = []

    def update(grads, state, params=None, *, value):
        seen.append(value)
        return grads, state

    greedy = optim.Optimizer(lambda p: (), lambda g, s, p=None, **extra: (g, (*s, len(extra))))
    picky = optim.Optimizer(lambda p: (), update)
    optimizer = chain(optim.clip(1.0), picky, chain(greedy, optax.adam(0.1)), optim.sgd(1.0))
    g = jnp.ones(2)
    _, state = optimizer.update(g, optimizer.init(g), g, value=3.0, grad=g)
    assert seen == [3.0]
    assert state[2][0] == (2,)


def test_optaxs_line_search_finds_its_arguments_in_our_chain():
    def loss(x):
        return jnp.sum((x - 2.0) ** 2)

    optimizer = chain(optim.sgd(1.0), optax.scale_by_backtracking_linesearch(20))
    x = jnp.zeros(3)
    value, g = jax.value_and_grad(loss)(x)
    updates, _ = optimizer.update(g, optimizer.init(x), x, value=value, grad=g, value_fn=loss)
    assert loss(x + updates) < loss(x)


# hyperparameters in the state


def test_a_hundred_learning_rates_are_one_trace():
    optimizer = chain(optim.clip_by_global_norm(1.0), optim.adam(1e-3))
    params = {"w": jnp.ones(3)}

    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(params, state):
        updates, state = optimizer.update(params, state, params)
        return optim.apply_updates(params, updates), state

    state = optimizer.init(params)
    for rate in np.linspace(1e-4, 1.0, 100):
        after, state = step(params, optim.with_hypers(state, learning_rate=float(rate)))
        assert state[1].learning_rate == np.float32(rate)
    assert not jnp.allclose(after["w"], params["w"])


def test_a_hundred_constructed_optimizers_are_one_trace_too():
    params = jnp.ones(3)

    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(rate):
        optimizer = optim.momentum(rate)
        return optimizer.update(params, optimizer.init(params), params)[0]

    for rate in np.linspace(0.0, 1.0, 100):
        np.testing.assert_allclose(step(rate), -rate * params, rtol=1e-6)


def test_the_loss_after_a_few_steps_can_be_differentiated_by_the_learning_rate(x64):
    def loss_after(rate):
        optimizer, x = optim.adam(rate, eps_root=1e-12), jnp.array([1.0, 0.0])
        state = optimizer.init(x)
        for _ in range(3):
            updates, state = optimizer.update(x * jnp.array([1.0, 0.0]), state, x)
            x = x + updates
        return jnp.sum(x**2)

    slope = jax.grad(loss_after)(0.1)
    difference = (loss_after(0.1 + 1e-6) - loss_after(0.1 - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope, difference, rtol=1e-6)


def test_hyperparameters_are_listed_by_path_wherever_they_stand():
    optimizer = optax.chain(
        optax.clip(1.0), chain(optim.clip(2.0), optim.sgd(lambda t: 0.5 / (1 + t)))
    )
    params = jnp.ones(2)
    state = optimizer.init(params)
    for _ in range(3):
        _, state = optimizer.update(params, state, params)
    found = {path: float(value) for path, value in optim.hyperparameters(state).items()}
    assert found == {"1/0/max_value": 2.0, "1/1/learning_rate": pytest.approx(0.5 / 3)}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda o: o,
        lambda o: chain(optim.clip(9.0), chain(o)),
        lambda o: optax.chain(optax.clip(9.0), o),
        lambda o: optax.MultiSteps(o, 1),
        lambda o: optax.masked(o, {"w": True}),
        lambda o: optax.partition({"a": o}, {"w": "a"}),
    ],
    ids=["alone", "chain", "optax.chain", "MultiSteps", "masked", "partition"],
)
def test_with_hypers_changes_a_name_at_any_depth_and_keeps_shapes_and_dtypes(wrap):
    optimizer, params = wrap(optim.sgd(0.1)), {"w": jnp.ones(2)}
    state = optimizer.init(params)
    changed = optim.with_hypers(state, learning_rate=0.5)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, changed)
    assert jax.tree.structure(state) == jax.tree.structure(changed)
    updates, _ = optimizer.update(params, changed, params)
    np.testing.assert_allclose(updates["w"], -0.5)
    np.testing.assert_allclose(next(iter(optim.hyperparameters(state).values())).max(), 0.1, atol=9)


def test_many_lanes_take_one_value_for_all_or_one_for_each():
    state = jax.vmap(lambda rate: optim.sgd(rate).init(jnp.ones(2)))(jnp.array([0.1, 0.2, 0.3]))
    assert jnp.array_equal(optim.with_hypers(state, learning_rate=0.5).learning_rate, [0.5] * 3)
    each = optim.with_hypers(state, learning_rate=jnp.array([1.0, 2.0, 3.0])).learning_rate
    assert jnp.array_equal(each, [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"one number or have shape \(3,\), got \(2,\)"):
        optim.with_hypers(state, learning_rate=jnp.ones(2))


def test_the_state_does_not_share_its_arrays_with_the_caller(key):
    rate, params = jnp.array(0.1, jnp.float32), jnp.ones(2)
    optimizer = chain(optim.add_noise(key=key), optim.sgd(rate))
    update = jax.jit(optimizer.update, donate_argnums=1)
    for _ in range(2):  # the first donates all that the state holds
        updates, _ = update(params, optimizer.init(params), params)
    assert jnp.all(jnp.isfinite(updates))
    assert float(rate) == np.float32(0.1)


# dtypes and structure


@EVERY
@pytest.mark.parametrize("wide", [False, True], ids=["x32", "x64"])
def test_updates_have_the_gradients_dtype_and_scan_can_carry_the_state(name, wide):
    with jax.enable_x64(wide):
        params = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2, jnp.float32)}
        if wide:
            params["c"] = jnp.ones(2, jnp.float64)
        optimizer = NAMES[name](lambda count: 0.1 / (1 + count))

        def step(carry, _):
            params, state = carry
            updates, state = update_of(optimizer)(params, state, params)
            chex.assert_trees_all_equal_dtypes(updates, params)
            return (optim.apply_updates(params, updates), state), None

        start = (params, optimizer.init(params))
        chex.assert_trees_all_equal_shapes_and_dtypes(
            start, jax.eval_shape(lambda: jax.lax.scan(step, start, None, length=2)[0])
        )
        for leaf in jax.tree.leaves(start[1]):
            assert leaf.dtype != jnp.bfloat16
            assert not getattr(leaf, "weak_type", False)  # which keys do not have
    if hasattr(start[1], "nu"):
        assert start[1].nu["a"].dtype == start[1].nu["b"].dtype == jnp.float32


def test_a_sixteen_bit_average_moves_although_its_steps_are_small():
    params = jnp.ones(1, jnp.bfloat16)
    optimizer = optim.adam(0.1, b2=0.999)
    state = optimizer.init(params)
    for _ in range(50):
        _, state = jax.jit(optimizer.update)(params, state)
    np.testing.assert_allclose(state.nu, 1 - 0.999**50, rtol=1e-4)


def test_float64_gets_float64_constants(x64):
    updates, _ = run(optim.sgd(0.1), [1.0])
    assert updates[0] == -0.1


def test_narrow_gradients_leave_a_wide_state_as_it_is():
    params = jnp.ones(2)
    optimizer = optim.momentum(0.1)
    updates, state = optimizer.update(params.astype(jnp.bfloat16), optimizer.init(params))
    assert (updates.dtype, state.velocity.dtype) == (jnp.bfloat16, jnp.float32)


def test_wide_gradients_leave_a_narrow_state_as_it_is(x64):
    params = jnp.ones(2, jnp.float32)
    optimizer = optim.momentum(0.1)
    updates, state = optimizer.update(params.astype(jnp.float64), optimizer.init(params))
    assert (updates.dtype, state.velocity.dtype) == (jnp.float64, jnp.float32)


@EVERY
def test_a_tree_without_leaves_is_no_trouble(name):
    optimizer = NAMES[name](0.1)
    updates, _ = update_of(optimizer)({}, optimizer.init({}), {})
    assert updates == {}


def test_the_count_stays_at_its_end_instead_of_turning_negative():
    state = optim.adam(0.1).init(jnp.ones(1))._replace(count=jnp.int32(2**31 - 1))
    updates, state = optim.adam(0.1).update(jnp.ones(1), state)
    assert state.count == 2**31 - 1 == advance(state.count)
    assert jnp.all(jnp.isfinite(updates))


# errors


@EVERY
def test_a_negative_learning_rate_is_refused_by_name(name):
    with pytest.raises(ValueError, match=f"{name}: learning_rate must be a finite number >= 0"):
        NAMES[name](-0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.adam(b1=1.0), r"adam: b1 must be in \[0, 1\), got 1.0"),
        (lambda: optim.momentum(0.1, decay=-0.1), r"momentum: decay must be in \[0, 1\)"),
        (lambda: optim.sgd(float("nan")), "sgd: learning_rate must be a finite number >= 0"),
        (lambda: optim.clip(-1.0), "clip: max_value must be a finite number >= 0, got -1.0"),
        (lambda: optim.adagrad(eps_place="left"), "eps_place must be one of inside, outside"),
        (lambda: optim.amsgrad(debias="no"), "debias must be one of before, after, never"),
        (lambda: optim.adagrad(initial_accumulator=-1), "initial_accumulator must be a finite"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.sgd("0.1"), "sgd: learning_rate must be a number, an array or a schedule"),
        (lambda: optim.sgd(True), "sgd: learning_rate must be a number"),
        (lambda: optim.add_noise(key=None), "add_noise: key must be one PRNG key"),
        (lambda: optim.add_noise(key=3), "add_noise: key must be one PRNG key"),
        (lambda: chain(optim.clip(1.0), optim.adam), r"link 1 .* got adam; call it first: adam\("),
        (lambda: optim.scale_by_schedule(0.1), "for a number use scale"),
    ],
)
def test_settings_of_a_wrong_type_are_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@EVERY
@pytest.mark.parametrize(
    ("leaf", "got"), [(np.arange(3), r"int\d+\[3\]"), (jax.nn.relu, "relu"), ("relu", "'relu'")]
)
def test_a_parameter_that_is_no_float_array_is_named_at_init(name, leaf, got):
    with pytest.raises(TypeError, match=f"floating point arrays, got .*{got}.* at 'layer/n'"):
        NAMES[name](0.1).init({"layer": {"n": leaf, "w": jnp.ones(2)}})


@EVERY
def test_gradients_of_another_tree_are_told_which_paths_differ(name):
    if name in ("sgd", "gradient_descent", "sign_sgd", "fromage", "polyak_step"):
        pytest.skip("what steps by this gradient alone keeps nothing to compare with")
    params = {"a": {"w": jnp.ones(2)}, "b": jnp.ones(2)}
    grads = {"a": {"w": jnp.ones(2), "x": jnp.ones(2)}}
    optimizer = NAMES[name](0.1)
    with pytest.raises(ValueError, match="only in grads: a/x; only in state: b; give update the"):
        update_of(optimizer)(grads, optimizer.init(params), grads)


def test_gradients_that_are_none_count_as_missing():
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    optimizer = optim.adam(0.1)
    with pytest.raises(ValueError, match=r"adam: grads and state .* only in state: b"):
        optimizer.update({"a": jnp.ones(2), "b": None}, optimizer.init(params))


def test_a_gradient_of_another_shape_does_not_broadcast():
    optimizer = optim.momentum(0.1)
    state = optimizer.init({"w": jnp.ones(3)})
    with pytest.raises(ValueError, match=r"at 'w' has shape \(1,\), expected \(3,\) as in state"):
        optimizer.update({"w": jnp.ones(1)}, state)


@pytest.mark.parametrize("make", [optim.adamw, optim.lion, optim.add_decayed_weights])
def test_weight_decay_asks_for_the_parameters(make):
    optimizer = make(0.1)
    with pytest.raises(ValueError, match=r"call update\(grads, state, params\)"):
        optimizer.update(jnp.ones(1), optimizer.init(jnp.ones(1)))


def test_a_mask_of_another_tree_says_what_it_should_be():
    params = {"a": jnp.ones(1), "b": jnp.ones(1)}
    optimizer = optim.adamw(mask={"a": True})
    with pytest.raises(ValueError, match="adamw: mask must be a tree of bools like the params"):
        optimizer.update(params, optimizer.init(params), params)


def test_a_chain_is_told_when_the_state_is_anothers():
    optimizer = chain(optim.clip(1.0), optim.sgd(0.1))
    with pytest.raises(ValueError, match="chain: state must be a tuple of 2 states"):
        optimizer.update(jnp.ones(1), (optim.sgd(0.1).init(jnp.ones(1)),))


def test_with_hypers_lists_what_there_is():
    state = chain(optim.clip(1.0), optim.sgd(0.1)).init(jnp.ones(1))
    with pytest.raises(
        ValueError, match=r"no hyperparameter 'lr' .* there are learning_rate, max_"
    ):
        optim.with_hypers(state, lr=0.1)
    with pytest.raises(ValueError, match="learning_rate must be a finite number >= 0, got -1"):
        optim.with_hypers(state, learning_rate=-1)
    with pytest.raises(TypeError, match="give a schedule to the optimizer's constructor"):
        optim.with_hypers(state, learning_rate=lambda count: 0.1)
    with pytest.raises(ValueError, match="there are none"):
        optim.with_hypers(optax.sgd(0.1).init(jnp.ones(1)), learning_rate=0.1)


@EVERY
def test_find_gives_the_constructor_of_a_name(name):
    assert optim.find(name) is NAMES[name] is getattr(optim, name)


def test_find_lists_all_names_and_the_nearest():
    with pytest.raises(ValueError, match="no 'Adamm'; did you mean 'adam'") as caught:
        optim.find("Adamm")
    assert all(name in str(caught.value) for name in NAMES)
