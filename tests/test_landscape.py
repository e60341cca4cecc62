"""Slices of the loss, ways between networks, and their alignment, held to what can be computed."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import diagnose
from fnn.layers import batch_norm, conv, dense, flatten

ERROR = fnn.losses.squared_error


def task(n=64, inputs=3):
    x = jax.random.normal(jax.random.key(0), (n, inputs))
    return x, jnp.sin(2 * x[:, :1]) + x[:, 1:2]


def test_the_slice_of_a_linear_model_is_a_paraboloid():
    x, y = task()
    net = dense(1, bias=False)
    params, _ = net.init(jax.random.key(1), x)
    found = diagnose.landscape(
        net, params, {}, x, y, loss=ERROR, key=jax.random.key(2), grid=7, reach=2.0
    )
    assert found.losses.shape == (7, 7)
    assert found.loss == pytest.approx(float(jnp.mean(ERROR(x @ params["w"], y))), rel=1e-6)
    third = np.diff(found.losses, 3, axis=0), np.diff(found.losses, 3, axis=1)
    assert max(np.abs(a).max() for a in third) < 1e-4 * found.losses.max()
    assert np.diff(found.losses, 2, axis=0).min() > 0


def test_filters_of_another_scale_see_the_same_slice():
    """A ReLU unit with weights in times 10 and out by 10 is the same; so must the slice be."""
    x, y = task()
    net = fnn.serial(dense(6, bias=False), jax.nn.relu, dense(1))
    params, state = net.init(jax.random.key(1), x)
    other = {
        "dense_0": {"w": 10 * params["dense_0"]["w"]},
        "dense_2": params["dense_2"] | {"w": params["dense_2"]["w"] / 10},
    }
    slices = [
        diagnose.landscape(net, p, state, x, y, loss=ERROR, key=jax.random.key(3), grid=5).losses
        for p in (params, other)
    ]
    np.testing.assert_allclose(*slices, rtol=2e-4)


def test_directions_hold_biases_and_scales_and_have_the_filters_lengths():
    from fnn.diagnose.landscape import _direction

    w = jax.random.normal(jax.random.key(0), (3, 3, 2, 5)) * jnp.arange(1.0, 6.0)
    d = _direction(jax.random.key(1), w)
    length = jnp.linalg.norm(w.reshape(-1, 5), axis=0)
    np.testing.assert_allclose(jnp.linalg.norm(d.reshape(-1, 5), axis=0), length, rtol=1e-5)
    assert not _direction(jax.random.key(1), w[0, 0, 0]).any()


def test_a_grid_without_a_middle_is_told():
    x, y = task()
    with pytest.raises(ValueError, match=r"grid must be odd.*got 4"):
        diagnose.landscape(dense(1), {}, {}, x, y, loss=ERROR, key=jax.random.key(0), grid=4)
    with pytest.raises(ValueError, match="no weights"):
        diagnose.landscape(
            dense(1), {"b": jnp.ones(1)}, {}, x, y, loss=ERROR, key=jax.random.key(0)
        )


@pytest.mark.parametrize("activation", [jnp.tanh, jax.nn.relu])
def test_alignment_undoes_a_permutation_and_signs(activation):
    x, _ = task()
    net = fnn.serial(dense(5), activation, dense(4), activation, dense(2))
    params, state = net.init(jax.random.key(1), x)
    params = jax.tree.map(lambda a: a + 0.1, params)
    rng = np.random.default_rng(0)
    other = jax.tree.map(np.asarray, params)
    for first, second, width in (("dense_0", "dense_2", 5), ("dense_2", "dense_4", 4)):
        order = rng.permutation(width)
        sign = rng.choice([-1.0, 1.0], width) if activation is jnp.tanh else np.ones(width)
        other[first] = {name: a[..., order] * sign for name, a in other[first].items()}
        other[second] = other[second] | {"w": other[second]["w"][order] * sign[:, None]}
    before = net.apply(other, state, x)[0]
    np.testing.assert_allclose(before, net.apply(params, state, x)[0], atol=1e-5)
    found = diagnose.aligned(net, other, params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, params)


def test_alignment_is_the_best_of_all_permutations_and_keeps_the_function():
    x, _ = task()
    net = fnn.serial(dense(5), jax.nn.relu, dense(2))
    a, b = (net.init(jax.random.key(seed), x).params for seed in (1, 2))
    found = diagnose.aligned(net, b, a)
    np.testing.assert_allclose(
        net.apply(found, {}, x)[0], net.apply(b, {}, x)[0], rtol=1e-4, atol=1e-5
    )

    def apart(other):
        return sum(
            float(jnp.sum(d**2)) for d in jax.tree.leaves(jax.tree.map(jnp.subtract, a, other))
        )

    def in_order(order):
        first = {name: one[..., order] for name, one in b["dense_0"].items()}
        return {"dense_0": first, "dense_2": b["dense_2"] | {"w": b["dense_2"]["w"][order]}}

    every = [apart(in_order(jnp.array(order))) for order in itertools.permutations(range(5))]
    assert apart(found) == pytest.approx(min(every), rel=1e-5)
    assert min(every) < max(every)


def test_the_way_between_two_trainings_is_lower_when_they_are_aligned():
    x, y = task(256)
    net = fnn.serial(dense(48), jnp.tanh, dense(1))
    ends = [
        fnn.train.run(jax.random.key(seed), net, x, y, loss=ERROR, optimizer=fnn.optim.adam(0.01),
                      steps=800)[0]
        for seed in (1, 2)
    ]  # fmt: skip
    a, b = (end.params for end in ends)
    apart = diagnose.interpolate(net, a, b, {}, x, y, loss=ERROR)
    near = diagnose.interpolate(net, a, b, {}, x, y, loss=ERROR, align=True)
    assert 0 <= near.barrier < apart.barrier / 2
    for way in (apart, near):  # the ends are the two networks, aligned or not
        assert way.losses[0] == pytest.approx(float(jnp.mean(ERROR(net.apply(a, {}, x)[0], y))))
        expected = float(jnp.mean(ERROR(net.apply(b, {}, x)[0], y)))
        assert way.losses[-1] == pytest.approx(expected, rel=1e-3)


def test_what_cannot_be_aligned_is_told():
    x, _ = task()
    net = fnn.serial(dense(4), jnp.tanh, dense(1))
    params, _ = net.init(jax.random.key(0), x)
    wide = fnn.serial(dense(5), jnp.tanh, dense(1)).init(jax.random.key(0), x).params
    with pytest.raises(ValueError, match="differ in structure at 'dense_0/b'"):
        diagnose.aligned(net, params, wide)
    with pytest.raises(ValueError, match="a and b differ in structure at 'dense_0/b'"):
        diagnose.interpolate(net, params, wide, {}, x, x[:, :1], loss=ERROR)
    line = fnn.serial(dense(1))
    with pytest.raises(ValueError, match="no hidden layer"):
        diagnose.aligned(line, *(line.init(jax.random.key(i), x).params for i in (0, 1)))


def test_the_picture_is_a_png(tmp_path):
    x, y = task()
    params, state = dense(1).init(jax.random.key(0), x)
    found = diagnose.landscape(
        dense(1), params, state, x, y, loss=ERROR, key=jax.random.key(2), grid=5
    )
    assert found.picture(tmp_path / "slice.png") == (tmp_path / "slice.png").read_bytes()
    assert found.picture().startswith(b"\x89PNG")
    other = jax.tree.map(lambda a: a + 1, params)
    way = diagnose.interpolate(dense(1), params, other, state, x, y, loss=ERROR)
    assert way.picture(tmp_path / "way.png") == (tmp_path / "way.png").read_bytes()


# attributions

NET = fnn.serial(conv(2, 3), jax.nn.gelu, flatten(), dense(3))


def trained_like():
    x = jax.random.normal(jax.random.key(0), (4, 6, 6, 1))
    return *NET.init(jax.random.key(1), x), x


def test_saliency_is_the_finite_difference():
    params, state, x = trained_like()
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), (params, x))
        found = fnn.inspect.saliency(NET, wide[0], state, wide[1], output=2)
        step = 1e-5
        nudge = jnp.zeros_like(wide[1]).at[:, 2, 3, 0].set(step)
        up, down = (NET.apply(wide[0], state, wide[1] + s * nudge)[0][:, 2] for s in (1, -1))
        np.testing.assert_allclose(found[:, 2, 3, 0], (up - down) / (2 * step), rtol=1e-7)


def test_integrated_gradients_add_up_to_the_gain():
    params, state, x = trained_like()
    baseline = jnp.full((6, 6, 1), 0.1)
    few, many = (
        fnn.inspect.integrated_gradients(NET, params, state, x, baseline=baseline, steps=steps)
        for steps in (4, 256)
    )
    logits = NET.apply(params, state, x)[0]
    rest = NET.apply(params, state, jnp.broadcast_to(baseline, x.shape))[0]
    np.testing.assert_array_equal(many.output, logits.argmax(1))
    gain = jnp.take_along_axis(logits - rest, many.output[:, None], 1)[:, 0]
    np.testing.assert_allclose(many.gain, gain, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(many.values.sum((1, 2, 3)), gain, atol=2e-5)
    assert jnp.abs(many.missing).max() < jnp.abs(few.missing).max()


def test_integrated_gradients_of_a_product_are_known():
    """Of f = x1 x2 from 0 each input gets half."""
    net = fnn.core.Layer(lambda key, x: ({}, {}), lambda p, s, x, **_: (x[:, :1] * x[:, 1:], s))
    found = fnn.inspect.integrated_gradients(net, {}, {}, jnp.array([[3.0, 4.0]]), steps=1)
    np.testing.assert_allclose(found.values, [[6.0, 6.0]])
    np.testing.assert_allclose(found.missing, [0.0])


def test_an_output_that_is_not_there_is_told():
    params, state, x = trained_like()
    with pytest.raises(ValueError, match="output must be from 0 to 2, got 3"):
        fnn.inspect.saliency(NET, params, state, x, output=3)
    with pytest.raises(ValueError, match=r"must give \(n, outputs\), got float32\[4,6,6,1\]"):
        fnn.inspect.integrated_gradients(fnn.serial(jnp.tanh), {}, {}, x)


def test_state_is_held():
    x = jax.random.normal(jax.random.key(0), (8, 3))
    net = fnn.serial(dense(4), batch_norm(), dense(2))
    params, state = net.init(jax.random.key(1), x)
    alone = fnn.inspect.saliency(net, params, state, x[:1], output=0)
    np.testing.assert_allclose(
        fnn.inspect.saliency(net, params, state, x, output=0)[:1], alone, rtol=1e-5
    )
