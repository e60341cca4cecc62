"""Layers against their equations, their invariances and PyTorch's numbers."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import initializers, layers
from fnn.layers import batch_norm, dense, dropout, embed, flatten, layer_norm, prelu, reshape

X = jnp.linspace(-1.0, 2.0, 12).reshape(4, 3)

# Printed by PyTorch 2.13; the calls stand with the tests.
TORCH_LAYER_NORM = [[-1.0690414, 0.46547943, 3.0089054], [-0.20203045, -1.2223346, 2.9395928]]
TORCH_TRAIN = [[-1.2247425, -0.70710504], [1.2247425, -0.70710504], [0.0, 1.4142101]]
TORCH_MEAN, TORCH_VAR = [0.47, 0.65], [1.84, 3.36]
TORCH_EVAL = [[0.39072013, 5.1008358], [1.1279280, -0.35460353], [4.0767593, 2.3731160]]


def run(net, x, key=None, train=False, **params):
    made, state = net.init(jax.random.key(0), x)
    return net.apply({**made, **params}, state, x, key=key, train=train)


# neurons


def test_a_neuron_is_a_weighted_sum_and_a_bias():
    w, b = jnp.array([[1.0, -1.0], [0.5, 2.0], [3.0, 0.0]]), jnp.array([0.25, -4.0])
    y, _ = run(dense(2), jnp.array([[2.0, 4.0, 1.0]]), w=w, b=b)
    np.testing.assert_array_equal(y, [[2 + 2 + 3 + 0.25, -2 + 8 + 0 - 4]])


def test_dense_works_on_the_last_axis_of_any_rank(key):
    x = jax.random.normal(key, (2, 3, 5, 4))
    net = dense(6)
    params, _ = net.init(key, x)
    y, _ = net.apply(params, {}, x)
    wanted = np.einsum("abci,ij->abcj", x, params["w"]) + params["b"]
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-6)


def test_dense_keeps_the_variance_of_its_input(key):
    x = jax.random.normal(key, (200, 400))
    y, _ = run(dense(300), x)
    assert abs(y.var() - 1) < 0.05


def test_dense_without_bias_has_none():
    assert list(dense(2, bias=False).init(jax.random.key(0), X).params) == ["w"]


def test_bias_adds_one_number_per_feature():
    b = jnp.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(run(layers.bias(), X, b=b)[0], X + b)


@pytest.mark.parametrize(
    ("features", "error"), [(0, ValueError), (-3, ValueError), (3.0, TypeError), (True, TypeError)]
)
def test_features_must_be_a_positive_int(features, error):
    with pytest.raises(error, match="features must be"):
        dense(features)
    with pytest.raises(error, match="features must be"):
        embed(5, features)
    with pytest.raises(error, match="vocabulary must be"):
        embed(features, 5)


def test_numpy_ints_are_ints():
    assert repr(dense(np.int64(3))) == "dense(3)"


# embedding


@pytest.mark.parametrize("dtype", [jnp.int32, jnp.uint8, jnp.int16])
def test_embed_equals_a_one_hot_product(key, dtype):
    ids = jnp.array([[0, 4], [2, 2]], dtype)
    net = embed(5, 3)
    params, _ = net.init(key, ids)
    wanted = jax.nn.one_hot(ids, 5) @ params["w"]
    np.testing.assert_allclose(net.apply(params, {}, ids)[0], wanted, rtol=1e-6)


def test_ids_out_of_range_give_nan_and_no_gradient(variant, key):
    ids = jnp.array([1, 5, -1, 4])
    net = embed(5, 2)
    params, _ = net.init(key, ids)
    y = variant(lambda p, x: net.apply(p, {}, x)[0])(params, ids)
    np.testing.assert_array_equal(jnp.isnan(y).all(-1), [False, True, True, False])
    slopes = variant(jax.grad(lambda p: net.apply(p, {}, ids)[0].sum()))(params)["w"]
    np.testing.assert_array_equal(slopes[:, 0], [0, 1, 0, 0, 1])


# shapes


def test_flatten_and_reshape_undo_each_other():
    x = jnp.arange(48.0).reshape(2, 2, 3, 4)
    flat, _ = flatten().apply({}, {}, x)
    assert flat.shape == (2, 24)
    np.testing.assert_array_equal(reshape(2, 3, 4).apply({}, {}, flat)[0], x)
    np.testing.assert_array_equal(reshape(2, -1, 4).apply({}, {}, flat)[0], x)
    assert flatten().apply({}, {}, jnp.ones(5))[0].shape == (5, 1)


def test_empty_batches_have_shapes_too():
    assert flatten().apply({}, {}, jnp.ones((0, 2, 3)))[0].shape == (0, 6)
    assert reshape(3, -1).apply({}, {}, jnp.ones((0, 6)))[0].shape == (0, 3, 2)


@pytest.mark.parametrize("shape", [(2, 3), (-1, 3), (5,), (), (0, -1)])
def test_reshape_needs_as_many_entries(shape):
    with pytest.raises(ValueError, match=r"each example has shape \(4,\), 4 entries, which do no"):
        reshape(*shape).apply({}, {}, jnp.ones((2, 4)))


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: reshape((2, 3)), TypeError, r"one by one, reshape\(2, 3\), got \(2, 3\)"),
        (lambda: reshape(-1, -1), ValueError, "only one size may be -1"),
        (lambda: reshape(-2), ValueError, "each size must be at least -1, got -2"),
        (lambda: reshape(2.0), TypeError, "each size must be an int"),
        (lambda: flatten().apply({}, {}, 1.0), ValueError, "must have a batch axis"),
    ],
)
def test_mistakes_with_shapes(make, error, match):
    with pytest.raises(error, match=match):
        make()


# dropout


@pytest.mark.parametrize("bits", [None, jax.random.bits], ids=["hash", "threefry"])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_drops_at_its_rate(key, rate, bits):
    n = 40_000
    net = dropout(rate) if bits is None else dropout(rate, bits=bits)
    y, _ = net.apply({}, {}, jnp.ones(n), key=key, train=True)
    kept = y != 0
    np.testing.assert_allclose(y[kept], 1 / (1 - rate), rtol=1e-6)
    deviation = np.sqrt(rate * (1 - rate) / n)
    assert abs(kept.mean() - (1 - rate)) < 4 * deviation


def test_dropout_neighbours_are_independent(key):
    y, _ = dropout(0.5).apply({}, {}, jnp.ones((200, 200)), key=key, train=True)
    kept = np.asarray(y != 0, float) - 0.5
    for shifted in (np.roll(kept, 1, 0), np.roll(kept, 1, 1)):
        assert abs((kept * shifted).mean()) < 4 * 0.25 / 200


def test_dropout_passes_x_on_at_inference_and_at_rate_zero(key):
    np.testing.assert_array_equal(dropout(0.9).apply({}, {}, X, key=key)[0], X)
    np.testing.assert_array_equal(dropout(0.0).apply({}, {}, X, train=True)[0], X)


def test_rates_can_be_swept_by_vmap(key):
    def one(rate):
        return dropout(rate).apply({}, {}, jnp.ones(4000), key=key, train=True)[0]

    rates = jnp.array([0.0, 0.25, 0.75])
    y = jax.jit(jax.vmap(one))(rates)
    np.testing.assert_allclose((y == 0).mean(1), rates, atol=0.03)
    np.testing.assert_allclose(y.max(1), 1 / (1 - rates), rtol=1e-6)
    np.testing.assert_array_equal(y[1], one(0.25))
    np.testing.assert_array_equal(one(jnp.asarray(0.0)), 1)


def test_dropout_in_64_bits_draws_the_same_mask(key):
    y, _ = dropout(0.5, bits=jax.random.bits).apply({}, {}, jnp.ones(2000), key=key, train=True)
    with jax.enable_x64(True):
        z, _ = dropout(0.5, bits=jax.random.bits).apply(
            {}, {}, jnp.ones(2000, float), key=key, train=True
        )
        assert z.dtype == jnp.float64
        assert 0.45 < (z == 0).mean() < 0.55
    assert 0.45 < (y == 0).mean() < 0.55


@pytest.mark.parametrize("rate", [1, 1.0, -0.1, 50, float("nan"), jnp.asarray(1.5)])
def test_the_rate_is_a_probability_below_one(rate):
    with pytest.raises(ValueError, match=r"dropout: rate is the probability to drop .*\[0, 1\)"):
        dropout(rate)


@pytest.mark.parametrize("rate", ["half", None, True, jnp.ones(3)])
def test_the_rate_is_a_number(rate):
    with pytest.raises(TypeError, match="dropout: rate must be one number"):
        dropout(rate)


def test_dropout_refuses_integers(key):
    with pytest.raises(TypeError, match=r"must be floating point, got int32\[3\]; use x.astype"):
        dropout(0.5).apply({}, {}, jnp.arange(3), key=key, train=True)


# normalisation


def test_layer_norm_gives_mean_zero_and_variance_one(key):
    x = 5 + 3 * jax.random.normal(key, (6, 64))
    y, _ = run(layer_norm(), x)
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-5)
    np.testing.assert_allclose(y.var(-1), 1, rtol=1e-4)


def test_layer_norm_does_not_see_shift_and_scale_of_its_input(x64, key):
    x = jax.random.normal(key, (5, 8), jnp.float64)
    net = layer_norm(eps=1e-30)
    chex.assert_trees_all_close(run(net, x), run(net, 7.0 * x - 3.0), rtol=1e-9)


def test_layer_norm_survives_a_mean_that_dwarfs_the_spread():
    x = jnp.array([[-1.5, -0.5, 0.5, 1.5]]) + 2.0**13
    y, _ = run(layer_norm(), x)  # mean of squares less square of mean would be off by far
    np.testing.assert_allclose(y, (x - 2.0**13) / np.sqrt(1.25 + 1e-5), rtol=1e-6)


def test_a_constant_input_has_a_finite_gradient():
    def loss(x):
        return run(layer_norm(), x)[0][0, 0]

    assert jnp.isfinite(jax.grad(loss)(jnp.full((1, 4), 3.0))).all()


def test_bfloat16_is_normalised_in_float32():
    x = jnp.tile(jnp.array([100, 100.5, 100.5, 100.5], jnp.bfloat16), 32)[None]  # mean 100.375
    y, _ = run(layer_norm(), x)
    assert y.dtype == jnp.bfloat16
    wanted, _ = run(layer_norm(), x.astype(jnp.float32))
    np.testing.assert_allclose(y.astype(jnp.float32), wanted, rtol=2**-8, atol=1e-6)


def test_layer_norm_equals_pytorch():
    # torch.nn.functional.layer_norm(torch.tensor([[1., 2., 4.], [0., -3., 5.]]), (3,),
    #     torch.tensor([1., 2., 3.]), torch.tensor([0., 1., -1.])), eps 1e-5
    x = jnp.array([[1.0, 2.0, 4.0], [0.0, -3.0, 5.0]])
    y, _ = run(layer_norm(), x, scale=jnp.array([1.0, 2, 3]), offset=jnp.array([0.0, 1, -1]))
    np.testing.assert_allclose(y, TORCH_LAYER_NORM, rtol=1e-5, atol=1e-6)


def batches():
    return [jnp.array([[1.0, 10.0], [2.0, 0.0], [6.0, 5.0]]), jnp.array([[0.0, 1], [4, 1], [2, 4]])]


def walk(net):
    """y of both batches in training, the state after them, and y at inference."""
    params, state = net.init(jax.random.key(0), batches()[0])
    ys = []
    for x in batches():
        y, state = net.apply(params, state, x, train=True)
        ys.append(y)
    return ys, state, net.apply(params, state, batches()[0])[0]


def test_batch_norm_equals_pytorch():
    # bn = torch.nn.BatchNorm1d(2); bn.train(); bn(a); bn(b); then running_mean, running_var;
    # bn.eval(); bn(a), for the a and b of batches()
    ys, state, y = walk(batch_norm())
    np.testing.assert_allclose(ys[1], TORCH_TRAIN, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state["mean"], TORCH_MEAN, rtol=1e-5)
    np.testing.assert_allclose(state["var"], TORCH_VAR, rtol=1e-5)
    np.testing.assert_allclose(y, TORCH_EVAL, rtol=1e-5)


def test_running_averages_are_exponential_means():
    _, state, _ = walk(batch_norm(decay=0.75, unbiased=False))
    a, b = batches()
    np.testing.assert_allclose(state["mean"], 0.25 * (0.75 * a.mean(0) + b.mean(0)), rtol=1e-6)
    wanted = 0.75**2 + 0.25 * (0.75 * a.var(0) + b.var(0))
    np.testing.assert_allclose(state["var"], wanted, rtol=1e-6)


def test_unbiased_variance_is_larger_by_n_over_n_minus_one():
    _, biased, _ = walk(batch_norm(decay=0.0, unbiased=False))
    _, unbiased, _ = walk(batch_norm(decay=0.0))
    np.testing.assert_allclose(unbiased["var"], biased["var"] * 3 / 2, rtol=1e-6)
    np.testing.assert_allclose(unbiased["var"], np.var(batches()[1], axis=0, ddof=1), rtol=1e-6)


def test_images_are_normalised_over_all_their_places(key):
    x = jax.random.normal(key, (4, 3, 5, 2)) * 3 + 1
    y, _ = run(batch_norm(), x, train=True)
    flat, _ = run(batch_norm(), x.reshape(-1, 2), train=True)
    np.testing.assert_allclose(y.reshape(-1, 2), flat, rtol=1e-4, atol=1e-5)


def test_members_of_a_named_axis_share_their_statistics(key):
    x = jax.random.normal(key, (3, 4, 2)) * jnp.arange(1.0, 4)[:, None, None]
    net, whole = batch_norm(axis_name="batch"), batch_norm()
    params, state = net.init(key, x[0])

    def one(x):
        return net.apply(params, state, x, train=True)

    y, after = jax.vmap(one, axis_name="batch")(x)
    wanted, wanted_after = whole.apply(params, state, x.reshape(12, 2), train=True)
    np.testing.assert_allclose(y.reshape(12, 2), wanted, rtol=1e-5, atol=1e-6)
    for i in range(3):
        chex.assert_trees_all_close(
            jax.tree.map(lambda a, i=i: a[i], after), wanted_after, rtol=1e-5
        )
    singles = jax.vmap(one, axis_name="batch")(x[:, :1])[0]  # one example each is enough together
    assert jnp.isfinite(singles).all()


def test_no_gradient_flows_into_the_running_averages():
    net = batch_norm()
    params, state = net.init(jax.random.key(0), X)
    moved = jax.grad(
        lambda x: sum(a.sum() for a in net.apply(params, state, x, train=True)[1].values())
    )
    np.testing.assert_array_equal(moved(X), 0)


def test_one_value_per_feature_has_no_variance():
    with pytest.raises(ValueError, match=r"at least two values per feature, got x of shape \(1, 3"):
        run(batch_norm(), X[:1], train=True)
    assert jnp.isfinite(run(batch_norm(), X[:1])[0]).all()


@pytest.mark.parametrize("make", [layer_norm, batch_norm])
@pytest.mark.parametrize("eps", [0, -1e-5])
def test_eps_is_positive(make, eps):
    with pytest.raises(ValueError, match="eps must be > 0"):
        make(eps=eps)


@pytest.mark.parametrize("decay", [-0.1, 1.1])
def test_decay_is_a_weight(decay):
    with pytest.raises(ValueError, match="decay is the weight of the old average"):
        batch_norm(decay=decay)


def test_a_scale_of_other_size_is_refused_rather_than_broadcast():
    one = {"scale": jnp.ones(1), "offset": jnp.zeros(1)}
    with pytest.raises(ValueError, match="x has 3 features, expected 1"):
        layer_norm().apply(one, {}, X)


# activations that learn


def test_prelu_is_linear_on_both_sides():
    alpha = jnp.array([0.1, 0.5, -1.0])
    y, _ = run(prelu(), X, alpha=alpha)
    np.testing.assert_allclose(y, np.maximum(0, X) + alpha * np.minimum(0, X), rtol=1e-6)


def test_prelu_starts_at_a_quarter_and_may_have_one_slope():
    assert prelu(per_feature=False).init(jax.random.key(0), X).params["alpha"].shape == ()
    y, _ = run(prelu(per_feature=False), jnp.array([[-4.0, 4.0]]))
    np.testing.assert_array_equal(y, [[-1.0, 4.0]])
    y, _ = run(prelu(alpha_init=initializers.zeros), X)
    np.testing.assert_array_equal(y, jax.nn.relu(X))


def test_the_slope_of_alpha_is_the_negative_part():
    net = prelu()
    params, _ = net.init(jax.random.key(0), X)
    slope = jax.grad(lambda p: net.apply(p, {}, X)[0].sum())(params)["alpha"]
    np.testing.assert_allclose(slope, np.minimum(0, X).sum(0), rtol=1e-6)
