"""Optimizers of moments and of layers: what their papers claim, and the two without a peer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import optim
from fnn.optim import schedules

pytestmark = pytest.mark.usefixtures("x64")
GRADIENTS = np.random.default_rng(0).normal(size=(12, 3)) * np.array([1.0, 10.0, 0.1])


def walk(optimizer, gradients, start=None):
    """The updates that these gradients bring, and the last state."""
    params = jnp.ones(np.shape(gradients)[1:]) if start is None else start
    update = jax.jit(optimizer.update)
    state, updates = optimizer.init(params), []
    for g in gradients:
        step, state = update(jnp.asarray(g), state, params)
        params = params + step
        updates.append(step)
    return np.array(updates), state


# without a counterpart in optax: the papers' algorithms in NumPy


def test_qhm_follows_its_equations():
    m, expected = np.zeros(3), []
    for g in GRADIENTS:
        m = 0.9 * m + 0.1 * g
        expected.append(-0.3 * (0.4 * g + 0.6 * m))
    found, _ = walk(optim.qhm(0.3, decay=0.9, weight=0.6), GRADIENTS)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_qhadam_follows_its_equations():
    m, v, expected = np.zeros(3), np.zeros(3), []
    for t, g in enumerate(GRADIENTS, 1):
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        above = 0.3 * g + 0.7 * m / (1 - 0.9**t)
        below = 0.2 * g**2 + 0.8 * v / (1 - 0.99**t)
        expected.append(-0.05 * above / (np.sqrt(below) + 1e-6))
    qhadam = optim.qhadam(0.05, b1=0.9, b2=0.99, weight=0.7, weight2=0.8, eps=1e-6)
    np.testing.assert_allclose(walk(qhadam, GRADIENTS)[0], expected, rtol=1e-12)


def test_aggmo_follows_its_equations():
    velocities, expected = [np.zeros(3) for _ in range(3)], []
    for g in GRADIENTS:
        pairs = zip((0.0, 0.9, 0.99), velocities, strict=True)
        velocities = [beta * v - g for beta, v in pairs]
        expected.append(0.1 / 3 * sum(velocities))
    np.testing.assert_allclose(walk(optim.aggmo(0.1), GRADIENTS)[0], expected, rtol=1e-12)


def test_adan_follows_the_papers_algorithm_in_the_papers_own_betas():
    """There the betas weigh what is new, theta is divided, and bias is corrected in its code."""
    b1, b2, b3, eta, decay = 0.02, 0.08, 0.01, 0.05, 0.3
    theta, path = np.ones(3), []
    m, v, n, before = np.zeros(3), np.zeros(3), np.zeros(3), GRADIENTS[0]
    for t, g in enumerate(GRADIENTS, 1):
        m = (1 - b1) * m + b1 * g
        v = (1 - b2) * v + b2 * (g - before)
        n = (1 - b3) * n + b3 * (g + (1 - b2) * (g - before)) ** 2
        mean, change, square = (
            a / (1 - (1 - b) ** t) for a, b in ((m, b1), (v, b2), (n, b3))
        )  # fmt: skip
        step = eta / (np.sqrt(square) + 1e-8) * (mean + (1 - b2) * change)
        theta = (theta - step) / (1 + decay * eta)
        before = g
        path.append(theta)
    found, _ = walk(optim.adan(0.05, weight_decay=0.3), GRADIENTS)
    np.testing.assert_allclose(1 + np.cumsum(found, 0), path, rtol=1e-12)


def test_lars_follows_the_papers_algorithm_with_its_sum_of_norms():
    w, v, path = np.ones(3), np.zeros(3), []
    for g in GRADIENTS:
        local = 0.02 * np.linalg.norm(w) / (np.linalg.norm(g) + 0.3 * np.linalg.norm(w))
        v = 0.9 * v + 0.5 * local * (g + 0.3 * w)
        w = w - v
        path.append(w)
    found, _ = walk(optim.lars(0.5, trust=0.02, weight_decay=0.3), GRADIENTS)
    np.testing.assert_allclose(1 + np.cumsum(found, 0), path, rtol=1e-12)


# what the papers claim


def test_qhm_with_no_weight_is_sgd_and_with_all_of_it_momentums_averaging_form():
    plain, _ = walk(optim.qhm(0.3, weight=0.0), GRADIENTS)
    np.testing.assert_allclose(plain, -0.3 * GRADIENTS, rtol=1e-12)
    whole, _ = walk(optim.qhm(0.3, decay=0.9, weight=1.0), GRADIENTS)
    momentum, _ = walk(optim.momentum(0.3 * (1 - 0.9), decay=0.9), GRADIENTS)
    np.testing.assert_allclose(whole, momentum, rtol=1e-10)


def test_qhm_with_the_weight_of_its_decay_is_nesterovs_step():
    found, _ = walk(optim.qhm(0.3, decay=0.9, weight=0.9), GRADIENTS)
    nesterov, _ = walk(optim.nesterov(0.3 * (1 - 0.9), decay=0.9), GRADIENTS)
    np.testing.assert_allclose(found, nesterov, rtol=1e-10)


def test_qhadam_with_both_weights_is_adam():
    qhadam = optim.qhadam(0.1, b1=0.9, weight=1.0)
    np.testing.assert_allclose(
        walk(qhadam, GRADIENTS)[0], walk(optim.adam(0.1), GRADIENTS)[0], rtol=1e-10
    )


def test_aggmo_with_one_decay_is_momentum():
    one, _ = walk(optim.aggmo(0.1, decays=(0.9,)), GRADIENTS)
    np.testing.assert_allclose(one, walk(optim.momentum(0.1), GRADIENTS)[0], rtol=1e-12)


def test_aggmos_fast_velocities_brake_the_slow_one():
    def swing(decays):
        """How far a walk on x^2 / 2 from 1 still swings after 200 steps."""
        optimizer, x = optim.aggmo(0.1, decays=decays), jnp.array([1.0])

        def step(carry, _):
            x, state = carry
            updates, state = optimizer.update(x, state)
            return (x + updates, state), x

        path = jax.lax.scan(step, (x, optimizer.init(x)), None, length=250)[1]
        return jnp.abs(path[200:]).max()

    assert swing((0.99,)) > 0.2
    assert swing((0.0, 0.9, 0.99)) < 0.02


@pytest.mark.parametrize("decays", [(), (1.0,), (0.9, -0.1)])
def test_aggmo_refuses_decays_that_cannot_be(decays):
    with pytest.raises(ValueError, match="aggmo: decay"):
        optim.aggmo(0.1, decays=decays)


@pytest.mark.parametrize("decays", [0.9, (0.9, lambda t: 0.5), "0.9"])
def test_aggmo_wants_a_sequence_of_numbers(decays):
    with pytest.raises(TypeError, match="aggmo: decay"):
        optim.aggmo(0.1, decays=decays)


@pytest.mark.parametrize("weight2", [-0.1, 1.5])
def test_qhadam_refuses_a_weight_that_would_make_a_square_negative(weight2):
    with pytest.raises(ValueError, match=r"qhadam: weight2 must be in \[0, 1\]"):
        optim.qhadam(0.1, weight2=weight2)


def test_adabeliefs_steps_grow_under_steady_gradients_and_adams_do_not():
    steady = np.full((300, 1), 2.0)
    belief, _ = walk(optim.adabelief(0.01), steady)
    adam, _ = walk(optim.adam(0.01), steady)
    np.testing.assert_allclose(adam, -0.01, rtol=1e-6)
    assert abs(belief[-1, 0]) > 3 * abs(belief[0, 0])


def test_yogis_second_moment_moves_by_a_share_of_the_squared_gradient():
    gradients = np.concatenate([np.full((5, 1), 10.0), np.full((5, 1), 0.1)])
    path = [walk(optim.yogi(b2=0.9), gradients[:n])[1].nu[0] for n in range(4, 11)]
    np.testing.assert_allclose(np.abs(np.diff(path)), 0.1 * gradients[4:, 0] ** 2, rtol=1e-9)


def test_radam_steps_by_momentum_until_its_sixth_step():
    g = np.full((8, 1), 3.0)
    found, _ = walk(optim.radam(0.1), g)
    np.testing.assert_allclose(found[:5, 0], -0.3, rtol=1e-12)
    assert abs(found[5, 0]) < 0.1
    early, _ = walk(optim.radam(0.1, threshold=4.0), g)  # the paper's own: a step sooner
    np.testing.assert_allclose(early[:4, 0], -0.3, rtol=1e-12)
    assert abs(early[4, 0]) < 0.1


def test_radam_begins_to_rectify_at_the_same_step_in_float32():
    g, b2 = jnp.full(1, 3.0, jnp.float32), 0.9999  # where 1 - b2^t has three good digits
    optimizer = optim.radam(jnp.float32(0.1), b2=b2)
    state, updates = optimizer.init(g), []
    for _ in range(7):
        u, state = optimizer.update(g, state)
        assert u.dtype == jnp.float32
        updates.append(float(u[0]))
    exact, _ = walk(optim.radam(0.1, b2=b2), np.full((7, 1), 3.0))
    np.testing.assert_allclose(updates, exact[:, 0], rtol=2e-3)


def test_radam_walks_to_where_pytorchs_does():
    """Where eps is 0; the number is printed by tests/data/torch_moments.py."""
    gradients = np.tile([1.0, -2.0, 0.5, 3.0, 0.1], 4)[:, None]
    updates, _ = walk(optim.radam(0.1, b2=0.99, eps=0.0), gradients)
    np.testing.assert_allclose(1 + updates.sum(), 0.7597315459134766, rtol=1e-12)


def test_radams_factor_ends_at_one_and_its_step_at_adams():
    steady = np.full((5000, 1), 3.0)
    found, _ = walk(optim.radam(0.01, b2=0.99), steady)
    np.testing.assert_allclose(found[-1], -0.01, rtol=1e-6)


def test_adopt_divides_by_the_squares_before_and_not_by_its_own():
    optimizer = optim.adopt(0.1, b1=0.0, b2=0.5)
    ones, _ = walk(optimizer, [[2.0], [1.0]])
    other, _ = walk(optimizer, [[2.0], [0.5]])
    np.testing.assert_allclose(ones[:, 0], [0, -0.05], atol=1e-12)
    np.testing.assert_allclose(other[1], ones[1] / 2, rtol=1e-12)  # linear in the gradient


def test_adan_of_a_gradient_that_does_not_change_is_adam():
    steady, _ = walk(optim.adan(0.1), np.full((30, 1), 4.0))
    np.testing.assert_allclose(steady, -0.1, rtol=1e-6)


@pytest.mark.parametrize(("form", "weight"), [("paper", 0.75), ("optax", 0.25)])
def test_adan_looks_ahead_by_b2_of_the_average_change(form, weight):
    make = optim.adan(0.1, b1=0.0, b2=0.75, b3=0.0, eps=0.0, form=form)
    rising, _ = walk(make, [[1.0], [3.0]])
    ahead = 3.0 + weight * (0.25 * 2.0 / (1 - 0.75**2))  # the gradient, its average change
    np.testing.assert_allclose(rising[1], -0.1 * ahead / (3.0 + weight * 2.0), rtol=1e-9)


def test_adopt_goes_where_adam_is_led_astray():
    """Reddi et al. 2018: one gradient of 3 outweighs two of -1, and Adam's root undoes that."""
    gradients = np.tile([3.0, -1.0, -1.0], 400)[:, None]
    adam, _ = walk(optim.adam(0.01, b1=0.0, b2=0.1), gradients)
    adopt, _ = walk(optim.adopt(0.01, b1=0.0, b2=0.1), gradients)
    assert adam.sum() > 1  # uphill
    assert adopt.sum() < -1


