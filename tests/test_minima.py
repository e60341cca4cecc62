"""Where training ends: levels, symmetries, curvature, and the shares with their intervals."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import fnn
from fnn.diagnose import canonical, minima, wilson
from fnn.layers import dense
from fnn.losses import binary_cross_entropy, squared_error

X = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = jnp.array([[0.0], [1.0], [1.0], [0.0]])


def loss(prediction, y):
    return binary_cross_entropy(prediction, y).mean(-1)


@pytest.fixture(scope="module")
def xor():
    net = fnn.serial(dense(2), jnp.tanh, dense(1))
    return net, minima(net, X, Y, loss=loss, key=jax.random.key(0), starts=400)


def test_xor_with_two_units_has_its_two_plateaus(xor):
    """Two points with probability 1/2 each, or three points with their mean, a third."""
    half = 2 * math.log(2) / 4
    third = 0.75 * -(math.log(1 / 3) / 3 + math.log(2 / 3) * 2 / 3)
    assert [round(level.loss, 3) for level in xor[1].levels] == [0.0, round(half, 3), 0.477]
    assert xor[1].levels[1].loss == pytest.approx(half, abs=2e-4)
    assert xor[1].levels[2].loss == pytest.approx(third, abs=2e-4)
    assert [level.verdict for level in xor[1].levels[1:]] == ["plateau", "plateau"]


def test_what_the_points_of_a_plateau_are_given(xor):
    net, found = xor
    for level, shares in zip(found.levels, ([], [0.5, 0.5], [1 / 3] * 3), strict=True):
        logits = net.apply(level.params, {}, X)[0]
        chances = np.asarray(jax.nn.sigmoid(logits)).ravel()
        unsure = sorted(min(p, 1 - p) for p in chances if 0.02 < p < 0.98)
        np.testing.assert_allclose(unsure, shares, atol=0.02)


def test_shares_add_up_and_are_wilsons(xor):
    found = xor[1]
    assert sum(level.share.value for level in found.levels) == pytest.approx(1.0)
    assert sorted(np.concatenate([level.starts for level in found.levels])) == list(range(400))
    true = stats.binomtest(len(found.levels[0].starts), 400).proportion_ci(method="wilson")
    np.testing.assert_allclose(found.success[1:], (true.low, true.high), rtol=1e-6)
    assert 0.35 < found.success.low < found.success.high < 0.6


def test_the_table_and_the_picture_show_every_level(xor, tmp_path):
    text = str(xor[1])
    assert "400 starts, 3000 steps each" in text
    assert text.count("plateau") == 2
    picture = xor[1].picture(tmp_path / "minima.png")
    assert (tmp_path / "minima.png").read_bytes() == picture
    assert picture[:4] == b"\x89PNG"


def test_curvature_is_that_of_the_whole_hessian(xor):
    net, found = xor
    for level in found.levels[1:]:
        with jax.enable_x64(True):
            flat, back = jax.flatten_util.ravel_pytree(
                jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), level.params)
            )

            def goal(v, back=back):
                logits = net.apply(back(v), {}, X.astype(jnp.float64))[0]
                return loss(logits, Y.astype(jnp.float64)).mean()

            values = np.linalg.eigvalsh(np.asarray(jax.hessian(goal)(flat)))
            slope = np.linalg.norm(np.asarray(jax.grad(goal)(flat)))
        assert level.largest == pytest.approx(values[-1], rel=1e-3)
        assert level.smallest == pytest.approx(values[0], abs=1e-4 * values[-1])
        assert level.gradient == pytest.approx(slope, rel=0.05, abs=1e-6)


def test_order_and_signs_of_hidden_units_are_no_difference():
    net = fnn.serial(dense(5), jnp.tanh, dense(4), jnp.tanh, dense(2))
    x = jax.random.normal(jax.random.key(0), (7, 3))
    params = jax.tree.map(np.asarray, net.init(jax.random.key(1), x)[0])
    rng = np.random.default_rng(0)
    one, two = rng.permutation(5), rng.permutation(4)
    sign = rng.choice([-1.0, 1.0], 5).astype(np.float32)
    first, second, third = params["dense_0"], params["dense_2"], params["dense_4"]
    turned = {
        "dense_0": {"w": (first["w"] * sign)[:, one], "b": (first["b"] * sign)[one]},
        "dense_2": {"w": (second["w"] * sign[:, None])[one][:, two], "b": second["b"][two]},
        "dense_4": {"w": third["w"][two], "b": third["b"]},
    }
    np.testing.assert_allclose(net.apply(turned, {}, x)[0], net.apply(params, {}, x)[0], atol=1e-5)
    for a, b in zip(*(jax.tree.leaves(canonical(net, p)) for p in (params, turned)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    same = net.apply(canonical(net, params), {}, x)[0]
    np.testing.assert_allclose(same, net.apply(params, {}, x)[0], atol=1e-5)


def test_a_unit_of_relu_keeps_its_sign_and_softmax_lets_none_move():
    zero = np.zeros(2)
    params = {"dense_0": {"w": np.eye(2), "b": zero}, "dense_2": {"w": -np.eye(2), "b": zero}}
    kept = canonical(fnn.serial(dense(2), jax.nn.relu, dense(2)), params)
    assert kept["dense_2"]["w"].min() == -1
    turned = canonical(fnn.serial(dense(2), jnp.tanh, dense(2)), params)
    assert turned["dense_2"]["w"].min() == 0
    assert turned["dense_0"]["w"].min() == -1
    still = canonical(fnn.serial(dense(2), jax.nn.softmax, dense(2)), params)
    np.testing.assert_array_equal(still["dense_0"]["w"], params["dense_0"]["w"])


def test_a_deep_linear_net_has_no_bad_minimum_but_a_flat_saddle():
    """Every local minimum is global (Kawaguchi 2016); from three layers on 0 has no curvature."""
    x = jax.random.normal(jax.random.key(0), (20, 3))
    y = x @ jnp.array([[1.0, 0.0], [0.5, -1.0], [0.0, 2.0]])
    net = fnn.serial(*[dense(3, bias=False) for _ in range(2)], dense(2, bias=False))
    found = minima(
        net, x, y, loss=lambda p, t: squared_error(p, t).mean(-1),
        key=jax.random.key(1), starts=60, steps=1500, optimizer=fnn.optim.adam(0.02),
    )  # fmt: skip
    assert len(found.levels) == 1
    assert found.levels[0].loss < 1e-6
    goal = fnn.train.objective(net, squared_error, x, y)
    zero = jax.tree.map(jnp.zeros_like, found.levels[0].params)
    flat, back = jax.flatten_util.ravel_pytree(zero)
    assert float(jnp.abs(jax.grad(goal)(zero)["dense_0"]["w"]).max()) == 0
    assert float(jnp.abs(jax.hessian(lambda v: goal(back(v)))(flat)).max()) == 0


def test_bad_requests_are_told():
    net = dense(1)
    for settings, said in (
        ({"starts": 0}, "minima: starts must be at least 1"),
        ({"steps": 5}, "minima: steps must be at least 10"),
        ({"within": 2.0}, r"within must be in \(0, 1\), got 2.0"),
        ({"optimizer": fnn.optim.sgd(1e30)}, "none of 3 starts ends at a finite loss"),
    ):
        with pytest.raises(ValueError, match=said):
            minima(net, X, Y, loss=loss if "optimizer" not in settings else squared_error,
                   key=jax.random.key(0), **{"starts": 3, "steps": 20, **settings})  # fmt: skip
    with pytest.raises(ValueError, match=r"count must be in \[0, 3\]"):
        wilson(4, 3)
