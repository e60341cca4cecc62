"""Orders of the data are pure functions of the key and the step, and do what their names say."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.data import orders
from fnn.train import run

KEY = jax.random.key(3)
N, BATCH = 40, 4
DIFFICULTY = np.random.default_rng(0).permutation(N).astype(float)  # example i is the d_i-th
ORDERS = {
    "shuffled": orders.shuffled,
    "sequential": orders.sequential,
    "curriculum": orders.curriculum(DIFFICULTY, steps=80),
    "mixed": orders.mixed(DIFFICULTY, steps=80),
}
EVERY = pytest.mark.parametrize("name", ORDERS)


@functools.cache
def compiled(order, batch_size):
    def rows(key, steps):
        return jax.lax.map(lambda step: order(key, step, n=N, batch_size=batch_size), steps)

    return jax.jit(rows)


def batches(order, steps, key=KEY, batch_size=BATCH):
    return np.asarray(compiled(order, batch_size)(key, jnp.asarray(steps)))


@EVERY
def test_an_order_depends_on_key_and_step_alone(name):
    order = ORDERS[name]
    many = batches(order, np.arange(130))
    assert many.shape == (130, BATCH)
    assert many.min() >= 0
    assert many.max() < N
    alone = order(KEY, 80, n=N, batch_size=BATCH)  # not compiled, nothing before it
    np.testing.assert_array_equal(alone, many[80])
    other = batches(order, np.arange(130), jax.random.key(4))
    assert np.array_equal(many, other) is (name == "sequential")


def test_a_sequence_goes_round_and_round():
    rows = batches(orders.sequential, np.arange(50), batch_size=7)
    np.testing.assert_array_equal(rows.ravel(), np.arange(350) % N)
    late = orders.sequential(KEY, 2**31 - 1, n=N, batch_size=7)
    np.testing.assert_array_equal(late, ((2**31 - 1) * 7 + np.arange(7)) % N)


def test_a_curriculum_widens_its_pool_step_by_step_and_is_fair_within():
    rows = DIFFICULTY[batches(ORDERS["curriculum"], np.arange(80 + 20))]
    for stage, hardest in enumerate((8, 16, 24, 32)):  # 20 steps each
        seen = rows[20 * stage : 20 * (stage + 1)].ravel()
        assert seen.max() == hardest - 1
        times = np.bincount(seen.astype(int), minlength=hardest)
        assert times.min() >= 80 // hardest  # each once a pass
        assert times.max() <= -(-80 // hardest)
    last = rows[80:].ravel().astype(int)
    np.testing.assert_array_equal(np.bincount(last, minlength=N), 2)  # two passes over all


def test_stages_begin_where_the_formula_says():
    order = orders.curriculum(np.arange(N), steps=10, shares=(0.1, 0.5, 1.0))
    pools = np.array([4, 20, 40])
    for step, row in enumerate(batches(order, np.arange(30))):
        stage = min(step * 2 // 10, 2)
        assert row.max() < pools[stage]
    assert batches(order, np.arange(10, 30)).max() > 20


def test_a_mixture_takes_its_part_of_every_batch_from_anywhere():
    order = orders.mixed(DIFFICULTY, steps=80, anywhere=0.25)
    rows = DIFFICULTY[batches(order, np.arange(40), batch_size=8)]
    assert rows[:20, :6].max() < 8  # the curriculum's part, the easiest fifth
    free = rows[:, 6:].ravel().astype(int)
    np.testing.assert_array_equal(np.bincount(free, minlength=N), 2)  # 80 draws: two passes


def line():
    x, y = fnn.datasets.linear(jax.random.key(0), n=N, noise=0.1)
    return x, y[:, None]


@EVERY
def test_run_and_fit_take_an_order_and_a_fit_taken_up_goes_on_in_it(name):
    x, y = line()
    net, order = fnn.layers.dense(1), ORDERS[name]
    settings = {
        "loss": fnn.losses.squared_error,
        "optimizer": fnn.optim.momentum(0.01),
        "batch_size": BATCH,
        "order": order,
    }
    whole = fnn.fit(net, x, y, key=KEY, steps=30, **settings)
    half = fnn.fit(net, x, y, key=KEY, steps=17, **settings)
    rest = fnn.fit(net, x, y, key=KEY, steps=13, start=half.last, **settings)
    chex.assert_trees_all_equal(rest.last.params, whole.last.params)
    pure, _ = jax.jit(lambda key: run(key, net, x, y, steps=30, **settings))(KEY)
    chex.assert_trees_all_close(pure.params, whole.last.params, rtol=1e-5)


def test_the_default_order_is_the_shuffled_one_and_others_learn_other_weights():
    x, y = line()

    def final(**how):
        settings = {"loss": fnn.losses.squared_error, "optimizer": fnn.optim.sgd(0.01), **how}
        train_state, _ = run(KEY, fnn.layers.dense(1), x, y, steps=7, batch_size=BATCH, **settings)
        return train_state.params["w"]

    np.testing.assert_array_equal(final(), final(order=orders.shuffled))
    assert not np.array_equal(final(), final(order=orders.sequential))


def go(order, batch_size: int | None = BATCH):
    return run(KEY, fnn.layers.dense(1), *line(), steps=2, batch_size=batch_size, order=order,
               loss=fnn.losses.squared_error, optimizer=fnn.optim.sgd(0.01))  # fmt: skip


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: orders.curriculum([[1.0]], steps=5), r"got an array of shape \(1, 1\)"),
        (lambda: orders.curriculum([1.0, np.nan], steps=5), "with NaN or infinity in it"),
        (lambda: orders.curriculum(DIFFICULTY, steps=0), "steps must be at least 1, got 0"),
        (lambda: orders.curriculum(DIFFICULTY, steps=5, shares=(0.5, 0.2, 1)), "must rise"),
        (lambda: orders.curriculum(DIFFICULTY, steps=5, shares=(0.2, 0.5)), "from above 0 to 1"),
        (lambda: orders.mixed(DIFFICULTY, steps=5, anywhere=1.0), r"anywhere must be in \(0, 1\)"),
        (lambda: go(orders.mixed(DIFFICULTY, steps=5), 1), "batch_size must be at least 2, got 1"),
        (lambda: go(orders.curriculum(DIFFICULTY[:9], steps=5)), "of 9 examples, the data has 40"),
        (
            lambda: go(orders.curriculum(DIFFICULTY, steps=5), 16),
            "first stage has 8 of the 40 examples, fewer than batch_size=16; give a larger first",
        ),
        (lambda: go(orders.sequential, None), "an order needs a batch_size, got None"),
    ],
)
def test_orders_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
