"""Optimizers that need no tuned rate or no schedule: their peers, their papers, their claims."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

from fnn import optim
from fnn.optim.base import accepted

pytestmark = pytest.mark.usefixtures("x64")
STEPS = 200
CURVATURES = np.logspace(0, 3, 6)
HASTE = {"xla_backend_optimization_level": 0}

# name: (ours, optax's, a learning rate at which the walk is stable)
TABLE = {
    "schedule_free_sgd": (optim.schedule_free_sgd, contrib.schedule_free_sgd, 5e-4),
    "schedule_free_sgd(b1, power)": (
        lambda lr: optim.schedule_free_sgd(lr, b1=0.5, weight_power=0.0),
        lambda lr: contrib.schedule_free_sgd(lr, b1=0.5, weight_lr_power=0.0),
        5e-4,
    ),
    "schedule_free_adamw": (optim.schedule_free_adamw, contrib.schedule_free_adamw, 1e-2),
    "schedule_free_adamw(decay)": (
        lambda lr: optim.schedule_free_adamw(lr, b1=0.95, b2=0.99, weight_decay=0.1),
        lambda lr: contrib.schedule_free_adamw(lr, b1=0.95, b2=0.99, weight_decay=0.1),
        1e-2,
    ),
    # optax has the new d beside eps, the paper and ours the old one
    "prodigy": (
        lambda lr: optim.prodigy(lr, eps=0.0),
        lambda lr: contrib.prodigy(lr, eps=0.0),
        1.0,
    ),
    "prodigy(decay)": (
        lambda lr: optim.prodigy(lr, b2=0.99, b3=0.9, d0=1e-4, eps=0.0, weight_decay=0.1),
        lambda lr: contrib.prodigy(
            lr, betas=(0.9, 0.99), beta3=0.9, estim_lr0=1e-4, eps=0.0, weight_decay=0.1
        ),
        1.0,
    ),
    "dadapt_adam": (optim.dadapt_adam, contrib.dadapt_adamw, 1.0),
    "dog": (optim.dog, contrib.dog, 1.0),
    "dog(initial distance)": (
        lambda lr: optim.dog(lr, initial_distance=1e-3, eps=1e-4),
        lambda lr: contrib.dog(lr, init_step=("heuristic", 1e-3), eps=1e-4),
        0.5,
    ),
    "polyak_step": (
        optim.polyak_step,
        lambda lr: optax.polyak_sgd(lr, variant="sps+"),
        6e-4,
    ),
    "polyak_step(f_min, eps)": (
        lambda lr: optim.polyak_step(lr, f_min=-1.0, eps=0.1),
        lambda lr: optax.polyak_sgd(lr, f_min=-1.0, eps=0.1),
        1e-3,
    ),
}


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def small_net(p):
    x = np.linspace(-1, 1, 10)[:, None]
    hidden = jnp.tanh(x @ p["w1"] + p["b1"])
    return jnp.mean((hidden @ p["w2"] - np.sin(3 * x)) ** 2)


def loss(params):
    bowl = 0.5 * jnp.sum(CURVATURES * params["bowl"] ** 2)
    return rosenbrock(params["valley"]) + bowl + small_net(params["net"])


def start():
    draw = np.random.default_rng(0).normal
    net = {"w1": draw(size=(1, 5)), "b1": np.full(5, 0.5), "w2": draw(size=(5, 1))}
    trees = {"valley": np.array([-1.2, 1]), "bowl": np.ones(6), "net": net}
    return jax.tree.map(jnp.asarray, trees)


def walk(optimizer, loss=loss, params=None, steps=STEPS, gradient=None):
    """The parameters after each step, those to evaluate with, and the last state."""
    gradient = gradient or jax.grad(loss)
    params = start() if params is None else params
    pick = functools.partial(accepted, optimizer.update)

    def step(carry, _):
        params, state = carry
        extra = pick({"value": loss(params), "value_fn": loss})
        updates, state = optimizer.update(gradient(params), state, params, **extra)
        params = optim.apply_updates(params, updates)
        return (params, state), (params, optim.eval_params(state, params))

    carry = params, optimizer.init(params)
    (_, state), (path, averages) = jax.lax.scan(step, carry, None, length=steps)
    return path, averages, state


def alike(ours, theirs):
    chex.assert_tree_all_finite(theirs)
    chex.assert_trees_all_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", TABLE)
def test_ours_walks_the_path_of_optax_under_jit_scan_and_vmap(name):
    ours, theirs, lr = TABLE[name]
    rates = jnp.array([lr, lr / 3])
    together = jax.jit(jax.vmap(lambda rate: walk(ours(rate))[0]))(rates)
    one = jax.jit(lambda rate: walk(theirs(rate))[0], compiler_options=HASTE)
    for i, rate in enumerate(rates):
        alike(jax.tree.map(lambda a, i=i: a[i], together), one(rate))


@pytest.mark.parametrize("name", ["schedule_free_sgd", "prodigy", "dog"])
def test_the_path_is_the_same_inside_chains_ours_and_optaxs(name):
    ours, theirs, lr = TABLE[name]
    ends = [
        jax.jit(lambda o=o: walk(o, steps=40)[0])()
        for o in (
            optim.chain(optim.clip(10.0), ours(lr)),
            optax.chain(optax.clip(10.0), ours(lr)),
            optax.chain(optax.clip(10.0), theirs(lr)),
        )
    ]
    alike(ends[0], ends[2])
    alike(ends[1], ends[2])


def test_the_average_of_schedule_free_is_optaxs():
    y, gradient = start(), jax.jit(jax.grad(loss))
    ours, theirs = optim.schedule_free_adamw(1e-2), contrib.schedule_free_adamw(1e-2)
    mine, its = ours.init(y), theirs.init(y)
    for _ in range(3):
        g = gradient(y)
        updates, mine = ours.update(g, mine, y)
        _, its = theirs.update(g, its, y)
        y = optim.apply_updates(y, updates)
    alike(optim.eval_params(mine, y), contrib.schedule_free_eval_params(its, y))


# those without a peer, against the paper's own lines in NumPy


def bowl(x):
    return 0.5 * jnp.sum(CURVATURES[:4] * (x - 1) ** 2)


def slope(x):
    return CURVATURES[:4] * (x - 1)


def test_schedule_free_with_a_warm_up_is_the_papers_three_sequences():
    b1, rates = 0.8, [5e-3 * min(1, (t + 1) / 10) for t in range(50)]
    x = z = np.array([3.0, -2.0, 0.5, 1.5])
    total, xs, ys = 0.0, [], []
    for rate in rates:
        y = (1 - b1) * z + b1 * x
        z = z - rate * slope(y)
        total += rate**2
        c = rate**2 / total
        x = (1 - c) * x + c * z
        xs.append(x)
        ys.append((1 - b1) * z + b1 * x)
    optimizer = optim.schedule_free_sgd(
        lambda t: 5e-3 * jnp.minimum(1.0, (t.astype(float) + 1) / 10), b1=b1
    )
    path, averages, _ = walk(optimizer, bowl, jnp.array([3.0, -2.0, 0.5, 1.5]), 50)
    np.testing.assert_allclose(path, ys, rtol=1e-10)
    np.testing.assert_allclose(averages, xs, rtol=1e-10)


@pytest.mark.parametrize("beta", [0.0, 0.9])
def test_dadapt_sgd_is_the_papers_algorithm_4(beta):
    x = z = np.array([3.0, -2.0, 0.5, 1.5])
    s, d, total, g0 = np.zeros(4), 1e-3, 0.0, np.linalg.norm(slope(x))
    expected, ds = [], []
    for _ in range(100):
        g = slope(x)
        step = d / g0
        total += step * g @ s
        s, z = s + step * g, z - step * g
        x = beta * x + (1 - beta) * z
        d = max(d, 2 * total / np.linalg.norm(s))
        expected.append(x)
        ds.append(d)
    optimizer = optim.dadapt_sgd(decay=beta, d0=1e-3)
    path, _, state = walk(optimizer, bowl, jnp.array([3.0, -2.0, 0.5, 1.5]), 100)
    np.testing.assert_allclose(path, expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(state.d, ds[-1], rtol=1e-10)


def test_l_dog_is_dog_for_each_leaf_alone():
    params = {"a": jnp.array([3.0, -2.0]), "b": jnp.array([0.5])}

    def apart(p):
        return jnp.sum(jnp.square(p["a"])) + 50 * jnp.sum(jnp.square(p["b"] - 1))

    together = walk(optim.l_dog(initial_distance=1e-2), apart, params, 60)[0]
    for leaf in params:
        other = {name: p for name, p in params.items() if name != leaf}

        def alone(p, other=other, leaf=leaf):
            return apart({**other, leaf: p})

        one = walk(optim.dog(initial_distance=1e-2), alone, params[leaf], 60)[0]
        alike(together[leaf], one)


@pytest.mark.parametrize("start_at", [0, 5])
def test_asgd_is_pytorchs_recipe_line_by_line(start_at):
    eta0, decay, alpha = 5e-3, 0.1, 0.75
    x, mean, eta, mu = np.array([3.0, -2.0, 0.5, 1.5]), np.zeros(4), eta0, 1.0
    expected = []
    for t in range(1, 31):
        x = x * (1 - decay * eta) - eta * slope(x)
        mean = mean + (x - mean) * mu
        eta = eta0 / (1 + decay * eta0 * t) ** alpha
        mu = 1 / max(1, t - start_at)
        expected.append(mean)
    optimizer = optim.asgd(eta0, weight_decay=decay, power=alpha, start=start_at)
    path, averages, _ = walk(optimizer, bowl, jnp.array([3.0, -2.0, 0.5, 1.5]), 30)
    np.testing.assert_allclose(averages, expected, rtol=1e-10)
    np.testing.assert_allclose(path[-1], x, rtol=1e-10)


# PyTorch's ASGD(lr=0.1, lambd=0.01, alpha=0.75, t0=2) on theta = 1; printed by
# tests/data/torch_asgd.py
TORCH_ASGD = (0.7358445863037356, 0.7412018021875806)


def test_asgd_takes_pytorchs_steps_and_keeps_its_average():
    theta = jnp.array(1.0)
    optimizer = optim.asgd(0.1, weight_decay=0.01, start=2)
    state = optimizer.init(theta)
    for g in (1.0, -2.0, 0.5, 3.0, 0.1):
        updates, state = optimizer.update(jnp.array(g), state, theta)
        theta = theta + updates
    np.testing.assert_allclose((theta, optim.eval_params(state, theta)), TORCH_ASGD, rtol=1e-12)


# what the papers claim


def test_schedule_free_reaches_a_kink_at_the_averaged_rate_without_a_schedule():
    """On G-Lipschitz f with gamma = D / (G sqrt T), theorem 1: f(x_T) - f* <= D G / sqrt T."""
    centre, steps = np.array([1.0, -np.pi, np.sqrt(0.5)]), 400

    def kink(x):
        return jnp.sum(jnp.abs(x - centre))

    far, steepest = np.linalg.norm(centre), np.sqrt(3)
    rate = far / (steepest * np.sqrt(steps))
    _, averages, state = walk(optim.schedule_free_sgd(rate), kink, jnp.zeros(3), steps)
    assert kink(averages[-1]) < far * steepest / np.sqrt(steps)
    # the point that takes the steps stays a step away from the kink: only its average arrives
    assert kink(averages[-1]) < 0.5 * kink(state.z)


def test_schedule_frees_average_is_quieter_than_what_is_averaged():
    noise = jax.random.normal(jax.random.key(1), (1000,))

    def step(carry, n):
        y, state = carry
        updates, state = optimizer.update(y + n, state, y)
        return (y + updates, state), (state.z, optim.eval_params(state, y + updates))

    optimizer, y = optim.schedule_free_sgd(0.5), jnp.array(0.0)
    z, x = jax.lax.scan(step, (y, optimizer.init(y)), noise)[1]
    assert jnp.std(x[200:]) < 0.2 * jnp.std(z[200:])


def distance_estimates(optimizer, x, steps=300):
    def step(carry, _):
        x, state = carry
        updates, state = optimizer.update(jnp.sign(x) * jnp.arange(1.0, 4.0), state, x)
        return (x + updates, state), state.d

    return jax.lax.scan(step, (x, optimizer.init(x)), None, length=steps)[1]


@pytest.mark.parametrize("distance", [0.1, 10.0, 1000.0])
def test_d_only_grows_and_ends_within_a_constant_of_the_distance(distance):
    """Twice a lower bound of the distance, so at most twice that; and not far below it."""
    x = distance * jnp.array([1.0, 2.0, 2.0]) / 3
    d = distance_estimates(optim.dadapt_sgd(decay=0.0), x)
    assert jnp.all(jnp.diff(d) >= 0)
    assert distance / 4 < d[-1] <= 2 * distance


@pytest.mark.parametrize("make", [optim.dadapt_adam, optim.prodigy])
def test_the_estimates_of_the_adam_forms_only_grow_towards_the_largest_coordinate(make):
    """In the norm that Adam sees, the distance is that of the farthest coordinate."""
    ds = [distance_estimates(make(), r * jnp.ones(3), 400) for r in (0.1, 10.0)]
    for d, r in zip(ds, (0.1, 10.0), strict=True):
        assert jnp.all(jnp.diff(d) >= 0)
        assert r / 10 < d[-1] < 3 * r


def test_dogs_steps_do_not_see_the_units_of_the_loss():
    x = jnp.array([3.0, -2.0, 0.5, 1.5])
    small = walk(optim.dog(eps=0.0), bowl, x, 100)[0]
    large = walk(optim.dog(eps=0.0), lambda x: 1e6 * bowl(x), x, 100)[0]
    np.testing.assert_allclose(small, large, rtol=1e-9)


def test_polyaks_step_with_half_the_slope_reaches_the_bottom_of_a_round_bowl_in_one_step():
    centre = jnp.array([1.0, -2.0])
    path = walk(
        optim.polyak_step(1e9, c=0.5, f_min=7.0),
        lambda x: 7 + 3 * jnp.sum((x - centre) ** 2),
        jnp.zeros(2),
        1,
    )[0]
    np.testing.assert_allclose(path[0], centre, rtol=1e-12)


def test_polyaks_own_step_halves_the_distance_on_a_round_bowl_whatever_the_curvature():
    for curvature in (1e-3, 1.0, 1e4):
        square = functools.partial(lambda a, x: 0.5 * a * jnp.sum(x**2), curvature)
        path = walk(optim.polyak_step(1e9), square, jnp.array([4.0, -8.0]), 5)[0]
        np.testing.assert_allclose(path[-1], jnp.array([4.0, -8.0]) / 2**5, rtol=1e-12)


def test_polyaks_step_never_leaves_the_solution_farther_on_a_convex_loss():
    path = walk(optim.polyak_step(1e9), bowl, jnp.array([3.0, -2.0, 0.5, 1.5]), 100)[0]
    distances = jnp.linalg.norm(path - 1, axis=1)
    assert jnp.all(jnp.diff(distances) <= 0)
    assert distances[-1] < 0.5 * distances[0]


def test_polyaks_step_is_zero_where_the_gradient_or_the_gap_is():
    x, optimizer = jnp.array([1.0]), optim.polyak_step(f_min=2.0)
    for g, value in ((0.0, 5.0), (3.0, 2.0), (3.0, 1.0)):
        assert optimizer.update(jnp.array([g]), optimizer.init(x), x, value=value)[0] == 0


def test_the_mean_of_asgd_is_nearer_than_its_points_under_noise():
    noise = jax.random.normal(jax.random.key(0), (3000,))

    def step(carry, n):
        x, state = carry
        updates, state = optimizer.update(x + n, state, x)
        return (x + updates, state), (x + updates, optim.eval_params(state, x + updates))

    optimizer, x = optim.asgd(0.5, start=100), jnp.array(5.0)
    points, means = jax.lax.scan(step, (x, optimizer.init(x)), noise)[1]
    assert jnp.abs(means[-1]) < 4 / np.sqrt(3000)  # four standard errors of the best estimate
    assert jnp.std(points[100:]) > 0.3


# errors


@pytest.mark.parametrize(
    "make",
    [
        optim.schedule_free_sgd,
        optim.schedule_free_adamw,
        optim.prodigy,
        optim.dadapt_sgd,
        optim.dog,
        optim.l_dog,
        optim.asgd,
    ],
)
def test_update_without_params_says_how_to_call_it(make):
    optimizer, x = make(), jnp.ones(2)
    with pytest.raises(ValueError, match=r"without params.*call update\(grads, state, params\)"):
        optimizer.update(x, optimizer.init(x))


def test_polyaks_step_asks_for_the_loss():
    optimizer, x = optim.polyak_step(), jnp.ones(2)
    with pytest.raises(ValueError, match=r"update\(grads, state, params, value=loss\)"):
        optimizer.update(x, optimizer.init(x), x)


def test_schedule_free_without_interpolation_is_refused():
    with pytest.raises(ValueError, match=r"b1 must be in \(0, 1\), got 0"):
        optim.schedule_free_sgd(b1=0.0)