def test_ademamix_remembers_a_gradient_that_adam_has_forgotten():
    gradients = np.concatenate([[[1.0]], np.zeros((1000, 1))])
    found, state = walk(optim.ademamix(0.1, b2=0.0, eps=1.0), gradients)
    np.testing.assert_allclose(state.slow, 1e-4 * 0.9999**1000, rtol=1e-9)
    np.testing.assert_allclose(found[-1], -0.1 * 5 * state.slow, rtol=1e-9)
    adam, _ = walk(optim.adam(0.1, b2=0.0, eps=1.0), gradients)
    assert np.abs(adam[-1]) < 1e-40


def test_the_half_life_of_ademamixs_decay_grows_in_a_straight_line():
    decay = schedules.half_life(0.9, 0.9999, steps=100, begin=10)
    lives = np.log(0.5) / np.log(np.asarray(decay(jnp.arange(0, 121, 10))))
    line = np.interp(np.arange(0, 121, 10), [10, 110], np.log(0.5) / np.log([0.9, 0.9999]))
    np.testing.assert_allclose(lives, line, rtol=1e-9)
    t = 0.3  # and it is the paper's formula
    low, high = np.log([0.9, 0.9999])
    paper = np.exp(low * high / ((1 - t) * high + t * low))
    np.testing.assert_allclose(decay(jnp.array(40)), paper, rtol=1e-12)


