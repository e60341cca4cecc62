"""Wrappers around any optimizer: what they average, delay, move or leave out."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

import fnn
from fnn import optim
from fnn.optim.base import accepted

CENTRE = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)
INNERS = {"ours": lambda: optim.adam(0.1), "optax's": lambda: optax.adam(0.1)}
WRAPS = {
    "ema": lambda o: optim.ema(o, 0.9),
    "swa": lambda o: optim.swa(o, start=3, every=2),
    "lookahead": lambda o: optim.lookahead(o, k=3),
    "sam": optim.sam,
    "asam": optim.asam,
    "accumulate": lambda o: optim.accumulate(o, 3),
    "skip_if_not_finite": optim.skip_if_not_finite,
    "flatten": optim.flatten,
}
EVERY = pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)


def bowl(params):
    return jnp.sum((params["w"] - CENTRE) ** 4) / 4 + jnp.sum(params["b"] ** 2)


def start(dtype=float):
    return {"w": jnp.ones((2, 2), dtype) / 3, "b": jnp.array([2.0, -1.0], dtype)}


def walk(optimizer, loss=bowl, params=None, steps=20):
    """The parameters after each step, those to evaluate with, and the last state, from a scan."""

    def step(carry, _):
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params)
        extra = accepted(optimizer.update, {"value": value, "grad": grads, "value_fn": loss})
        updates, state = optimizer.update(grads, state, params, **extra)
        chex.assert_trees_all_equal_dtypes(updates, params)
        params = optim.apply_updates(params, updates)
        return (params, state), (params, optim.eval_params(state, params))

    params = start() if params is None else params

    def run():
        carry = params, optimizer.init(params)
        (_, state), (path, averages) = jax.lax.scan(step, carry, None, length=steps)
        return path, averages, state

    return jax.jit(run)()


def equal(ours, theirs, rtol=1e-12):
    chex.assert_trees_all_close(ours, theirs, rtol=rtol, atol=1e-13)


def last(tree):
    return jax.tree.map(lambda a: a[-1], tree)


# of all


@EVERY
def test_a_wrapper_takes_optaxs_optimizers_as_it_takes_ours(wrap, x64):
    ours, theirs = (walk(wrap(inner()))[:2] for inner in INNERS.values())
    equal(ours, theirs, 1e-10)


@EVERY
def test_hyperparameters_of_the_inner_optimizer_are_reached(wrap):
    optimizer = wrap(optim.momentum(0.1))
    state = optimizer.init(start())
    assert optim.hyperparameters(state)["inner/learning_rate"] == np.float32(0.1)
    changed = optim.with_hypers(state, learning_rate=0.7)
    assert changed.inner.learning_rate == np.float32(0.7)
    chex.assert_trees_all_equal_shapes_and_dtypes(changed, state)


@EVERY
def test_a_wrapper_keeps_sixteen_bit_parameters_and_wide_states(wrap):
    params = start(jnp.bfloat16)
    path, averages, state = walk(wrap(optim.adam(0.1)), params=params, steps=4)
    chex.assert_trees_all_equal_dtypes(path, averages, params)
    assert all(leaf.dtype != jnp.bfloat16 for leaf in jax.tree.leaves(state))


@EVERY
def test_learning_rates_of_wrapped_optimizers_are_mapped(wrap, x64):
    rates = jnp.array([0.1, 0.02])

    def end(rate):
        return last(walk(wrap(optim.adam(rate)), steps=7)[0])

    together = jax.vmap(end)(rates)
    for i, rate in enumerate(rates):
        equal(jax.tree.map(lambda a, i=i: a[i], together), end(rate), 1e-10)


@EVERY
def test_a_wrapper_stands_in_chains_ours_and_optaxs(wrap, x64):
    alone = walk(wrap(optim.sgd(0.05)))[0]
    equal(walk(optim.chain(wrap(optim.sgd(0.1)), optim.scale(0.5)), steps=1)[0]["w"],
          walk(wrap(optim.sgd(0.05)), steps=1)[0]["w"], 1e-9)  # fmt: skip
    if wrap not in (optim.sam, optim.asam):  # optax.chain keeps extra arguments from ours
        equal(walk(optax.chain(optax.identity(), wrap(optim.sgd(0.05))))[0], alone)
    equal(walk(optim.chain(optim.identity(), wrap(optim.sgd(0.05))))[0], alone)


@EVERY
def test_what_is_no_optimizer_is_refused(wrap):
    name = next(name for name, one in WRAPS.items() if one is wrap).split(" ")[0]
    words = rf"^{name}: inner must be an optimizer.* call it first: adam\(...\)"
    with pytest.raises(TypeError, match=words):
        wrap(optim.adam)


def test_accumulation_is_told_of_other_gradients():
    optimizer = optim.accumulate(optim.sgd(0.1), 2)
    with pytest.raises(ValueError, match=r"^accumulate: grads and state .*only in grads: v"):
        optimizer.update({"v": jnp.ones(1)}, optimizer.init({"w": jnp.ones(1)}))


# averages


@pytest.mark.parametrize("debias", ["always", "never"])
def test_ema_with_decay_0_is_the_parameters(debias, x64):
    path, averages, _ = walk(optim.ema(optim.adam(0.1), 0.0, debias=debias))
    equal(path, averages)


@pytest.mark.parametrize("debias", ["always", "never"])
def test_ema_is_the_weighted_mean_of_all_points_of_the_inner_path(debias, x64):
    decay = 0.8
    path, averages, _ = walk(optim.ema(optim.adam(0.1), decay, debias=debias), steps=12)
    equal(path, walk(optim.adam(0.1), steps=12)[0])
    points, weights = np.asarray(path["b"]), (1 - decay) * decay ** np.arange(12)[::-1]
    if debias == "always":
        expected = weights @ points / weights.sum()
    else:
        expected = weights @ points + decay**12 * np.array([2.0, -1.0])
    np.testing.assert_allclose(averages["b"][-1], expected, rtol=1e-12)


def test_a_scheduled_decay_is_corrected_by_the_weights_that_it_gave(x64):
    optimizer = optim.ema(optim.sgd(0.1), lambda t: t / (t + 1.0))
    path, averages, _ = walk(optimizer, steps=9)  # decay t / (t + 1): all points weigh the same
    np.testing.assert_allclose(averages["b"][-1], np.mean(path["b"], axis=0), rtol=1e-6)


def test_swa_is_the_mean_of_every_kth_point_from_its_start(x64):
    path, averages, state = walk(optim.swa(optim.sgd(0.05), start=4, every=3), steps=11)
    points = np.asarray(path["b"])
    np.testing.assert_allclose(averages["b"][10], points[[3, 6, 9]].mean(0), rtol=1e-12)
    np.testing.assert_allclose(averages["b"][2], points[2])  # before it, the parameters
    np.testing.assert_allclose(averages["b"][3], points[3])
    assert state.taken == 3


@pytest.mark.parametrize(
    "average", [lambda o: optim.ema(o, 0.98), lambda o: optim.swa(o, start=300)], ids=["ema", "swa"]
)
def test_an_average_is_nearer_to_the_bottom_than_the_noisy_points(average):
    noise = jax.random.normal(jax.random.key(0), (2000,))
    optimizer, x = average(optim.sgd(0.3)), jnp.array(4.0)

    def step(carry, n):
        x, state = carry
        updates, state = optimizer.update(x + n, state, x)
        return (x + updates, state), (x + updates, optim.eval_params(state, x + updates))

    points, means = jax.lax.scan(step, (x, optimizer.init(x)), noise)[1]
    assert jnp.mean(means[1000:] ** 2) < 0.1 * jnp.mean(points[1000:] ** 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: optim.ema(optim.sgd(0.05), 0.9),
        lambda: optim.swa(optim.sgd(0.05), start=5),
        lambda: optim.lookahead(optim.sgd(0.05), k=7),
        lambda: optim.schedule_free_sgd(0.1),
        lambda: optim.asgd(0.05),
    ],
    ids=["ema", "swa", "lookahead", "schedule_free_sgd", "asgd"],
)
def test_fit_validates_with_the_average_and_returns_it(make):
    x = np.linspace(-1, 1, 24, dtype=np.float32)[:, None]
    y = 3 * x + np.cos(40 * x)
    net = fnn.layers.dense(1)
    result = fnn.fit(
        net, x, y, loss=fnn.losses.squared_error, optimizer=make(), epochs=2, batch_size=4,
        validation=(x, y), key=jax.random.key(0), progress=False,
    )  # fmt: skip
    best = result.best
    average = optim.eval_params(best.opt_state, best.params)
    chex.assert_trees_all_equal(result.params, average)
    assert not jnp.allclose(average["w"], best.params["w"], rtol=1e-4)
    predicted, _ = net.apply(average, best.state, x)
    wanted = float(jnp.mean(fnn.losses.squared_error(predicted, y)))
    np.testing.assert_allclose(result.history["val_loss"].min(), wanted, rtol=1e-5)


# lookahead


@pytest.mark.parametrize("k", [1, 4])
def test_lookahead_with_alpha_1_is_the_inner_optimizer(k, x64):
    equal(walk(optim.lookahead(optim.adam(0.1), k=k, alpha=1.0))[0], walk(optim.adam(0.1))[0])


def test_lookahead_with_alpha_0_never_leaves(x64):
    _, slow, _ = walk(optim.lookahead(optim.adam(0.1), alpha=0.0))
    equal(last(slow), start())


def test_lookahead_is_optaxs_with_the_slow_weights_in_the_state(x64):
    ours, slow, _ = walk(optim.lookahead(optim.adam(0.1), k=3, alpha=0.4))
    theirs = optax.lookahead(optax.adam(0.1), 3, 0.4)
    pair = optax.LookaheadParams.init_synced(start())
    state, gradient = theirs.init(pair), jax.jit(jax.grad(bowl))
    for t in range(8):
        updates, state = theirs.update(gradient(pair.fast), state, pair)
        pair = optax.apply_updates(pair, updates)
        equal(jax.tree.map(lambda a, t=t: a[t], (ours, slow)), (pair.fast, pair.slow), 1e-10)


# sharpness


def test_sams_gradient_is_at_the_ascended_point(x64):
    rho, params = 0.3, start()
    grads = jax.grad(bowl)(params)
    optimizer = optim.sam(optim.sgd(1.0), rho)
    updates, _ = optimizer.update(grads, optimizer.init(params), params, value_fn=bowl)
    size = np.sqrt(sum(float(jnp.sum(g**2)) for g in jax.tree.leaves(grads)))
    above = jax.tree.map(lambda p, g: p + rho * g / size, params, grads)
    assert bowl(above) > bowl(params)
    equal(updates, jax.tree.map(jnp.negative, jax.grad(bowl)(above)))


def test_sam_is_optaxs_opaque_mode_with_normalised_ascent(x64):
    ascent = optax.chain(contrib.normalize(), optax.sgd(0.3))
    theirs = contrib.sam(optax.adam(0.1), ascent, opaque_mode=True)
    params = start()
    gradient, path, state = jax.jit(jax.grad(bowl)), [], theirs.init(params)
    for _ in range(6):
        updates, state = theirs.update(
            gradient(params), state, params, grad_fn=lambda p, _: gradient(p)
        )
        params = optim.apply_updates(params, updates)
        path.append(params)
    ours = walk(optim.sam(optim.adam(0.1), 0.3), steps=6)[0]
    equal(ours, jax.tree.map(lambda *a: jnp.stack(a), *path), 1e-10)


@pytest.mark.parametrize("make", [optim.sam, optim.asam])
def test_a_radius_of_0_is_the_inner_optimizer(make, x64):
    equal(walk(make(optim.adam(0.1), 0.0))[0], walk(optim.adam(0.1))[0])


def test_asam_is_blind_to_the_scale_of_a_parameter_where_sam_is_not(x64):
    """With theta = s phi and eta = 0 the point uphill is the same point of the loss."""

    def ratio(make, s):
        seen = []

        def value_fn(p):
            seen.append(p)
            return jnp.sum(jnp.cosh(s * p))

        p = jnp.array([1.0, -0.5]) / s
        optimizer = make(optim.sgd(1.0))
        optimizer.update(jax.grad(value_fn)(p), optimizer.init(p), p, value_fn=value_fn)
        return (
            optimizer.update(jax.grad(value_fn)(p), optimizer.init(p), p, value_fn=value_fn)[0] / s
        )

    adaptive = [ratio(lambda o: optim.asam(o, 0.5, eta=0.0), s) for s in (1.0, 10.0)]
    plain = [ratio(lambda o: optim.sam(o, 0.5), s) for s in (1.0, 10.0)]
    np.testing.assert_allclose(adaptive[0], adaptive[1], rtol=1e-10)
    assert not np.allclose(plain[0], plain[1], rtol=0.1)


def test_sam_does_not_rest_in_a_minimum_narrower_than_its_radius(x64):
    """The sharp one of two is the deeper, but no point of it has a low loss all about it."""

    def two(x):
        return -1.1 * jnp.exp(-((x + 1) ** 2) / (2 * 0.05**2)) - jnp.exp(-((x - 1) ** 2) / 2)

    def end(optimizer, x):
        return walk(optimizer, two, jnp.array(x), steps=800)[0][-1]

    sam = optim.sam(optim.sgd(1e-2), rho=0.3)
    assert jnp.abs(end(optim.sgd(1e-3), -1.03) + 1) < 0.01
    assert jnp.abs(end(sam, -1.03) + 1) > 0.2
    assert jnp.abs(end(sam, 0.8) - 1) < 0.01


def test_sam_asks_for_the_loss_as_a_function():
    optimizer, x = optim.sam(optim.sgd(0.1)), jnp.ones(2)
    with pytest.raises(ValueError, match=r"sam: .* without value_fn.*value_fn=loss"):
        optimizer.update(x, optimizer.init(x), x)


# accumulation


def test_k_micro_batches_are_one_step_of_the_whole_batch(x64):
    draw = np.random.default_rng(0).normal
    x, y = draw(size=(12, 3)), draw(size=(12,))

    def loss(w, x, y):
        return jnp.mean((x @ w - y) ** 2)

    gradient = jax.jit(jax.grad(loss))
    w0 = jnp.array([0.5, -1.0, 2.0])
    whole, small = optim.adam(0.1), optim.accumulate(optim.adam(0.1), 4)
    step, micro_step = jax.jit(whole.update), jax.jit(small.update)
    w, state = w0, whole.init(w0)
    v, waiting = w0, small.init(w0)
    for _ in range(3):
        updates, state = step(gradient(w, x, y), state, w)
        w = w + updates
        for part in range(4):
            rows = slice(3 * part, 3 * part + 3)
            updates, waiting = micro_step(gradient(v, x[rows], y[rows]), waiting, v)
            if part < 3:
                assert jnp.all(updates == 0)
            v = v + updates
        np.testing.assert_allclose(v, w, rtol=1e-12)
    equal(waiting.inner, state)


def test_accumulation_is_optaxs_multi_steps(x64):
    theirs = optax.MultiSteps(optax.adam(0.1), 3)
    equal(
        walk(optim.accumulate(optim.adam(0.1), 3))[0], walk(theirs)[0], 1e-7
    )  # its mean has float32 factors


def test_the_inner_optimizer_gets_the_mean_of_the_losses(x64):
    optimizer, x = optim.accumulate(optim.polyak_step(1e9), 2), jnp.array([2.0])
    state = optimizer.init(x)
    _, state = optimizer.update(jnp.array([1.0]), state, x, value=3.0)
    updates, _ = optimizer.update(jnp.array([3.0]), state, x, value=5.0)
    np.testing.assert_allclose(updates, [-4.0 / 2.0**2 * 2.0], rtol=1e-12)


# gradients that are not finite


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_a_bad_gradient_leaves_parameters_and_inner_state_untouched(bad):
    optimizer, params = optim.skip_if_not_finite(optim.adam(0.1)), start()
    fine = jax.grad(bowl)(params)
    _, state = optimizer.update(fine, optimizer.init(params), params)
    grads = {**fine, "b": fine["b"].at[1].set(bad)}
    updates, after = jax.jit(optimizer.update)(grads, state, params)
    chex.assert_trees_all_equal(optim.apply_updates(params, updates), params)
    chex.assert_trees_all_equal(after.inner, state.inner)
    assert (after.in_a_row, after.total) == (1, 1)


def test_after_patience_in_a_row_it_gives_up_as_optax_does():
    gradients = [1.0, np.nan, 1.0, np.nan, np.nan, np.nan, np.nan, 2.0]
    ours = optim.skip_if_not_finite(optim.sgd(1.0), patience=2)
    theirs = optax.apply_if_finite(optax.sgd(1.0), 2)
    x = jnp.zeros(1)
    mine, its, updates = ours.init(x), theirs.init(x), []
    for g in gradients:
        update, mine = ours.update(jnp.array([g]), mine, x)
        other, its = theirs.update(jnp.array([g]), its, x)
        np.testing.assert_array_equal(update, other)
        updates.append(float(update[0]))
    np.testing.assert_array_equal(updates, [-1, 0, -1, 0, 0, np.nan, np.nan, -2])
    assert (mine.in_a_row, mine.total) == (0, 5) == (its.notfinite_count, its.total_notfinite)


# links


def test_a_centralized_gradient_keeps_the_sum_of_each_units_weights(x64):
    link = optim.chain(optim.centralize(), optim.momentum(0.01))
    path = walk(link)[0]
    sums = np.asarray(path["w"]).sum(axis=1)
    np.testing.assert_allclose(sums, np.broadcast_to([2 / 3, 2 / 3], sums.shape), rtol=1e-12)
    assert not np.allclose(path["b"][-1], path["b"][0])  # vectors learn as before


def test_centralizing_over_the_first_axis_is_optaxs(x64):
    draw = np.random.default_rng(0).normal
    grads = {"b": draw(size=3), "w": draw(size=(2, 3)), "k": draw(size=(2, 2, 3, 4))}
    grads = jax.tree.map(jnp.asarray, grads)
    ours, theirs = optim.centralize(units="first"), optax.centralize()
    equal(*(link.update(grads, link.init(grads))[0] for link in (ours, theirs)))
    last_axis = optim.centralize().update(grads, (), None)[0]
    np.testing.assert_allclose(np.asarray(last_axis["k"]).mean((0, 1, 2)), 0, atol=1e-15)


@pytest.mark.parametrize("max_ratio", [0.01, 1.0])
def test_adaptive_clipping_is_optaxs(max_ratio, x64):
    draw = np.random.default_rng(0).normal
    shapes = {"b": (3,), "w": (2, 3), "k": (2, 2, 3, 4)}
    params, grads = ({n: jnp.asarray(draw(size=s)) for n, s in shapes.items()} for _ in range(2))
    params["w"] = params["w"].at[:, 1].set(0.0)
    ours, theirs = optim.adaptive_clip(max_ratio), optax.adaptive_grad_clip(max_ratio)
    equal(*(link.update(grads, link.init(params), params)[0] for link in (ours, theirs)))


# errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: optim.ema(o, 1.0), r"ema: decay must be in \[0, 1\), got 1.0"),
        (lambda o: optim.ema(o, debias="no"), "debias must be one of always, never"),
        (lambda o: optim.swa(o, start=0), "swa: start must be at least 1, got 0"),
        (lambda o: optim.lookahead(o, alpha=1.5), r"lookahead: alpha must be in \[0, 1\]"),
        (lambda o: optim.sam(o, -1.0), "sam: rho must be a finite number >= 0"),
        (lambda o: optim.accumulate(o, 0), "accumulate: k must be at least 1, got 0"),
        (lambda o: optim.skip_if_not_finite(o, patience=-1), "patience must be at least 0"),
        (lambda o: optim.centralize(units="middle"), "units must be one of last, first"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(optim.sgd(0.1))


def test_one_average_inside_another_is_read_from_outside():
    x, optimizer = jnp.array(1.0), optim.ema(optim.schedule_free_sgd(0.1), 0.0)
    updates, state = optimizer.update(x, optimizer.init(x), x)
    assert optim.eval_params(state, x + updates) == x + updates  # ema's, with decay 0


# flatten


@pytest.mark.parametrize("name", ["adam", "lion", "rmsprop", "schedule_free_adamw"])
def test_flatten_leaves_the_path_of_rules_for_single_numbers_as_it_is(name, x64):
    make = getattr(optim, name)
    for ours, theirs in zip(walk(optim.flatten(make(0.1)))[:2], walk(make(0.1))[:2], strict=True):
        equal(ours, theirs)


def test_flatten_is_optaxs(x64):
    equal(walk(optim.flatten(optim.adam(0.1)))[0], walk(optax.flatten(optax.adam(0.1)))[0], 1e-7)


def test_flatten_keeps_one_vector_for_each_dtype():
    params = {"a": jnp.ones((2, 3)), "b": jnp.ones(4, jnp.bfloat16), "c": {"d": jnp.zeros(())}}
    optimizer = optim.flatten(optim.adam(0.1))
    state = optimizer.init(params)
    assert jax.tree.map(jnp.shape, state.inner.mu) == {"float32": (7,), "bfloat16": (4,)}
    grads = jax.tree.map(lambda p: jnp.arange(p.size, dtype=p.dtype).reshape(p.shape), params)
    descent = optim.flatten(optim.gradient_descent(1.0))
    updates, _ = descent.update(grads, descent.init(params))
    chex.assert_trees_all_equal(updates, jax.tree.map(jnp.negative, grads))
    chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)


def test_flatten_makes_one_layer_of_all_for_a_rule_that_measures_layers(x64):
    with pytest.raises(AssertionError):
        equal(walk(optim.flatten(optim.lamb(0.1)))[0], walk(optim.lamb(0.1))[0])


def test_flatten_asks_the_loss_in_its_own_shapes(x64):
    equal(walk(optim.flatten(optim.sam(optim.sgd(0.05))))[0], walk(optim.sam(optim.sgd(0.05)))[0])


def test_flatten_trains_a_network_as_its_inner_optimizer_does():
    x, y = fnn.datasets.linear(jax.random.key(0), n=64)
    fits = [
        fnn.fit(
            fnn.serial(fnn.layers.dense(8), jnp.tanh, fnn.layers.dense(1)), x, y[:, None],
            loss=fnn.losses.squared_error, optimizer=optimizer, key=jax.random.key(1), epochs=5,
        )
        for optimizer in (optim.adam(0.01), optim.flatten(optim.adam(0.01)))
    ]  # fmt: skip
    equal(fits[0].params, fits[1].params, 1e-5)
