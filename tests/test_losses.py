"""Losses are PyTorch's, their slopes are finite differences, and none ever broadcasts."""

import itertools
import json
import pathlib
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from fnn import losses

STORED = json.loads((pathlib.Path(__file__).parent / "data/losses_torch.json").read_text())
A = {name: np.array(array) for name, array in STORED["arrays"].items()}
Z, LABELS, W, U, V, N, Q = (A[name] for name in ("z", "labels", "weights", "u", "v", "n", "q"))
BIT, SIGN, COUNT, VAR = A["bit"], A["sign"], A["count"], A["var"]

# what PyTorch calls it: ours, as a function of its first, differentiable argument; that argument
CASES = {
    "cross_entropy": (lambda z: losses.cross_entropy(z, LABELS), Z),
    "cross_entropy smoothed": (
        lambda z: losses.cross_entropy(z, LABELS, label_smoothing=0.1),
        Z,
    ),
    "cross_entropy weighted": (lambda z: losses.cross_entropy(z, LABELS, class_weights=W), Z),
    "cross_entropy weighted mean": (
        lambda z: losses.weighted_mean(losses.cross_entropy(z, LABELS), W[LABELS]),
        Z,
    ),
    "cross_entropy smoothed and weighted": (
        lambda z: losses.cross_entropy(z, LABELS, label_smoothing=0.1, class_weights=W),
        Z,
    ),
    "cross_entropy ignoring 2": (lambda z: losses.cross_entropy(z, LABELS, ignore_label=2), Z),
    "soft_cross_entropy": (lambda z: losses.soft_cross_entropy(z, Q), Z),
    "binary_cross_entropy": (
        lambda z: losses.binary_cross_entropy(z, BIT, positive_weight=3.0),
        Z,
    ),
    "nll": (lambda z: losses.nll(jax.nn.log_softmax(z), LABELS), Z),
    "kl_divergence": (lambda z: losses.kl_divergence(jax.nn.log_softmax(z), Q), Z),
    "multiclass_hinge": (lambda z: losses.multiclass_hinge(z, LABELS, margin=0.7), Z),
    "squared_error": (lambda u: losses.squared_error(u, V), U),
    "absolute_error": (lambda u: losses.absolute_error(u, V), U),
    "huber": (lambda u: losses.huber(u, V, delta=0.6), U),
    "smooth_l1": (lambda u: losses.smooth_l1(u, V, beta=0.6), U),
    "poisson_nll": (lambda u: losses.poisson_nll(u, COUNT), U),
    "gaussian_nll": (lambda u: losses.gaussian_nll(u, V, VAR), U),
    "cosine_embedding": (lambda u: losses.cosine_embedding(u, V, SIGN, margin=0.1), U),
    "triplet 2": (lambda u: losses.triplet(u, V, N, margin=0.5), U),
    "triplet 1": (lambda u: losses.triplet(u, V, N, margin=0.5, p=1.0), U),
    "margin_ranking": (lambda u: losses.margin_ranking(u, V[:, 0], SIGN, margin=0.2), U[:, 0]),
    "ctc": (
        lambda z: losses.ctc(
            z, A["strings"], logit_lengths=A["logit_lengths"], label_lengths=A["label_lengths"]
        ),
        A["frames"],
    ),
}
# the same in closed form, for those that PyTorch has not or has otherwise
P = 1 / (1 + np.exp(-Z))
SOFT = np.exp(Z) / np.exp(Z).sum(-1, keepdims=True)
TRUE = SOFT[np.arange(6), LABELS]
SIGNED = 2 * BIT - 1
FORMULAS = {
    "log_cosh": (lambda u: losses.log_cosh(u, V), U, np.log(np.cosh(U - V))),
    "rmse": (lambda u: losses.rmse(u, V), U, np.sqrt(np.mean((U - V) ** 2, -1))),
    "hinge": (lambda z: losses.hinge(z, SIGNED), Z, np.maximum(0, 1 - SIGNED * Z)),
    "squared_hinge": (
        lambda z: losses.squared_hinge(z, SIGNED),
        Z,
        np.maximum(0, 1 - SIGNED * Z) ** 2,
    ),
    "focal": (
        lambda z: losses.focal(z, LABELS, gamma=1.5, class_weights=W),
        Z,
        -W[LABELS] * (1 - TRUE) ** 1.5 * np.log(TRUE),
    ),
    "binary_focal": (
        lambda z: losses.binary_focal(z, BIT, alpha=0.25),
        Z,
        np.where(BIT, -0.25 * (1 - P) ** 2 * np.log(P), -0.75 * P**2 * np.log(1 - P)),
    ),
    "dice": (
        lambda z: losses.dice(jax.nn.sigmoid(z), BIT),
        Z,
        1 - (2 * (P * BIT).sum(-1) + 1) / (P.sum(-1) + BIT.sum(-1) + 1),
    ),
    "cosine_distance": (
        lambda u: losses.cosine_distance(u, V),
        U,
        1 - (U * V).sum(-1) / np.linalg.norm(U, axis=-1) / np.linalg.norm(V, axis=-1),
    ),
    "contrastive": (
        lambda u: losses.contrastive(jnp.abs(u), BIT),
        U,
        np.where(BIT, U**2, np.maximum(0, 1 - np.abs(U)) ** 2) / 2,
    ),
}
ALL = {**CASES, **{name: row[:2] for name, row in FORMULAS.items()}}


