"""Schemes of many workers against what their papers' equations give when written out in NumPy."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import optim
from fnn.train import make_step, workers

KEY = jax.random.key(5)
W, BATCH = 4, 3
square = fnn.losses.squared_error


def neuron():
    return fnn.layers.dense(1)


@pytest.fixture(scope="module")
def line():
    x, y = fnn.datasets.linear(jax.random.key(0), n=48, noise=0.3)
    return x, y[:, None]


def parts(line, count, workers=W):
    """Batches of that many steps, each cut for the workers: (count, workers, BATCH, ...)."""
    draw = np.random.default_rng(1).integers(0, 48, (count, workers, BATCH))
    return jax.tree.map(lambda a: a[draw], line)


def walk(scheme, batches, key=KEY):
    state = scheme.init(key, jax.tree.map(lambda a: a[0, 0], batches)[0])
    return jax.jit(lambda s, b: jax.lax.scan(scheme.step, s, b))(state, batches)


def slope(w, b, x, y):
    """The gradient of the mean squared error of a neuron, in NumPy."""
    error = 2 * (x @ w + b - y) / len(x)
    return x.T @ error, error.sum(0)


def numpy_start(line):
    params = fnn.train.init(neuron(), optim.sgd(0.1), KEY, line[0]).params
    return np.asarray(params["w"], float), np.asarray(params["b"], float)


def close(params, w, b):
    np.testing.assert_allclose(params["w"], w, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(params["b"], b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [optim.momentum, optim.adam], ids=["momentum", "adam"])
def test_synchronous_workers_are_one_big_batch(line, make):
    optimizer = make(0.01)
    scheme = workers.synchronous(neuron(), square, optimizer, workers=W)
    state, trace = workers.run(KEY, scheme, *line, steps=30, batch_size=BATCH, checks=3)
    one, alone = fnn.train.run(KEY, neuron(), *line, loss=square, optimizer=optimizer, steps=30,
                               batch_size=W * BATCH, checks=3)  # fmt: skip
    chex.assert_trees_all_close(state.centre.params, one.params, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(trace.loss, alone.loss, rtol=1e-4)
    np.testing.assert_array_equal(trace.sent, [80, 160, 240])
    np.testing.assert_array_equal(trace.step, [10, 20, 30])


def test_running_averages_of_a_batch_norm_are_the_mean_of_the_workers(line):
    net = fnn.serial(fnn.layers.batch_norm(), neuron())
    scheme = workers.synchronous(net, square, optim.sgd(0.0), workers=W)
    x, _ = batches = parts(line, 1)
    state, _ = walk(scheme, batches)
    start = scheme.init(KEY, x[0, 0]).centre
    each = [net.apply(start.params, start.state, x[0, w], train=True)[1] for w in range(W)]
    wanted = jax.tree.map(lambda *a: sum(a) / W, *each)
    chex.assert_trees_all_close(state.centre.state, wanted, rtol=1e-5)


def test_local_sgd_is_h_steps_apart_and_then_the_mean(line):
    scheme = workers.local_sgd(neuron(), square, optim.sgd(0.05), workers=W, local_steps=3)
    x, y = batches = parts(line, 7)
    state, info = walk(scheme, batches)
    w, b = numpy_start(line)
    middle, own = (w, b), [(w, b)] * W
    for t in range(7):
        for i in range(W):
            u, v = own[i]
            gw, gb = slope(u, v, x[t, i], y[t, i])
            own[i] = u - 0.05 * gw, v - 0.05 * gb
        if (t + 1) % 3 == 0:
            middle = np.mean([p[0] for p in own], axis=0), np.mean([p[1] for p in own], axis=0)
            own = [middle] * W
    close(state.centre.params, *middle)
    close(state.own.params, *(np.stack([p[k] for p in own]) for k in (0, 1)))
    np.testing.assert_array_equal(info.sent, [0, 0, 8, 0, 0, 8, 0])
    assert (np.asarray(info.spread) > 0).all()


def test_local_sgd_that_averages_at_every_step_is_synchronous(line):
    batches = parts(line, 9)
    often = workers.local_sgd(neuron(), square, optim.sgd(0.05), workers=W, local_steps=1)
    together = workers.synchronous(neuron(), square, optim.sgd(0.05), workers=W)
    chex.assert_trees_all_close(
        walk(often, batches)[0].centre.params,
        walk(together, batches)[0].centre.params,
        rtol=1e-4,
        atol=1e-6,
    )


@pytest.mark.parametrize("make", [optim.sgd, optim.adam], ids=["sgd", "adam"])
def test_no_delay_is_a_plain_step(line, make):
    batches = parts(line, 12, workers=1)
    state, info = walk(workers.delayed(neuron(), square, make(0.02), delay=0), batches)
    train_state = fnn.train.init(neuron(), make(0.02), KEY, line[0])
    single = jax.tree.map(lambda a: a[:, 0], batches)
    step = make_step(neuron(), square, make(0.02))
    train_state, plain = jax.jit(lambda s, b: jax.lax.scan(step, s, b))(train_state, single)
    chex.assert_trees_all_close(state.centre.params, train_state.params, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(info.loss, plain.loss, rtol=1e-5)
    np.testing.assert_array_equal(info.spread, 0.0)


@pytest.mark.parametrize("delay", [1, 3])
def test_a_delayed_gradient_is_that_of_the_parameters_tau_steps_ago(line, delay):
    x, y = batches = parts(line, 11, workers=1)
    state, info = walk(workers.delayed(neuron(), square, optim.sgd(0.03), delay=delay), batches)
    path = [numpy_start(line)]
    for t in range(11):
        gw, gb = slope(*path[max(t - delay, 0)], x[t, 0], y[t, 0])
        path.append((path[t][0] - 0.03 * gw, path[t][1] - 0.03 * gb))
    close(state.centre.params, *path[-1])
    lag = [
        np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(path[t], path[max(t - delay, 0)])))  # noqa: B905
        for t in range(11)
    ]
    np.testing.assert_allclose(info.spread, lag, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("delay", [0, 1, 2, 5])
def test_a_delay_of_tau_bounds_the_learning_rate_as_the_theory_of_difference_equations_says(delay):
    # J = h theta^2 / 2 with h = 2: stable below 2 / h sin(pi / (4 tau + 2)), and not above
    bound = np.sin(np.pi / (4 * delay + 2))
    x, y = jnp.ones((400, 1, 1, 1)), jnp.zeros((400, 1, 1, 1))
    net = fnn.layers.dense(1, bias=False)

    def final(rate):
        state, _ = walk(workers.delayed(net, square, optim.sgd(rate), delay=delay), (x, y))
        return jnp.abs(state.centre.params["w"][0, 0])

    start = final(jnp.array(0.0))
    below, above = jax.vmap(final)(jnp.array([0.95, 1.05]) * bound)
    assert below < 0.2 * start
    assert above > 5 * start


@pytest.mark.parametrize("period", [1, 3])
def test_elastic_averaging_follows_equations_5_and_6(line, period):
    beta = 0.6
    scheme = workers.elastic_averaging(
        neuron(), square, optim.sgd(0.05), workers=W, beta=beta, period=period
    )
    x, y = batches = parts(line, 8)
    state, info = walk(scheme, batches)
    centre, own = numpy_start(line), [numpy_start(line)] * W
    for t in range(8):
        now = beta if t % period == 0 else 0.0
        before = list(own)
        for i in range(W):
            grads = slope(*before[i], x[t, i], y[t, i])
            own[i] = tuple(
                p - 0.05 * g - now / W * (p - c)
                for p, g, c in zip(before[i], grads, centre, strict=True)
            )
        centre = tuple(
            (1 - now) * centre[k] + now * np.mean([p[k] for p in before], axis=0) for k in (0, 1)
        )
    close(state.centre.params, *centre)
    close(state.own.params, *(np.stack([p[k] for p in own]) for k in (0, 1)))
    np.testing.assert_array_equal(info.sent, [8 * (t % period == 0) for t in range(8)])


SCHEMES = {
    "synchronous": lambda o: workers.synchronous(neuron(), square, o, workers=2),
    "local": lambda o: workers.local_sgd(neuron(), square, o, workers=2, local_steps=4),
    "delayed": lambda o: workers.delayed(neuron(), square, o, delay=2),
    "elastic": lambda o: workers.elastic_averaging(neuron(), square, o, workers=2, period=2),
}


@pytest.mark.parametrize("make", [workers.synchronous, workers.local_sgd, workers.delayed])
def test_nothing_moves_what_is_frozen(line, make):
    net = fnn.serial(body=fnn.frozen(neuron()), head=neuron())
    extra = {
        workers.synchronous: {"workers": 2},
        workers.local_sgd: {"workers": 2, "local_steps": 2},
        workers.delayed: {"delay": 1},
    }[make]
    scheme = make(net, square, optim.adamw(0.1, weight_decay=0.1), **extra)
    start = scheme.init(KEY, line[0]).centre.params
    state, _ = workers.run(KEY, scheme, *line, steps=8, batch_size=4)
    for moved, own in ((False, "body"), (True, "head")):
        pairs = zip(*map(jax.tree.leaves, (start[own], state.centre.params[own])), strict=True)
        assert all(bool((a != b).any()) == moved for a, b in pairs), own


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_learns_with_an_optimizer_of_ours_and_is_swept_by_vmap(line, name):
    x, y = line
    least = np.linalg.lstsq(np.c_[x, np.ones(48)], y, rcond=None)[1][0] / 48

    def final(rate):
        scheme = SCHEMES[name](optim.chain(optim.clip_by_global_norm(5.0), optim.momentum(rate)))
        state, trace = workers.run(
            KEY, scheme, x, y, steps=200, batch_size=4, checks=4, measure=lambda s: s.centre.step
        )
        prediction = neuron().apply(state.centre.params, {}, x)[0]
        return jnp.mean((prediction - y) ** 2), trace

    losses, trace = jax.jit(jax.vmap(final))(jnp.array([0.0, 0.003]))
    assert losses[1] < 1.1 * least
    assert losses[0] > 2 * least
    np.testing.assert_array_equal(trace.measures[0], [50, 100, 150, 200])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: workers.synchronous(neuron(), square, optim.sgd(0.1), workers=0),
            "synchronous: workers must be at least 1, got 0",
        ),
        (
            lambda: workers.local_sgd(neuron(), square, optim.sgd(0.1), workers=2, local_steps=0),
            "local_sgd: local_steps must be at least 1, got 0",
        ),
        (
            lambda: workers.delayed(neuron(), square, optim.sgd(0.1), delay=-1),
            "delayed: delay must be at least 0, got -1",
        ),
        (
            lambda: workers.elastic_averaging(neuron(), square, optim.sgd(0.1), workers=2, beta=2),
            r"elastic_averaging: beta must be in \(0, 1\], got 2",
        ),
        (
            lambda: workers.run(
                KEY, SCHEMES["local"](optim.sgd(0.1)), np.ones((6, 1)), np.ones((6, 1)), steps=1,
                batch_size=4,
            ),
            "batch_size must be from 1 to the 6 examples there are, got 8",
        ),
    ],
)  # fmt: skip
def test_schemes_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("delay", [0, 2])
def test_a_delayed_worker_is_one_and_sends_and_gets_at_each_step(line, delay):
    scheme = workers.delayed(neuron(), square, optim.sgd(0.1), delay=delay)
    assert scheme.workers == 1
    _, info = walk(scheme, parts(line, 3, workers=1))
    np.testing.assert_array_equal(info.sent, [2, 2, 2])
    assert np.all((np.asarray(info.spread) > 0) == ([False, delay > 0, delay > 0]))


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("elastic_averaging", {"period": 0}, "period must be at least 1, got 0"),
        ("elastic_averaging", {"workers": 0}, "workers must be at least 1, got 0"),
        ("local_sgd", {"local_steps": 0}, "local_steps must be at least 1, got 0"),
        ("synchronous", {"workers": 0}, "workers must be at least 1, got 0"),
        ("delayed", {"delay": -1}, "delay must be at least 0, got -1"),
    ],
)
def test_counts_of_workers_and_steps_are_held_to_their_ranges(name, wrong, words):
    usual = {"local_sgd": {"workers": 2, "local_steps": 2}, "delayed": {"delay": 1}}
    settings = {**usual.get(name, {"workers": 2}), **wrong}
    with pytest.raises(ValueError, match=f"^{name}: {words}"):
        getattr(workers, name)(neuron(), square, optim.sgd(0.1), **settings)
