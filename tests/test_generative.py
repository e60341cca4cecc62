"""Autoencoders, the variational one, and a generator against a discriminator: each learns."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import logsumexp
from jax.scipy.stats import norm
from scipy import integrate

import fnn
from fnn import compose, layers, losses, models, optim, parallel, serial

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def digits():
    data = fnn.datasets.load("mnist")
    return data.x_train, data.y_train, data.x_test


def trained(net, x, loss, steps, *, rate=2e-3, batch_size=64):
    done = fnn.fit(
        net, x, x, loss=loss, optimizer=optim.adam(rate), key=KEY, steps=steps,
        batch_size=batch_size, progress=False,
    )  # fmt: skip
    return done.last.params, done.last.state


def mean_error(x, y):
    return float(jnp.mean((x - y) ** 2))


# --- gaussian_kl, gaussian_sample -------------------------------------------------------------


@pytest.mark.parametrize(("mean", "log_variance"), [(0.0, 0.0), (1.5, -2.0), (-0.3, 1.0)])
def test_gaussian_kl_is_the_integral_of_q_log_q_over_p(mean, log_variance):
    def integrand(z):
        log_q = -0.5 * (log_variance + (z - mean) ** 2 / np.exp(log_variance))
        return np.exp(log_q) / np.sqrt(2 * np.pi) * (log_q + z**2 / 2)

    expected, _ = integrate.quad(integrand, -20, 20, points=[mean])
    found = losses.gaussian_kl(jnp.array([mean]), jnp.array([log_variance]))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_gaussian_kl_adds_up_over_the_last_axis_and_keeps_its_digits_near_zero():
    mean, s = jnp.zeros((2, 3)), jnp.full((2, 3), 1e-4)
    found = losses.gaussian_kl(mean, s)  # s^2 / 4 each, to first order
    np.testing.assert_allclose(found, [0.75e-8, 0.75e-8], rtol=2e-3)
    with pytest.raises(ValueError, match=r"mean \(2, 3\) and log_variance \(3,\) differ"):
        losses.gaussian_kl(mean, jnp.zeros(3))


def test_a_gaussian_sample_has_a_gradient_by_mean_and_variance():
    """E[z^2] = mean^2 + variance, so its gradients are 2 mean and, by the log, the variance."""
    net, n = layers.gaussian_sample(), 100_000

    def square(mean, log_variance):
        x = {"mean": jnp.full(n, mean), "log_variance": jnp.full(n, log_variance)}
        return jnp.mean(net.apply({}, {}, x, key=KEY, train=True)[0] ** 2)

    by_mean, by_log_variance = jax.grad(square, (0, 1))(1.5, -0.7)
    np.testing.assert_allclose(by_mean, 3.0, rtol=0.01)
    np.testing.assert_allclose(by_log_variance, np.exp(-0.7), rtol=0.03)


def test_a_gaussian_sample_says_what_it_needs():
    net, one = layers.gaussian_sample(), jnp.zeros((2, 1))
    normal = {"mean": one, "log_variance": one}
    assert net.apply({}, {}, normal)[0] is one
    with pytest.raises(ValueError, match="gaussian_sample: train=True is random here"):
        net.apply({}, {}, normal, train=True)
    with pytest.raises(TypeError, match="must be a dict of 'mean' and 'log_variance'"):
        net.init(KEY, one)
    with pytest.raises(ValueError, match="of one shape"):
        net.init(KEY, {"mean": one, "log_variance": one[:1]})


# --- autoencoders -----------------------------------------------------------------------------


def principal(x, test, count):
    """The error of the best linear code of this width."""
    x, test = (np.asarray(a).reshape(len(a), -1) for a in (x, test))
    mean = x.mean(0)
    axes = np.linalg.eigh(np.cov(x.T))[1][:, -count:]
    return mean_error(test - mean, (test - mean) @ axes @ axes.T)


def test_an_autoencoder_beats_principal_components_of_its_width(digits):
    x, _, test = digits
    net = models.autoencoder(128, 8, shape=(28, 28, 1))
    params, state = trained(net, x, losses.squared_error, 600)
    error = mean_error(fnn.predict(net, params, state, test), test)
    assert error < 0.9 * principal(x, test, 8)  # 0.030 to 0.038


def test_a_linear_autoencoder_finds_the_plane_of_the_principal_components():
    """Baldi & Hornik 1989: its only minima span what principal components span."""
    keys = jax.random.split(KEY, 3)
    plane = jax.random.normal(keys[0], (500, 2)) @ jax.random.normal(keys[1], (2, 6))
    x = 1 + plane + 0.3 * jax.random.normal(keys[2], (500, 6))
    net = models.autoencoder(2, shape=6, activation=lambda h: h)
    rate = optim.schedules.cosine_decay(0.03, steps=1500)
    params, state = trained(net, x, losses.squared_error, 1500, rate=rate, batch_size=None)
    error = mean_error(fnn.predict(net, params, state, x), x)
    np.testing.assert_allclose(error, principal(x, x, 2), rtol=1e-3)


def test_denoising_mends_what_copying_leaves_spoilt():
    angle = jax.random.uniform(KEY, (1000, 1)) * 2 * jnp.pi
    x = jnp.sin(angle + jnp.linspace(0, 3, 12))  # curves of one number each
    spoilt = x + 0.5 * jax.random.normal(jax.random.key(1), x.shape)
    net = models.autoencoder(32, 12, shape=12, corrupt=layers.gaussian_noise(0.5))
    plain = models.autoencoder(32, 12, shape=12)
    found = {}
    for name, one in (("mended", net), ("copied", plain)):
        params, state = trained(one, x, losses.squared_error, 1000)
        found[name] = mean_error(fnn.predict(one, params, state, spoilt), x)
    assert found["mended"] < 0.6 * found["copied"]
    assert found["mended"] < 0.4 * 0.25  # the noise's own


def test_encode_and_decode_are_the_halves_of_the_network():
    net = models.autoencoder(5, 2, shape=(3, 2), corrupt=layers.dropout(0.5))
    x = jax.random.normal(KEY, (4, 3, 2))
    params, state = net.init(KEY, x)
    code = models.encode(net, params, state, x)
    assert code.shape == (4, 2)
    whole, _ = net.apply(params, state, x)
    np.testing.assert_allclose(models.decode(net, params, state, code), whole, rtol=1e-6)
    with pytest.raises(ValueError, match="decode: net has no child 'decoder', its children are"):
        models.decode(serial(layers.dense(2)), {}, {}, code)


@pytest.mark.parametrize("stages", [(4,), (4, 6)])
def test_a_conv_autoencoder_gives_back_the_shape_it_was_given(stages):
    net = models.conv_autoencoder(*stages, code=3, shape=(8, 12, 2), corrupt=layers.dropout(0.2))
    x = jax.ShapeDtypeStruct((5, 8, 12, 2), jnp.float32)
    variables = jax.eval_shape(net.init, KEY, x)
    assert fnn.core.out_spec(net, variables, x).shape == x.shape
    code = jax.eval_shape(lambda v, x: models.encode(net, *v, x), variables, x)
    assert code.shape == (5, 3)


def test_a_conv_autoencoder_learns_where_a_square_stands():
    """The code has as many numbers as a place has; the mean image tells nothing of it."""
    places = jax.random.randint(KEY, (256, 2), 0, 6)
    row, column = places[:, 0, None, None], places[:, 1, None, None]
    grid = jnp.arange(8)
    inside = (grid[:, None] >= row) & (grid[:, None] < row + 3)
    x = (inside & (grid >= column) & (grid < column + 3))[..., None].astype(jnp.float32)
    net = models.conv_autoencoder(8, code=2, shape=(8, 8, 1))
    params, state = trained(net, x, losses.squared_error, 200, rate=1e-2)
    assert mean_error(fnn.predict(net, params, state, x), x) < 0.5 * float(jnp.var(x, 0).mean())


def test_wrong_sizes_of_autoencoders_are_told():
    with pytest.raises(ValueError, match="autoencoder: give the width of each layer"):
        models.autoencoder(shape=3)
    with pytest.raises(TypeError, match="each size of shape must be an int"):
        models.autoencoder(2, shape=(2, 2.5))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sides divisible by 8, got"):
        models.conv_autoencoder(4, 4, 4, code=2, shape=(28, 28, 1))


# --- vae --------------------------------------------------------------------------------------


def log_evidence(net, params, x, count=4001):
    """log p(x) of a vae of one latent number, by summing over a fine grid of z."""
    z = jnp.linspace(-8, 8, count)
    logits = models.decode(net, params, {}, z[:, None])
    given = -losses.binary_cross_entropy(logits, jnp.broadcast_to(x, logits.shape)).sum(-1)
    return logsumexp(given + norm.logpdf(z)) + jnp.log(z[1] - z[0])


def test_the_elbo_bounds_the_evidence_from_below_and_training_closes_the_gap():
    x = jnp.array([[1.0, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1]])
    net = models.vae(1, shape=4, hidden=16)
    params, _ = net.init(KEY, x)

    @jax.jit
    def measure(params):
        evidence = jax.vmap(lambda one: log_evidence(net, params, one))(x)
        return evidence, evidence - models.elbo(net, params, {}, x, key=KEY, draws=2000)

    _, before = measure(params)
    params, _ = trained(net, x, models.negative_elbo, 1500, batch_size=None)
    evidence, after = measure(params)
    assert before.min() > 0
    assert after.min() > -0.02  # but for the noise of the draws
    assert after.max() < 0.5
    # it has learned more than that each pixel is white half of the time
    assert evidence.mean() > -4 * np.log(2) + 0.3


def test_the_vae_learns_digits_and_draws_them(digits):
    x, labels, test = digits
    net = models.vae(8, shape=(28, 28, 1), hidden=128)
    params, state = trained(net, x, models.negative_elbo, 800)
    bound = models.elbo(net, params, state, test, key=KEY).mean()
    assert bound > -140  # nats; pixels by themselves give -208
    assert not state
    codes = jax.random.normal(jax.random.key(1), (100, 8))
    drawn = jax.nn.sigmoid(models.decode(net, params, state, codes))
    assert drawn.shape == (100, 28, 28, 1)
    # they differ from each other as digits do, and are of all kinds
    assert 0.3 < float(jnp.var(drawn, 0).mean() / jnp.var(x, 0).mean()) < 1.1
    means = jnp.stack([x[labels == c].mean(0) for c in range(10)])
    kinds = ((drawn[:, None] - means) ** 2).sum((2, 3, 4)).argmin(1)
    assert len(set(kinds.tolist())) >= 8


def test_a_vae_draws_in_training_and_takes_the_mean_at_inference():
    net = models.vae(2, shape=(3, 2), hidden=(5, 4))
    x = jax.random.uniform(KEY, (4, 3, 2))
    params, state = net.init(KEY, x)
    quiet, _ = net.apply(params, state, x)
    loud, _ = net.apply(params, state, x, key=KEY, train=True)
    np.testing.assert_array_equal(loud["mean"], quiet["mean"])
    assert not np.allclose(loud["logits"], quiet["logits"])
    code = models.encode(net, params, state, x)
    assert set(code) == {"mean", "log_variance"}
    expected = models.decode(net, params, state, code["mean"])
    np.testing.assert_allclose(quiet["logits"], expected, rtol=1e-6)


def test_negative_elbo_is_reconstruction_plus_beta_times_kl():
    keys = jax.random.split(KEY, 4)
    y = {
        "logits": jax.random.normal(keys[0], (3, 2, 2)),
        "mean": jax.random.normal(keys[1], (3, 2)),
        "log_variance": jax.random.normal(keys[2], (3, 2)),
    }
    x = jax.random.uniform(keys[3], (3, 2, 2))
    kl = losses.gaussian_kl(y["mean"], y["log_variance"])
    bce = losses.binary_cross_entropy(y["logits"], x).sum((1, 2))
    np.testing.assert_allclose(models.negative_elbo(y, x), bce + kl, rtol=1e-6)
    np.testing.assert_allclose(models.negative_elbo(y, x, beta=4.0), bce + 4 * kl, rtol=1e-6)
    squares = ((y["logits"] - x) ** 2).sum((1, 2))
    found = models.negative_elbo(y, x, reconstruction=losses.squared_error)
    np.testing.assert_allclose(found, squares + kl, rtol=1e-6)
    with pytest.raises(TypeError, match="prediction must be a vae's output"):
        models.negative_elbo(y["logits"], x)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="differ in shape"):
        models.negative_elbo(y, x.reshape(3, 4))


def test_a_vae_of_other_halves_is_a_compose():
    small = serial(layers.conv(2, 3, stride=2), layers.flatten())
    head = parallel(
        models.mean_and_log_variance, mean=layers.dense(2), log_variance=layers.dense(2)
    )
    net = compose(
        models.variational,
        encoder=serial(small, head=head),
        sample=layers.gaussian_sample(),
        decoder=serial(layers.dense(4), layers.reshape(2, 2, 1), layers.upsample(2)),
    )
    x = jax.random.uniform(KEY, (3, 4, 4, 1))
    params, state = net.init(KEY, x)
    assert models.elbo(net, params, state, x, key=KEY, draws=3).shape == (3,)


# --- gan --------------------------------------------------------------------------------------

CENTRES = jnp.stack([jnp.cos(jnp.arange(8) * jnp.pi / 4), jnp.sin(jnp.arange(8) * jnp.pi / 4)], 1)


def ring(key, n):
    which, where = jax.random.split(key)
    spread = 0.05 * jax.random.normal(where, (n, 2))
    return CENTRES[jax.random.randint(which, (n,), 0, 8)] + spread


def test_a_gan_finds_all_eight_clouds_on_a_ring():
    pair = models.gan(8, shape=2, hidden=(64, 64))
    slow = optim.adam(1e-3, b1=0.5)
    start, step = models.make_gan_step(pair, slow, slow, r1=0.1)

    @jax.jit
    def run(key):
        keys = jax.random.split(jax.random.key(1), 2500)
        x = jax.ShapeDtypeStruct((1, 2), jnp.float32)
        return jax.lax.scan(lambda g, key: step(g, ring(key, 256)), start(key, x), keys)

    gan_state, told = run(KEY)
    drawn = models.draw_examples(pair, gan_state, jax.random.key(2), n=2000)
    distance = jnp.linalg.norm(drawn[:, None] - CENTRES, axis=-1)
    near = distance.min(1) < 0.2
    shares = jnp.bincount(distance.argmin(1), near.astype(float), length=8) / 2000
    assert near.mean() > 0.7
    assert shares.min() > 0.04  # an eighth each, if it were perfect
    assert shares.max() < 0.25
    # nothing can be told apart any more
    np.testing.assert_allclose(told.generator[-100:].mean(), np.log(2), rtol=0.15)
    np.testing.assert_allclose(told.discriminator[-100:].mean(), 2 * np.log(2), rtol=0.05)


def small_game(**options):
    pair = models.Gan(
        serial(layers.dense(4), layers.batch_norm(), jnp.tanh, layers.dense(2)),
        serial(layers.dense(4), layers.batch_norm(), layers.dropout(0.3), layers.dense(1)),
        latent=3,
    )
    start, step = models.make_gan_step(pair, optim.sgd(0.1), optim.sgd(0.05), **options)
    return pair, start(KEY, jnp.zeros((1, 2))), step


def test_a_scan_of_gan_steps_equals_a_loop():
    _, first, step = small_game(r1=0.5)
    x = jax.random.normal(KEY, (3, 8, 2))
    scanned, told = jax.lax.scan(step, first, x)
    looped, quick = first, jax.jit(step)
    for i in range(3):
        looped, losses_now = quick(looped, x[i])
        np.testing.assert_allclose(losses_now.generator, told.generator[i], rtol=1e-5)
    chex.assert_trees_all_close(scanned.params, looped.params, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(scanned.state, looped.state, rtol=1e-5, atol=1e-6)
    assert int(scanned.step) == 3
    for kind in ("params", "state"):
        for name in ("generator", "discriminator"):
            moved = jax.tree.map(
                lambda a, b: bool(jnp.any(a != b)),
                getattr(first, kind)[name],
                getattr(scanned, kind)[name],
            )
            assert jax.tree.all(moved) or name == "generator", (kind, name, moved)
            assert any(jax.tree.leaves(moved))


def test_the_gradients_of_a_gan_step_are_those_of_its_two_losses():
    """Of linear networks: D(x) = x w and G(z) = z v, whose gradients are short."""
    pair = models.Gan(layers.dense(1, bias=False), layers.dense(1, bias=False), latent=1)
    gamma = 0.7
    start, step = models.make_gan_step(pair, optim.sgd(1.0), optim.sgd(1.0), r1=gamma)
    x = jnp.zeros((4096, 1)) + 2.0
    before = start(KEY, x)
    after, told = jax.jit(step)(before, x)
    w, v = before.params["discriminator"]["w"][0, 0], before.params["generator"]["w"][0, 0]
    z = jnp.linspace(-6, 6, 2001)
    weight = norm.pdf(z) * (z[1] - z[0])

    def of_discriminator(w):
        fake = jnp.sum(weight * jax.nn.softplus(w * v * z))
        return jax.nn.softplus(-w * 2.0) + fake + gamma / 2 * w**2

    def of_generator(v, w):
        return jnp.sum(weight * jax.nn.softplus(-w * v * z))

    moved_w = after.params["discriminator"]["w"][0, 0]
    np.testing.assert_allclose(told.discriminator, of_discriminator(w), rtol=0.02)
    np.testing.assert_allclose(moved_w, w - jax.grad(of_discriminator)(w), atol=0.03)
    moved_v = after.params["generator"]["w"][0, 0]
    np.testing.assert_allclose(told.generator, of_generator(v, moved_w), rtol=0.02)
    np.testing.assert_allclose(moved_v, v - jax.grad(of_generator)(v, moved_w), atol=0.03)


def test_a_discriminator_that_knows_nothing_costs_two_log_two():
    pair, first, step = small_game()
    blind = jax.tree.map(jnp.zeros_like, first.params["discriminator"])
    first = first._replace(params={**first.params, "discriminator": blind})
    _, told = jax.jit(step)(first, jnp.ones((8, 2)))
    np.testing.assert_allclose(told.discriminator, 2 * np.log(2), rtol=1e-6)
    with pytest.raises(ValueError, match="r1 must be >= 0"):
        models.make_gan_step(pair, optim.sgd(0.1), optim.sgd(0.1), r1=-1.0)


# --- pictures ---------------------------------------------------------------------------------


def shown(figure):
    return [np.asarray(panel.get_images()[0].get_array()) for panel in figure.axes]


def test_images_stand_in_rows_with_a_white_line_between():
    pictures = np.arange(3)[:, None, None] / 4 * np.ones((3, 2, 2))
    (canvas,) = shown(fnn.draw.images(pictures, columns=2))
    line = [1.0] * 5
    rows = [[0, 0, 1, 0.25, 0.25]] * 2 + [line] + [[0.5, 0.5, 1, 1, 1]] * 2
    np.testing.assert_array_equal(canvas, rows)


def test_images_may_have_colours_places_and_names():
    colours = np.random.default_rng(0).random((5, 4, 3, 3))
    figure = fnn.draw.images({"$a": colours, "b": np.zeros((2, 3, 4, 4))}, title="both")
    first, second = shown(figure)
    assert first.shape == (2 * 4 + 1, 3 * 3 + 2, 3)
    np.testing.assert_array_equal(first[:4, 4:7], colours[1])
    assert second.shape == (9, 14)
    assert [panel.get_title(loc="left") for panel in figure.axes] == [r"\$a", "b"]
    for wrong in (np.zeros((4, 4)), np.zeros((0, 4, 4)), np.zeros((1, 1, 1, 4, 4, 4))):
        with pytest.raises(ValueError, match=r"draw.images: each array must be"):
            fnn.draw.images(wrong)
