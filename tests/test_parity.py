"""Each optimizer walks the path of optax's counterpart, to 1e-10 in float64, however it is run."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fnn import optim
from fnn.optim import chain, schedules

pytestmark = pytest.mark.usefixtures("x64")
STEPS = 200
HASTE = {"xla_backend_optimization_level": 0}  # compile optax's side faster
CURVATURES = np.logspace(0, 3, 6)


# name: (ours, optax's, a learning rate at which the walk is stable: one that rattles about a bottom
# is chaotic, and doubles the difference of two roundings at each step)
TABLE = {
    "sgd": (optim.sgd, optax.sgd, 5e-4),
    "momentum": (optim.momentum, lambda lr: optax.sgd(lr, momentum=0.9), 1e-4),
    "nesterov": (optim.nesterov, lambda lr: optax.sgd(lr, momentum=0.9, nesterov=True), 1e-4),
    "adagrad": (optim.adagrad, optax.adagrad, 1e-1),
    "adagrad(ruder)": (
        lambda lr: optim.adagrad(lr, initial_accumulator=0.0, eps=1e-8),
        lambda lr: optax.adagrad(lr, initial_accumulator_value=0.0, eps=1e-8),
        1e-1,
    ),
    "adadelta": (optim.adadelta, optax.adadelta, 0.1),
    "adadelta(decay, eps)": (
        lambda lr: optim.adadelta(lr, decay=0.95, eps=1e-4),
        lambda lr: optax.adadelta(lr, rho=0.95, eps=1e-4),
        0.05,
    ),
    "rmsprop": (optim.rmsprop, optax.rmsprop, 3e-4),
    "rmsprop(eps outside)": (
        lambda lr: optim.rmsprop(lr, decay=0.99, eps_place="outside", initial_scale=0.5),
        lambda lr: optax.rmsprop(lr, decay=0.99, eps_in_sqrt=False, initial_scale=0.5),
        1e-2,
    ),
    "rmsprop(momentum)": (
        lambda lr: optim.rmsprop(lr, momentum=0.7),
        lambda lr: optax.rmsprop(lr, momentum=0.7),
        1e-4,
    ),
    "rmsprop(nesterov)": (
        lambda lr: chain(optim.rmsprop(lr), optim.nesterov_trace(0.7)),
        lambda lr: optax.rmsprop(lr, momentum=0.7, nesterov=True),
        1e-4,
    ),
    "centered_rmsprop": (
        lambda lr: optim.centered_rmsprop(lr, eps=1e-4),
        lambda lr: optax.rmsprop(lr, eps=1e-4, centered=True),
        1e-4,
    ),
    "centered_rmsprop(eps outside, momentum)": (
        lambda lr: optim.centered_rmsprop(
            lr, eps=1e-2, eps_place="outside", initial_scale=1.0, momentum=0.5
        ),
        lambda lr: optax.rmsprop(
            lr, eps=1e-2, eps_in_sqrt=False, initial_scale=1.0, centered=True, momentum=0.5
        ),
        1e-4,
    ),
    "adam": (optim.adam, optax.adam, 1e-2),
    "adam(b1, b2, eps, eps_root)": (
        lambda lr: optim.adam(lr, b1=0.8, b2=0.95, eps=1e-3, eps_root=1e-4),
        lambda lr: optax.adam(lr, b1=0.8, b2=0.95, eps=1e-3, eps_root=1e-4),
        1e-2,
    ),
    "adamw": (optim.adamw, optax.adamw, 1e-2),
    "adamw(mask)": (
        lambda lr: optim.adamw(lr, weight_decay=0.1, mask=lambda p: jax.tree.map(_matrix, p)),
        lambda lr: optax.adamw(lr, weight_decay=0.1, mask=lambda p: jax.tree.map(_matrix, p)),
        1e-2,
    ),
    "nadam": (optim.nadam, optax.nadam, 1e-2),
    "amsgrad": (optim.amsgrad, optax.amsgrad, 1e-2),
    "amsgrad(paper)": (
        lambda lr: optim.amsgrad(lr, debias="never"),
        lambda lr: optax.amsgrad(lr, bias_correction_mu=False, bias_correction_nu=False),
        1e-2,
    ),
    "adamax": (optim.adamax, optax.adamax, 1e-2),
    "lion": (optim.lion, optax.lion, 1e-3),
    "lion(mask)": (
        lambda lr: optim.lion(lr, weight_decay=0.5, mask=lambda p: jax.tree.map(_matrix, p)),
        lambda lr: optax.lion(lr, weight_decay=0.5, mask=lambda p: jax.tree.map(_matrix, p)),
        1e-3,
    ),
    "sign_sgd": (optim.sign_sgd, optax.sign_sgd, 1e-4),
    "signum": (optim.signum, optax.signum, 1e-4),
    "fromage": (optim.fromage, optax.fromage, 1e-3),
    "sm3": (optim.sm3, optax.sm3, 1e-2),
    "sm3(b1, eps)": (
        lambda lr: optim.sm3(lr, b1=0.5, eps=1e-3),
        lambda lr: optax.chain(optax.scale_by_sm3(0.5, eps=1e-3), optax.scale(-lr)),
        1e-2,
    ),
    "adafactor": (optim.adafactor, lambda lr: _adafactor(lr, 128), 1e-3),
    "adafactor(factored, its knobs)": (
        lambda lr: optim.adafactor(
            lr, power=0.6, max_rms=0.5, eps=1e-4, scaling="absolute", factor_from=1
        ),
        lambda lr: _adafactor(lr, 1, power=0.6, max_rms=0.5, eps=1e-4, relative=False),
        1e-3,
    ),
    "adabelief": (optim.adabelief, optax.adabelief, 1e-2),
    "radam": (optim.radam, optax.radam, 1e-3),
    "radam(b2=0.9)": (
        lambda lr: optim.radam(lr, b2=0.9, eps_root=1e-6),
        lambda lr: optax.radam(lr, b2=0.9, eps_root=1e-6),
        1e-4,
    ),
    "yogi": (optim.yogi, optax.yogi, 1e-2),
    "nadamw": (optim.nadamw, optax.nadamw, 1e-2),
    "nadamw(mask)": (
        lambda lr: optim.nadamw(lr, weight_decay=0.1, mask=lambda p: jax.tree.map(_matrix, p)),
        lambda lr: optax.nadamw(lr, weight_decay=0.1, mask=lambda p: jax.tree.map(_matrix, p)),
        1e-2,
    ),
    "adamaxw": (optim.adamaxw, optax.adamaxw, 1e-2),
    "adamaxw(mask)": (
        lambda lr: optim.adamaxw(lr, weight_decay=0.1, mask=lambda p: jax.tree.map(_matrix, p)),
        lambda lr: optax.adamaxw(lr, weight_decay=0.1, mask=lambda p: jax.tree.map(_matrix, p)),
        1e-2,
    ),
    "adopt": (optim.adopt, optax.contrib.adopt, 1e-2),
    "adan(optax's form)": (
        lambda lr: optim.adan(lr, form="optax", eps_root=1e-8),
        optax.adan,
        1e-3,
    ),
    "adan(optax's form, decay)": (
        lambda lr: optim.adan(lr, form="optax", eps_root=1e-8, weight_decay=0.1),
        lambda lr: optax.adan(lr, weight_decay=0.1),
        1e-3,
    ),
    "ademamix": (optim.ademamix, optax.contrib.ademamix, 1e-3),
    "ademamix(schedules, decay)": (
        lambda lr: optim.ademamix(lr, b3=0.99, alpha=lambda t: t / 100.0, weight_decay=0.1),
        lambda lr: optax.contrib.ademamix(lr, b3=0.99, alpha=lambda t: t / 100.0, weight_decay=0.1),
        1e-3,
    ),
    "novograd": (optim.novograd, optax.novograd, 1e-3),
    "novograd(decay)": (
        lambda lr: optim.novograd(lr, b2=0.9, weight_decay=0.1),
        lambda lr: optax.novograd(lr, b2=0.9, weight_decay=0.1),
        1e-3,
    ),
    "lamb": (optim.lamb, optax.lamb, 3e-3),
    "lamb(mask)": (
        lambda lr: optim.lamb(lr, weight_decay=0.1, mask=lambda p: jax.tree.map(_matrix, p)),
        lambda lr: optax.lamb(lr, weight_decay=0.1, mask=lambda p: jax.tree.map(_matrix, p)),
        3e-3,
    ),
    "lars": (optim.lars, optax.lars, 1e-1),
    "lars(optax's form, mask)": (
        lambda lr: optim.lars(
            lr, form="optax", weight_decay=0.1, mask=lambda p: jax.tree.map(_matrix, p)
        ),
        lambda lr: optax.lars(
            lr, weight_decay=0.1, weight_decay_mask=lambda p: jax.tree.map(_matrix, p)
        ),
        1e-1,
    ),
    "lars(optax's form, decay)": (
        lambda lr: optim.lars(lr, trust=0.01, weight_decay=0.1, form="optax"),
        lambda lr: optax.lars(lr, trust_coefficient=0.01, weight_decay=0.1),
        1e-1,
    ),
    "clip": (
        lambda lr: chain(optim.clip(0.1), optim.momentum(lr)),
        lambda lr: optax.chain(optax.clip(0.1), optax.sgd(lr, momentum=0.9)),
        1e-3,
    ),
    "clip_by_global_norm": (
        lambda lr: chain(optim.clip_by_global_norm(1.0), optim.adam(lr)),
        lambda lr: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(lr)),
        1e-2,
    ),
    "add_decayed_weights": (
        lambda lr: chain(optim.add_decayed_weights(0.1), optim.sgd(lr)),
        lambda lr: optax.chain(optax.add_decayed_weights(0.1), optax.sgd(lr)),
        5e-4,
    ),
    "scale, trace, identity": (
        lambda lr: chain(optim.identity(), optim.scale(-lr), optim.trace(0.9)),
        lambda lr: optax.chain(optax.identity(), optax.scale(-lr), optax.trace(0.9)),
        1e-4,
    ),
}


def _matrix(leaf):
    return leaf.ndim > 1


def _adafactor(lr, factor_from, *, power=0.8, max_rms=1.0, eps=1e-30, relative=True):
    """optax.adafactor link by link, but for its decay, which optax rounds to float32."""
    return optax.chain(
        optax.scale_by_factored_rms(
            decay_rate=power,
            min_dim_size_to_factor=factor_from,
            epsilon=eps,
            decay_rate_fn=lambda i, power: 1.0 - (i + 1.0) ** (-power),
        ),
        optax.clip_by_block_rms(max_rms),
        optax.scale_by_learning_rate(lr, flip_sign=False),
        optax.scale_by_param_block_rms() if relative else optax.identity(),
        optax.scale(-1),
    )


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def quadratic(z):
    return 0.5 * jnp.sum(CURVATURES * z**2)


def small_net(p):
    x = np.linspace(-1, 1, 10)[:, None]
    hidden = jnp.tanh(x @ p["w1"] + p["b1"])
    return jnp.mean((hidden @ p["w2"] - np.sin(3 * x)) ** 2)


def loss(params):
    """Three problems side by side; each has its own parameters, so none disturbs another."""
    return rosenbrock(params["valley"]) + quadratic(params["bowl"]) + small_net(params["net"])


def start():
    draw = np.random.default_rng(0).normal
    net = {
        "w1": draw(size=(1, 5)),
        "b1": np.full(5, 0.5),  # not 0: there its gradient is 0, and Adam would follow the rounding
        "w2": draw(size=(5, 1)),
    }
    return jax.tree.map(
        jnp.asarray, {"valley": np.array([-1.2, 1]), "bowl": np.ones(6), "net": net}
    )


def walk(optimizer, steps=STEPS):
    """The parameters after each step, from one `scan`, which also holds the state to its shape."""

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    params = start()
    return jax.lax.scan(step, (params, optimizer.init(params)), None, length=steps)[1]


def alike(ours, theirs):
    chex.assert_tree_all_finite(theirs)
    chex.assert_trees_all_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", TABLE)
def test_ours_walks_the_path_of_optax_under_jit_scan_and_vmap(name):
    ours, theirs, lr = TABLE[name]
    rates = jnp.array([lr, lr / 3])
    together = jax.jit(jax.vmap(lambda rate: walk(ours(rate))))(rates)
    one = jax.jit(lambda rate: walk(theirs(rate)), compiler_options=HASTE)
    for i, rate in enumerate(rates):
        alike(jax.tree.map(lambda a, i=i: a[i], together), one(rate))


@pytest.mark.parametrize("name", ["sgd", "momentum", "adagrad", "adadelta", "rmsprop", "adamw"])
def test_the_walk_step_by_step_without_jit_is_the_same(name):
    ours, theirs, lr = TABLE[name]
    gradient = jax.jit(jax.grad(loss))
    ends = []
    for optimizer in (ours(lr), theirs(lr)):
        params = start()
        state = optimizer.init(params)
        for _ in range(3):
            updates, state = optimizer.update(gradient(params), state, params)
            params = optim.apply_updates(params, updates)
        ends.append(params)
    alike(*ends)


WRAPS = {
    "in optax.chain": lambda o: optax.chain(optax.clip(10.0), o),
    "in our chain, behind optax's link": lambda o: chain(optax.clip(10.0), o),
    "in our chain, behind our link": lambda o: chain(optim.clip(10.0), o),
    "in optax.MultiSteps": lambda o: optax.MultiSteps(o, every_k_schedule=2),
    "in optax.masked": lambda o: optax.masked(
        o, {"valley": True, "bowl": False, "net": {"w1": True, "b1": False, "w2": True}}
    ),
    "in optax.partition": lambda o: optax.partition(
        {"a": o, "b": optax.set_to_zero()}, {"valley": "a", "bowl": "b", "net": "a"}
    ),
    "in optax.apply_if_finite": lambda o: optax.apply_if_finite(o, 3),
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS.keys())
def test_ours_serves_wherever_optax_does(wrap):
    ours, theirs, lr = TABLE["adamw"]
    # what optax.masked leaves out has its raw gradient for an update, and runs away
    steps = 3 if wrap is WRAPS["in optax.masked"] else 40
    if wrap is WRAPS["in our chain, behind our link"]:
        other = optax.chain(optax.clip(10.0), theirs(lr))
    else:
        other = wrap(theirs(lr))
    alike(jax.jit(lambda: walk(wrap(ours(lr)), steps))(), jax.jit(lambda: walk(other, steps))())


@pytest.mark.parametrize("name", ["sgd", "momentum", "adamw"])
def test_a_schedule_steers_ours_as_it_steers_optax(name):
    ours, theirs, lr = TABLE[name]
    for schedule in (
        schedules.warmup_cosine(lr, steps=STEPS, warmup_steps=20),
        optax.warmup_cosine_decay_schedule(0.0, lr, 20, STEPS),
    ):
        ours_walk = jax.jit(lambda schedule=schedule: walk(ours(schedule)))()
        alike(ours_walk, jax.jit(lambda schedule=schedule: walk(theirs(schedule)))())


def test_decay_and_learning_rate_may_both_follow_schedules():
    rate, decay = schedules.linear(1e-2, 0.0, steps=50), schedules.linear(0.0, 0.1, steps=50)
    ours = optim.adamw(rate, weight_decay=decay)
    theirs = optax.adamw(rate, weight_decay=decay)
    alike(jax.jit(lambda: walk(ours, 60))(), jax.jit(lambda: walk(theirs, 60))())


def test_ruders_momentum_is_sgd_and_then_a_trace():
    schedule = schedules.linear(1e-4, 1e-5, steps=50)

    def ruder(steps):
        def step(carry, t):
            params, v = carry
            grads = jax.grad(loss)(params)
            v = jax.tree.map(lambda v, g: 0.9 * v + schedule(t) * g, v, grads)
            params = jax.tree.map(lambda p, v: p - v, params, v)
            return (params, v), params

        zeros = jax.tree.map(jnp.zeros_like, start())
        return jax.lax.scan(step, (start(), zeros), jnp.arange(steps))[1]

    ours = chain(optim.sgd(schedule), optim.trace(0.9))
    alike(jax.jit(lambda: walk(ours, 60))(), jax.jit(lambda: ruder(60))())


def test_nesterovs_own_form_passes_through_the_points_behind_ours():
    eta, gamma = 1e-4, 0.9

    def own_form():
        """v <- gamma v + eta grad(theta - gamma v); theta <- theta - v."""

        def step(carry, _):
            theta, v = carry
            ahead = jax.tree.map(lambda t, v: t - gamma * v, theta, v)
            v = jax.tree.map(lambda v, g: gamma * v + eta * g, v, jax.grad(loss)(ahead))
            theta = jax.tree.map(lambda t, v: t - v, theta, v)
            return (theta, v), jax.tree.map(lambda t, v: t - gamma * v, theta, v)

        zeros = jax.tree.map(jnp.zeros_like, start())
        return jax.lax.scan(step, (start(), zeros), None, length=60)[1]

    ours = optim.nesterov(eta, decay=gamma)
    alike(jax.jit(lambda: walk(ours, 60))(), jax.jit(own_form)())


# name: (ours with PyTorch's conventions, where its optimizer takes theta = 1 by these gradients);
# printed by tests/data/torch_optimizers.py
GRADIENTS = [1.0, -2.0, 0.5, 3.0, 0.1]
TORCH = {
    "sgd": (optim.sgd(0.1), 0.74),
    "momentum": (optim.momentum(0.1), 0.5627899999999999),
    "nesterov": (optim.nesterov(0.1), 0.346511),
    "adagrad": (
        optim.adagrad(0.1, initial_accumulator=0.0, eps=1e-10, eps_place="outside"),
        0.8855008529549556,
    ),
    "adadelta": (optim.adadelta(), 0.9944204489692458),
    "rmsprop": (optim.rmsprop(0.1, decay=0.99, eps_place="outside"), -0.14872553073918565),
    "rmsprop(momentum)": (
        optim.rmsprop(0.1, decay=0.99, eps_place="outside", momentum=0.9),
        -2.1535022033410316,
    ),
    "centered_rmsprop": (
        optim.centered_rmsprop(0.1, decay=0.99, eps_place="outside"),
        -0.15474000239742808,
    ),
    "adam": (optim.adam(0.1), 0.8761248836904045),
    "adamw": (optim.adamw(0.1, weight_decay=0.01), 0.871436638354242),
    "adamax": (optim.adamax(0.1), 0.8936129311698802),
    "amsgrad": (optim.amsgrad(0.1, debias="after"), 0.8761300556535186),
    "rprop": (optim.rprop(0.1), 0.7180000000000001),
}


@pytest.mark.parametrize("name", TORCH)
def test_pytorchs_conventions_are_there_by_arguments(name):
    optimizer, expected = TORCH[name]
    theta = jnp.array(1.0)
    state = optimizer.init(theta)
    for g in GRADIENTS:
        updates, state = optimizer.update(jnp.array(g), state, theta)
        theta = theta + updates
    np.testing.assert_allclose(theta, expected, rtol=1e-10)
