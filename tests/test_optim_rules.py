"""Rules of optimizers by NumPy, with terms that optax's defaults leave out, and their limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import optim
from fnn.optim.names import NAMES

GRADS = np.random.default_rng(0).normal(size=(4, 3)) * [1.0, 10.0, 0.1]
W0 = np.array([0.5, -2.0, 1.0])


def walked(optimizer, grads=GRADS, w=W0):
    """The parameters after each of these gradients."""

    def step(carry, g):
        w, state = carry
        updates, state = optimizer.update(g, state, w)
        w = optim.apply_updates(w, updates)
        return (w, state), w

    w = jnp.asarray(w)
    return jax.jit(lambda g: jax.lax.scan(step, (w, optimizer.init(w)), g)[1])(jnp.asarray(grads))


def test_lamb_decays_within_the_step_whose_size_it_sets(x64):
    rate, b1, b2, eps, eps_root, decay = 0.1, 0.8, 0.9, 0.01, 0.2, 0.3
    w, m, v, path = W0, 0.0, 0.0, []
    for t, g in enumerate(GRADS, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        root = np.sqrt(v / (1 - b2**t) + eps_root)
        d = m / (1 - b1**t) / (root + eps) + decay * w
        w = w - rate * np.linalg.norm(w) / np.linalg.norm(d) * d
        path.append(w)
    settings = {"b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root, "weight_decay": decay}
    np.testing.assert_allclose(walked(optim.lamb(rate, **settings)), path, rtol=1e-9)


def test_adafactor_of_a_vector_follows_its_algorithm(x64):
    rate, power, max_rms, eps, least = 0.1, 0.7, 0.5, 1e-3, 1e-2
    w, v, path = W0, 0.0, []
    for t, g in enumerate(GRADS, 1):
        decay = 1 - t**-power
        v = decay * v + (1 - decay) * (g**2 + eps)
        u = g / np.sqrt(v)
        u = u / max(1, np.sqrt(np.mean(u**2)) / max_rms)
        w = w - rate * max(np.sqrt(np.mean(w**2)), least) * u
        path.append(w)
    settings = {"power": power, "max_rms": max_rms, "eps": eps, "min_scale": least}
    np.testing.assert_allclose(walked(optim.adafactor(rate, **settings)), path, rtol=1e-9)


def test_adafactor_factors_each_slice_over_its_two_longest_axes(x64):
    g = np.random.default_rng(1).normal(size=(2, 3, 4)) ** 3
    row, col = (np.mean(g**2, axis, keepdims=True) for axis in (2, 1))
    u = g / np.sqrt(row / row.mean(1, keepdims=True) * col)
    optimizer = optim.adafactor(1.0, eps=0.0, max_rms=1e9, factor_from=2, scaling="absolute")
    updates, _ = optimizer.update(jnp.asarray(g), optimizer.init(g), jnp.asarray(g))
    np.testing.assert_allclose(updates, -u, rtol=1e-9)


def test_a_sign_has_no_opinion_where_the_gradient_is_nothing():
    for optimizer in (optim.signum(0.1), optim.sign_sgd(0.1)):
        found = walked(optimizer, np.zeros((3, 3)))
        np.testing.assert_array_equal(found, [W0.astype(np.float32)] * 3)


@pytest.mark.parametrize("name", ["lamb", "lars", "fromage", "adafactor"])
def test_who_measures_the_parameters_asks_for_them(name):
    optimizer = getattr(optim, name)()
    with pytest.raises(ValueError, match=f"^{name}: .*measures its step by"):
        optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))


@pytest.mark.parametrize("name", NAMES)
def test_an_optimizer_is_found_by_its_own_name(name):
    assert optim.find(name) is getattr(optim, name)


OPEN = {
    "newton": ["beta"],
    "damped_newton": ["beta", "c1", "shrink"],
    "lbfgs": ["c1", "c2"],
    "bfgs": ["c1", "c2"],
    "natural_gradient": ["cg_tol", "c1", "shrink"],
}


@pytest.mark.parametrize("name", OPEN)
def test_shares_of_a_minimizer_lie_strictly_between_0_and_1(name):
    make = getattr(optim, name)
    assert repr(make()).startswith(f"{name}(")
    for knob in OPEN[name]:
        for value in (0.0, 1.0, 1.5):
            with pytest.raises(ValueError, match=rf"^{name}: {knob} must be in \(0, 1\), got"):
                make(**{knob: value})


def test_the_history_behind_the_last_step_is_blank():
    found = optim.minimize(
        lambda x: jnp.sum(x**2), jnp.ones(2), optim.bfgs(), steps=9, history=True
    )
    n = int(found.steps)
    assert found.history is not None
    assert n < 9
    np.testing.assert_array_equal(found.history.evaluations[n + 1 :], [-1] * (9 - n))
    assert np.isnan(found.history.value[n + 1 :]).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: optim.privacy_spent(1.0, rate=0.1, steps=0), "^privacy_spent: steps must be at l"),
        (lambda: optim.ademamix(alpha=-1.0), "^ademamix: alpha must be"),
    ],
)
def test_what_cannot_be_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