@pytest.mark.parametrize("decays", [(0.0, 0.9), (0.9, 1.0)])
def test_a_half_life_is_that_of_a_decay(decays):
    with pytest.raises(ValueError, match=r"half_life: (start|end) must be in \(0, 1\)"):
        schedules.half_life(*decays, steps=10)


def test_ademamix_without_its_long_memory_is_adamw():
    ours = optim.ademamix(0.1, alpha=0.0, weight_decay=0.1)
    adamw = optim.adamw(0.1, weight_decay=0.1)
    np.testing.assert_allclose(walk(ours, GRADIENTS)[0], walk(adamw, GRADIENTS)[0], rtol=1e-12)


@pytest.mark.parametrize("make", [optim.lamb, optim.lars, optim.novograd])
def test_a_layers_step_does_not_see_the_scale_of_its_gradient(make):
    small, large = (walk(make(0.1, **eps(make)), s * GRADIENTS)[0] for s in (1.0, 1e3))
    np.testing.assert_allclose(small, large, rtol=1e-8)


def eps(make):
    return {} if make is optim.lars else {"eps": 0.0}


def test_lars_bounds_its_step_where_decay_cancels_the_gradient():
    params = jnp.array([3.0, 4.0])

    def length(form):
        lars = optim.lars(1.0, trust=0.1, weight_decay=0.5, form=form)
        return np.linalg.norm(walk(lars, [-0.5 * (1 + 1e-6) * params], params)[0])

    assert length("paper") < 1e-6
    np.testing.assert_allclose(length("optax"), 0.1 * 5, rtol=1e-6)