@pytest.mark.parametrize("name", CASES)
def test_a_loss_is_pytorchs(name, x64):
    ours, x = CASES[name]
    np.testing.assert_allclose(
        ours(jnp.asarray(x)), STORED["numbers"][name], rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("row", FORMULAS.values(), ids=FORMULAS.keys())
def test_a_loss_is_its_formula(row, x64):
    ours, x, expected = row
    np.testing.assert_allclose(ours(jnp.asarray(x)), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_the_slope_is_the_finite_difference(name, x64):
    ours, x = ALL[name]
    check_grads(lambda x: ours(x).sum(), (jnp.asarray(x),), order=1, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e4, 0.0])
@pytest.mark.parametrize("name", ALL)
def test_value_and_slope_are_finite_far_out_and_at_zero(name, scale):
    ours, x = ALL[name]
    x = jnp.asarray(np.sign(x) * scale, jnp.float32)
    value, slope = jax.value_and_grad(lambda x: ours(x).mean())(x)
    chex.assert_tree_all_finite((value, slope))


@pytest.mark.parametrize("name", ALL)
def test_sixteen_bit_predictions_are_judged_in_float32(name):
    ours, x = ALL[name]
    found = ours(jnp.asarray(x, jnp.bfloat16))
    assert found.dtype == jnp.float32
    exact = ours(jnp.asarray(x, jnp.bfloat16).astype(jnp.float32))
    np.testing.assert_allclose(found, exact, rtol=3e-2, atol=3e-2)


def test_the_mean_squared_error_has_the_slope_two_over_n(x64):
    slope = jax.grad(lambda u: losses.mse(u, V).mean())(jnp.asarray(U))
    np.testing.assert_allclose(slope, 2 * (U - V) / U.size, rtol=1e-12)


def test_the_slope_of_cross_entropy_is_probability_minus_truth(x64):
    slope = jax.grad(lambda z: losses.cross_entropy(z, LABELS).sum())(jnp.asarray(Z))
    np.testing.assert_allclose(slope, SOFT - np.eye(4)[LABELS], rtol=1e-10, atol=1e-12)


def test_the_kl_divergence_is_that_of_the_second_from_the_first(x64):
    p, q = np.array([0.9, 0.1]), np.array([0.5, 0.5])
    found = losses.kl_divergence(jnp.log(q), p)
    np.testing.assert_allclose(found, (p * np.log(p / q)).sum(), rtol=1e-12)
    assert abs(float(found) - (q * np.log(q / p)).sum()) > 0.1  # the other direction differs


def test_a_hopeless_logit_costs_its_distance_and_a_sure_one_nothing():
    z = jnp.array([[1e4, -1e4]])
    assert float(losses.cross_entropy(z, jnp.array([1]))[0]) == 2e4
    assert float(losses.cross_entropy(z, jnp.array([0]))[0]) == 0.0
    assert float(losses.binary_cross_entropy(jnp.array(-1e4), jnp.array(1))) == 1e4


def test_a_masked_class_costs_nothing_and_leaves_the_gradient_finite():
    z = jnp.array([[0.0, 0.0, -jnp.inf]])
    value, slope = jax.value_and_grad(lambda z: losses.cross_entropy(z, jnp.array([0]))[0])(z)
    np.testing.assert_allclose(value, np.log(2), rtol=1e-6)
    np.testing.assert_allclose(slope, [[-0.5, 0.5, 0.0]], atol=1e-6)


def test_a_batch_that_is_ignored_altogether_has_loss_zero_and_no_gradient():
    def mean(z):
        each = losses.cross_entropy(z, jnp.full(6, -1), ignore_label=-1)
        return losses.weighted_mean(each, jnp.zeros(6))

    value, slope = jax.value_and_grad(mean)(jnp.asarray(Z, jnp.float32))
    assert float(value) == 0.0
    np.testing.assert_array_equal(slope, 0.0)


def test_a_label_that_is_no_class_is_seen_as_nan():
    found = losses.cross_entropy(jnp.zeros((3, 4)), jnp.array([0, 4, -1]))
    np.testing.assert_array_equal(np.isnan(found), [False, True, True])


@pytest.mark.parametrize("name", ["nll", "multiclass_hinge", "focal"])
def test_every_loss_of_labels_shows_a_wrong_one_as_nan(name):
    found = getattr(losses, name)(jnp.zeros((3, 4)), jnp.array([0, 4, -1]))
    np.testing.assert_array_equal(np.isnan(found), [False, True, True])


def test_a_label_of_eight_bits_is_not_taken_for_minus_one():
    labels = np.array([255, 1], np.uint8)
    found = losses.cross_entropy(jnp.zeros((2, 256)), labels, ignore_label=-1)
    np.testing.assert_allclose(found, np.log(256), rtol=1e-6)


def test_whole_numbers_as_logits_keep_the_class_weights():
    z = jnp.zeros((2, 4), int)
    found = losses.cross_entropy(z, jnp.array([0, 3]), class_weights=jnp.asarray(W))
    np.testing.assert_allclose(found, [0.5 * np.log(4), 3 * np.log(4)], rtol=1e-6)


def test_focal_stands_a_masked_class():
    z = jnp.array([[0.0, 0.0, -jnp.inf]])
    value, slope = jax.value_and_grad(lambda z: losses.focal(z, jnp.array([0]))[0])(z)
    np.testing.assert_allclose(value, np.log(2) / 4, rtol=1e-6)
    chex.assert_tree_all_finite(slope)


def test_log_cosh_keeps_its_digits_near_zero():
    e = jnp.array([1e-5, 1e-3, 0.1, 0.99, 1.01, 9.0], jnp.float32)
    exact = np.log1p(2 * np.sinh(np.asarray(e, np.float64) / 2) ** 2)
    np.testing.assert_allclose(losses.log_cosh(e, jnp.zeros(6)), exact, rtol=2e-6)


def test_settings_can_be_swept_by_vmap(x64):
    sweeps = {
        "focal": lambda s: losses.focal(Z, LABELS, gamma=s),
        "dice": lambda s: losses.dice(P, BIT, smooth=s),
        "triplet": lambda s: losses.triplet(U, V, N, margin=s),
        "contrastive": lambda s: losses.contrastive(np.abs(U), BIT, margin=s),
    }
    for f in sweeps.values():
        found = jax.vmap(f)(jnp.array([0.5, 2.0]))
        np.testing.assert_allclose(found, [f(0.5), f(2.0)], rtol=1e-12, atol=1e-12)


def test_ctc_looks_at_no_label_beyond_the_length(x64):
    frames = jnp.asarray(A["frames"][:1])

    @jax.jit
    @jax.value_and_grad
    def loss(z, labels):
        return losses.ctc(z, labels, label_lengths=jnp.array([1]))[0]

    short, slope = loss(frames, jnp.array([[2, 0, 0]]))
    padded, slope_padded = loss(frames, jnp.array([[2, -1, 99]]))
    assert float(short) == float(padded)
    np.testing.assert_array_equal(slope, slope_padded)
    wrong = [float(loss(frames, jnp.array([[c, 1, 1]]))[0]) for c in (-1, 99, 0)]
    assert np.isnan(wrong).all()  # no class, no class, the blank


def test_ctc_of_nothing_is_certain_and_of_too_few_frames_hopeless_but_finite():
    frames = jnp.asarray(A["frames"], jnp.float32)
    labels = jnp.asarray(A["strings"])
    found = losses.ctc(
        frames, labels, logit_lengths=jnp.array([0, 0, 2]), label_lengths=jnp.array([0, 1, 3])
    )
    np.testing.assert_allclose(found, [0.0, 1e30, 1e30], rtol=1e-6)
    slope = jax.grad(lambda z: losses.ctc(z, labels, logit_lengths=jnp.array([2, 2, 2])).sum())
    chex.assert_tree_all_finite(slope(frames))


@pytest.mark.parametrize("label", [[1, 1], [2, 1]])  # a blank between like ones; the last class
def test_ctc_is_the_sum_over_all_alignments(label, x64):
    frames = jax.random.normal(jax.random.key(0), (1, 4, 3))
    p = np.asarray(jax.nn.softmax(frames[0]))

    def collapse(path):
        return [c for c, _ in itertools.groupby(path) if c != 0]

    paths = itertools.product(range(3), repeat=4)
    total = sum(np.prod(p[range(4), path]) for path in paths if collapse(path) == label)
    np.testing.assert_allclose(losses.ctc(frames, jnp.array([label])), -np.log(total), rtol=1e-10)


def test_ctc_is_optaxs(x64):
    frames, strings = jnp.asarray(A["frames"]), jnp.asarray(A["strings"])
    steps, letters = jnp.asarray(A["logit_lengths"]), jnp.asarray(A["label_lengths"])
    theirs = optax.ctc_loss(
        frames,
        (jnp.arange(7) >= steps[:, None]).astype(float),
        strings,
        (jnp.arange(3) >= letters[:, None]).astype(float),
    )
    ours = losses.ctc(frames, strings, logit_lengths=steps, label_lengths=letters)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


# what each loss of two arrays calls them
PAIRED = {
    **dict.fromkeys(("squared_error", "absolute_error", "rmse"), "prediction target"),
    **dict.fromkeys(("huber", "smooth_l1", "log_cosh", "hinge"), "prediction target"),
    **dict.fromkeys(("squared_hinge", "gaussian_nll"), "prediction target"),
    **dict.fromkeys(("binary_cross_entropy", "binary_focal"), "logits target"),
    "poisson_nll": "log_rate count",
    "soft_cross_entropy": "logits probabilities",
    "kl_divergence": "log_q p",
    "dice": "probabilities target",
    "cosine_distance": "a b",
    "cosine_embedding": "a b",
    "contrastive": "distance same",
    "triplet": "anchor positive",
    "margin_ranking": "first second",
    "weighted_mean": "losses weights",
    "gaussian_kl": "mean log_variance",
}


@pytest.mark.parametrize("name", PAIRED)
def test_a_missing_axis_is_refused_not_broadcast(name):
    function, (first, second) = getattr(losses, name), PAIRED[name].split()
    third = {"gaussian_nll": 1, "cosine_embedding": 1, "triplet": 1, "margin_ranking": 1}
    owner = "cosine_distance" if name == "cosine_embedding" else function.__name__
    words = rf"^{owner}: {first} \(3, 1\) and {second} \(3,\) differ in shape; give both"
    with pytest.raises(ValueError, match=words):
        function(jnp.ones((3, 1)), jnp.ones(3), *[jnp.ones((3, 1))] * third.get(name, 0))


@pytest.mark.parametrize(
    ("name", "words"),
    {
        "gaussian_nll": "prediction (3, 1) and variance (3,)",
        "triplet": "anchor (3, 1) and negative (3,)",
        "margin_ranking": "first (3, 1) and target (3,)",
        "cosine_embedding": "pairs (3,) and target (2,)",
    }.items(),
)
def test_a_third_array_of_another_shape_is_refused_by_its_name(name, words):
    third = jnp.ones(2 if name == "cosine_embedding" else 3)
    with pytest.raises(ValueError, match="^" + re.escape(f"{name}: {words} differ in shape")):
        getattr(losses, name)(jnp.ones((3, 1)), jnp.ones((3, 1)), third)


@pytest.mark.parametrize("name", ["cross_entropy", "nll", "multiclass_hinge", "focal"])
def test_labels_must_be_integers_one_for_each_row(name):
    function = getattr(losses, name)
    with pytest.raises(
        TypeError, match=rf"^{name}: labels must be integer class ids, got float32\[3\]"
    ):
        function(jnp.ones((3, 2)), jnp.ones(3))
    with pytest.raises(
        ValueError, match=rf"^{name}: logits \(3, 2\) need labels \(3,\), got \(3, 1\)"
    ):
        function(jnp.ones((3, 2)), jnp.ones((3, 1), int))


def test_images_that_were_not_flattened_are_recognised():
    with pytest.raises(ValueError, match=r"got \(2,\); one label .* put flatten\(\) before"):
        losses.cross_entropy(jnp.zeros((2, 8, 8, 10)), jnp.array([0, 1]))


def test_weights_of_classes_are_one_for_each_and_never_broadcast():
    for function in (losses.cross_entropy, losses.focal):
        for shape in ((1,), (2, 4), (3,)):
            with pytest.raises(
                ValueError,
                match=rf"^{function.__name__}: class_weights must have shape \(4,\) .* one weight",
            ):
                function(jnp.zeros((2, 4)), jnp.array([0, 1]), class_weights=jnp.ones(shape))
    with pytest.raises(ValueError, match=r"positive_weight \(5, 1\) must be a number or have"):
        losses.binary_cross_entropy(jnp.zeros(2), jnp.ones(2), positive_weight=jnp.ones((5, 1)))
    each = losses.binary_cross_entropy(jnp.zeros((2, 2)), jnp.ones((2, 2)), positive_weight=W[:2])
    np.testing.assert_allclose(each, np.log(2) * np.array([W[:2]] * 2), rtol=1e-6)


def test_a_score_without_classes_is_refused():
    with pytest.raises(ValueError, match="nll: logits need a class axis, got a scalar; give"):
        losses.nll(jnp.zeros(()), jnp.array(0))


def test_ctc_says_what_does_not_fit():
    z, labels = jnp.zeros((2, 4, 5)), jnp.array([[1, 2], [1, 2]])
    with pytest.raises(TypeError, match=r"got float32; use labels.astype\(int\)"):
        losses.ctc(z, labels.astype(float))
    with pytest.raises(ValueError, match=r"label_lengths must have shape \(2,\), .* got \(1,\)"):
        losses.ctc(z, labels, label_lengths=jnp.array([1]))
    with pytest.raises(TypeError, match="logit_lengths must be integers, got float32; use"):
        losses.ctc(z, labels, logit_lengths=jnp.ones(2))
    with pytest.raises(ValueError, match="blank must be a class from 0 to 4, got 7"):
        losses.ctc(z, labels, blank=7)


SETTINGS = {
    "cross_entropy: label_smoothing": lambda v: losses.cross_entropy(Z, LABELS, label_smoothing=v),
    "huber: delta": lambda v: losses.huber(U, V, delta=v),
    "smooth_l1: beta": lambda v: losses.smooth_l1(U, V, beta=v),
    "focal: gamma": lambda v: losses.focal(Z, LABELS, gamma=v),
    "binary_focal: gamma": lambda v: losses.binary_focal(Z, BIT, gamma=v),
    "dice: smooth": lambda v: losses.dice(U, V, smooth=v),
    "triplet: margin": lambda v: losses.triplet(U, V, N, margin=v),
    "margin_ranking: margin": lambda v: losses.margin_ranking(U, V, V, margin=v),
    "contrastive: margin": lambda v: losses.contrastive(U, V, margin=v),
    "gaussian_nll: eps": lambda v: losses.gaussian_nll(U, V, VAR, eps=v),
    "triplet: p": lambda v: losses.triplet(U, V, N, p=v),
    "cosine_embedding: margin": lambda v: losses.cosine_embedding(U, V, SIGN, margin=v),
}
# the range of each: its ends that belong to it, and numbers just outside
ENDS = {
    "cross_entropy: label_smoothing": ([0.0, 0.99], [-0.01, 1.0]),
    "focal: gamma": ([0.0], [-0.01]),
    "binary_focal: gamma": ([0.0], [-0.01]),
    "margin_ranking: margin": ([0.0], [-0.01]),
    "triplet: p": ([1.0, 1], [0.99, float("inf"), float("nan")]),
    "cosine_embedding: margin": ([-1.0, 1], [-1.01, 1.01]),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_out_of_range_is_refused_and_its_ends_are_not(name):
    allowed, refused = ENDS.get(name, ([0.01, 1], [0.0, 0, -1.0]))
    for value in refused:
        with pytest.raises(ValueError, match=f"^{name} must be .*got {value}"):
            SETTINGS[name](value)
    for value in allowed:
        assert np.all(np.isfinite(SETTINGS[name](value)))


def test_settings_by_default_are_those_of_the_papers(x64):
    for plain, written in (
        (losses.focal(Z, LABELS), losses.focal(Z, LABELS, gamma=2.0)),
        (losses.focal(Z, LABELS, gamma=0.0), losses.cross_entropy(Z, LABELS)),
        (losses.binary_focal(Z, BIT), losses.binary_focal(Z, BIT, gamma=2.0)),
        (losses.binary_focal(Z, BIT, gamma=0.0), losses.binary_cross_entropy(Z, BIT)),
        (losses.huber(U, V), losses.huber(U, V, delta=1.0)),
        (losses.smooth_l1(U, V), losses.smooth_l1(U, V, beta=1.0)),
        (losses.multiclass_hinge(Z, LABELS), losses.multiclass_hinge(Z, LABELS, margin=1.0)),
        (losses.triplet(U, V, N), losses.triplet(U, V, N, margin=1.0, p=2.0)),
        (losses.cosine_embedding(U, V, SIGN), losses.cosine_embedding(U, V, SIGN, margin=0.0)),
        (losses.gaussian_nll(U, V, 0 * V), losses.gaussian_nll(U, V, 0 * V + 1e-6)),
        (losses.dice(P, BIT), losses.dice(P, BIT, smooth=1.0)),
        (
            losses.margin_ranking(U[:, 0], V[:, 0], SIGN),
            losses.margin_ranking(U[:, 0], V[:, 0], SIGN, margin=0.0),
        ),
    ):
        np.testing.assert_allclose(plain, written, rtol=1e-9)


@pytest.mark.parametrize(
    "name", ["cross_entropy", "nll", "multiclass_hinge", "focal", "soft_cross_entropy", "dice"]
)
def test_leading_axes_are_all_examples(name):
    function, target = (
        getattr(losses, name),
        Q if name in ("soft_cross_entropy", "dice") else LABELS,
    )
    apart = function(Z.reshape(2, 3, -1), target.reshape(2, 3, *target.shape[1:]))
    np.testing.assert_allclose(apart, function(Z, target).reshape(2, 3), rtol=1e-6)


@pytest.mark.parametrize("name", [n for n, v in PAIRED.items() if v == "prediction target"])
def test_the_error_of_a_right_prediction_is_zero(name):
    if "hinge" in name:
        y = jnp.array([1.0, -1.0, 1.0])
        np.testing.assert_array_equal(getattr(losses, name)(y * 1.5, y), 0.0)
    elif name != "gaussian_nll":
        value, slope = jax.value_and_grad(lambda u: getattr(losses, name)(u, u + 0.0).sum())(U)
        assert value == 0
        assert np.all(np.isfinite(slope))
    else:  # what is left is the price of the spread
        np.testing.assert_allclose(losses.gaussian_nll(U, U, VAR), 0.5 * np.log(VAR), atol=1e-6)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_triplets_are_measured_by_the_p_norm_where_coordinates_agree_too(p):
    anchor, near, far = np.zeros((1, 3)), np.array([[0.0, 3.0, 0.0]]), np.array([[0.0, 0.0, 0.0]])
    np.testing.assert_allclose(losses.triplet(anchor, near, far, p=p), [4.0], rtol=1e-6)
    near = np.array([[0.0, 3.0, -4.0]])
    size = np.linalg.norm(near[0], p)
    np.testing.assert_allclose(losses.triplet(anchor, near, far, p=p), [size + 1], rtol=1e-6)


@pytest.mark.parametrize("blank", [0, 2, 3])
def test_ctc_does_not_see_which_class_is_the_blank(blank, x64):
    frames, strings = A["frames"], A["strings"]
    classes = frames.shape[2]
    order = np.arange(1, classes)
    order = np.concatenate([order[:blank], [0], order[blank:]])  # where the old classes went
    place = np.argsort(order)
    lengths = {"logit_lengths": A["logit_lengths"], "label_lengths": A["label_lengths"]}
    moved = losses.ctc(frames[..., order], place[strings], blank=blank, **lengths)
    np.testing.assert_allclose(moved, losses.ctc(frames, strings, **lengths), rtol=1e-9)


@pytest.mark.parametrize(
    ("logits", "labels"), [((2, 4), (2, 2)), ((2, 4, 5), (2,)), ((2, 4, 5), (3, 2))]
)
def test_ctc_wants_a_batch_of_both(logits, labels):
    with pytest.raises(ValueError, match=re.escape(f"got {logits} and {labels}; give a batch of")):
        losses.ctc(jnp.zeros(logits), jnp.ones(labels, int))


@pytest.mark.parametrize("gamma", [0.0, 1.0, 3.0])
def test_focal_weighs_by_any_power_of_the_error(gamma, x64):
    wanted = -((1 - TRUE) ** gamma) * np.log(TRUE)
    np.testing.assert_allclose(losses.focal(Z, LABELS, gamma=gamma), wanted, rtol=1e-7)


def test_the_divergence_of_gaussians_sums_the_last_axis_alone(x64):
    mean, log_variance = U.reshape(2, 3, -1), V.reshape(2, 3, -1)
    wanted = 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance, -1)
    np.testing.assert_allclose(losses.gaussian_kl(mean, log_variance), wanted, rtol=1e-10)