@pytest.mark.parametrize("make", [optim.adan, optim.lars])
def test_a_form_that_is_not_known_is_refused(make):
    with pytest.raises(ValueError, match="form must be one of paper, optax, got 'torch'"):
        make(0.1, form="torch")


@pytest.mark.parametrize("make", [optim.adan, optim.lamb, optim.lars])
def test_what_the_mask_leaves_out_steps_as_if_there_were_no_decay(make):
    params = {"w": jnp.array([1.0, 2.0]), "b": jnp.array([3.0])}
    grads = {"w": jnp.array([0.5, -1.0]), "b": jnp.array([0.2])}

    def step(**knobs):
        optimizer = make(0.1, **knobs)
        return optimizer.update(grads, optimizer.init(params), params)[0]

    some, none, whole = step(weight_decay=0.5, mask="w"), step(), step(weight_decay=0.5)
    assert jnp.array_equal(some["b"], none["b"])
    assert jnp.array_equal(some["w"], whole["w"])
    assert not jnp.allclose(some["w"], none["w"])


@pytest.mark.parametrize(
    ("make", "plain"), [(optim.nadamw, optim.nadam), (optim.adamaxw, optim.adamax)]
)
def test_decoupled_decay_is_the_plain_step_and_a_share_of_the_weights(make, plain):
    found, _ = walk(make(0.1, weight_decay=0.0), GRADIENTS)
    np.testing.assert_allclose(found, walk(plain(0.1), GRADIENTS)[0], rtol=1e-12)
    still, _ = walk(make(0.1, weight_decay=0.5), np.zeros((10, 1)))
    np.testing.assert_allclose(1 + still.sum(), (1 - 0.1 * 0.5) ** 10, rtol=1e-12)


def test_lambs_step_is_a_share_of_the_layers_norm():
    params = jnp.array([3.0, 4.0, 12.0])
    updates, _ = walk(optim.lamb(0.01), GRADIENTS[:1], params)
    np.testing.assert_allclose(np.linalg.norm(updates[0]), 0.01 * 13, rtol=1e-12)


def test_a_layer_of_zeros_can_leave_it():
    for optimizer in (optim.lamb(0.1), optim.lars(0.1)):
        updates, _ = walk(optimizer, GRADIENTS[:1], jnp.zeros(3))
        assert np.isfinite(updates).all()
        assert np.abs(updates).min() > 0


def test_novograd_keeps_one_number_a_layer():
    state = optim.novograd().init({"w": jnp.ones((30, 20)), "b": jnp.ones(20)})
    assert state.leaves["w"].nu.shape == state.leaves["b"].nu.shape == ()


@pytest.mark.parametrize("threshold", [3.9, -1.0])
def test_radam_refuses_a_threshold_where_the_variance_is_infinite(threshold):
    with pytest.raises(ValueError, match="radam: threshold must be a finite number >= 4"):
        optim.radam(threshold=threshold)
