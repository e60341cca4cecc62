"""fnn.metrics: equal to scikit-learn and to closed forms; never broadcasting, always saying why."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import metrics

CLASSES = 4
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, CLASSES, 60)
IDS = np.where(RNG.random(60) < 0.6, LABELS, RNG.integers(0, CLASSES, 60))
LOGITS = RNG.normal(size=(60, CLASSES)).round(1)  # rounded: ties occur
HITS = RNG.integers(0, 2, 80)
SCORES = (RNG.normal(size=80) + HITS).round(1)  # rounded: many ties
TARGET = RNG.normal(size=(50, 3)) * np.array([1.0, 5.0, 0.1]) + 3
GUESS = TARGET + 0.5 * RNG.normal(size=(50, 3)) * np.array([1.0, 5.0, 0.1])

AVERAGES = {"macro": "macro", "micro": "micro", "weighted": "weighted", "each": None}


@pytest.fixture
def sk():
    return pytest.importorskip("sklearn.metrics")


def close(ours, theirs, **tolerance):
    np.testing.assert_allclose(ours, theirs, **{"rtol": 2e-5, "atol": 1e-6} | tolerance)


# --- classes ----------------------------------------------------------------------------------


def test_accuracy_is_the_share_of_equal_ids_from_logits_or_ids():
    close(metrics.accuracy(jnp.asarray(LOGITS), LABELS), np.mean(LOGITS.argmax(1) == LABELS))
    close(metrics.accuracy(IDS, LABELS), np.mean(IDS == LABELS))
    close(metrics.accuracy(SCORES > 0, HITS), np.mean((SCORES > 0) == HITS))
    sequences = LOGITS.reshape(6, 10, CLASSES)
    close(metrics.accuracy(sequences, LABELS.reshape(6, 10)), np.mean(LOGITS.argmax(1) == LABELS))


def test_top_1_is_accuracy_and_top_all_is_1():
    close(metrics.top_k_accuracy(LOGITS, LABELS, k=1), metrics.accuracy(LOGITS, LABELS))
    assert metrics.top_k_accuracy(LOGITS, LABELS, k=CLASSES) == 1
    best_two = np.argsort(-LOGITS, axis=1, kind="stable")[:, :2]
    expected = np.mean((best_two == LABELS[:, None]).any(1))
    close(metrics.top_k_accuracy(LOGITS, LABELS, k=2), expected)


def test_constant_logits_earn_no_more_than_their_share():
    labels = jnp.arange(10)
    assert metrics.top_k_accuracy(jnp.zeros((10, 10)), labels, k=3) == pytest.approx(0.3)


def test_nan_logits_are_wrong_answers():
    nan = jnp.full((3, 4), jnp.nan)
    labels = jnp.zeros(3, int)
    assert metrics.accuracy(nan, labels) == 0
    assert metrics.top_k_accuracy(nan, labels, k=4) == 0


def test_rows_of_the_confusion_matrix_are_labels(sk):
    matrix = metrics.confusion_matrix(IDS, LABELS, classes=CLASSES)
    np.testing.assert_array_equal(matrix, sk.confusion_matrix(LABELS, IDS))
    from_logits = metrics.confusion_matrix(LOGITS, LABELS)
    np.testing.assert_array_equal(from_logits, sk.confusion_matrix(LABELS, LOGITS.argmax(1)))
    assert metrics.confusion_matrix(IDS, LABELS, classes=6).shape == (6, 6)


@pytest.mark.parametrize("average", AVERAGES)
def test_precision_recall_and_f_equal_scikit_learn_in_every_average(sk, average):
    ours = {"average": average, "classes": CLASSES}
    theirs = {"average": AVERAGES[average], "zero_division": 0}
    for prediction in (IDS, np.zeros_like(IDS)):  # the second never names three of the classes
        for name, reference in (
            ("precision", sk.precision_score),
            ("recall", sk.recall_score),
            ("f1", sk.f1_score),
        ):
            close(getattr(metrics, name)(prediction, LABELS, **ours),
                  reference(LABELS, prediction, **theirs))  # fmt: skip
        close(
            metrics.f_beta(prediction, LABELS, beta=0.5, **ours),
            sk.fbeta_score(LABELS, prediction, beta=0.5, **theirs),
        )


def test_binary_rates_equal_scikit_learn_and_add_up(sk):
    called = SCORES > 0.5
    tn, fp, fn, tp = sk.confusion_matrix(HITS, called).ravel()
    close(metrics.precision(called, HITS), tp / (tp + fp))
    close(metrics.recall(called, HITS), tp / (tp + fn))
    close(metrics.true_positive_rate(called, HITS), tp / (tp + fn))
    close(metrics.specificity(called, HITS), tn / (tn + fp))
    close(metrics.false_positive_rate(called, HITS), fp / (tn + fp))
    close(metrics.f1(called, HITS), sk.f1_score(HITS, called))


def test_micro_average_of_single_labels_is_accuracy():
    for metric in (metrics.precision, metrics.recall, metrics.f1):
        value = metric(IDS, LABELS, average="micro", classes=CLASSES)
        close(value, metrics.accuracy(IDS, LABELS))


def test_balanced_accuracy_and_matthews_equal_scikit_learn(sk):
    rare = np.r_[np.zeros(55, int), np.full(5, 2)]  # classes 1 and 3 never occur
    some = np.r_[rare[:57], [0, 0, 0]]
    for prediction, labels in ((IDS, LABELS), (some, rare)):
        ours = {"classes": CLASSES}
        close(
            metrics.balanced_accuracy(prediction, labels, **ours),
            sk.balanced_accuracy_score(labels, prediction),
        )
        close(
            metrics.matthews(prediction, labels, **ours),
            sk.matthews_corrcoef(labels, prediction),
        )
    assert metrics.matthews(np.zeros_like(LABELS), LABELS, classes=CLASSES) == 0


def test_the_null_model_answers_the_most_frequent_class():
    labels = np.array([2, 2, 1, 0, 2])
    close(metrics.null_accuracy(labels, classes=3), 0.6)
    constant = np.full_like(labels, 2)
    close(metrics.null_accuracy(labels, classes=3), metrics.accuracy(constant, labels))


# --- scores -----------------------------------------------------------------------------------


def test_auc_is_the_chance_that_a_positive_outscores_a_negative():
    p, n = SCORES[HITS == 1][:, None], SCORES[HITS == 0][None]
    close(metrics.roc_auc(SCORES, HITS), np.mean((p > n) + 0.5 * (p == n)))


def test_ranking_metrics_equal_scikit_learn_with_ties(sk):
    close(metrics.roc_auc(SCORES, HITS), sk.roc_auc_score(HITS, SCORES))
    close(metrics.average_precision(SCORES, HITS), sk.average_precision_score(HITS, SCORES))
    curve = metrics.roc_curve(SCORES, HITS)
    ours = np.unique(np.stack(curve[:2]), axis=1)
    theirs = np.unique(np.stack(sk.roc_curve(HITS, SCORES, drop_intermediate=False)[:2]), axis=1)
    close(ours, theirs)
    area = jnp.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
    close(area, metrics.roc_auc(SCORES, HITS))


def test_thresholds_give_the_rates_beside_them():
    curve = metrics.roc_curve(SCORES, HITS)
    for fpr, tpr, threshold in list(zip(*curve, strict=True))[::13]:
        called = jnp.asarray(SCORES, jnp.float32) >= threshold
        close(metrics.false_positive_rate(called, HITS), fpr)
        close(metrics.true_positive_rate(called, HITS), tpr)


def test_auc_depends_on_the_order_alone_and_turns_with_it():
    auc = metrics.roc_auc(SCORES, HITS)
    close(metrics.roc_auc(np.exp(SCORES), HITS), auc)
    close(metrics.roc_auc(-SCORES, HITS), 1 - auc)


def test_what_is_undefined_is_nan():
    scores = jnp.array([0.1, 0.2])
    assert jnp.isnan(metrics.roc_auc(scores, jnp.array([1, 1])))
    assert jnp.isnan(metrics.average_precision(scores, jnp.array([0, 0])))
    assert jnp.isnan(metrics.roc_auc(jnp.array([jnp.nan, 0.2]), jnp.array([0, 1])))


def test_brier_score_is_the_squared_distance_from_what_happened(sk):
    p = np.asarray(jax.nn.softmax(LOGITS))
    close(metrics.brier_score(p, LABELS), np.mean(((p - np.eye(CLASSES)[LABELS]) ** 2).sum(1)))
    one = np.asarray(jax.nn.sigmoid(SCORES))
    close(metrics.brier_score(one, HITS), sk.brier_score_loss(HITS, one))
    both = np.stack([1 - one, one], axis=1)
    close(metrics.brier_score(both, HITS), 2 * metrics.brier_score(one, HITS))


def test_calibration_error_is_the_gap_of_confidence_and_accuracy_per_bin():
    p = np.asarray(jax.nn.softmax(2 * LOGITS))
    confidence, right = p.max(1), p.argmax(1) == LABELS
    expected = 0.0
    for low in np.arange(10) / 10:
        inside = (confidence > low) & (confidence <= low + 0.1)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    close(metrics.expected_calibration_error(p, LABELS, bins=10), expected)
    # believed at 0.75 and true three times in four
    labels = jnp.array([1, 1, 1, 0])
    assert metrics.expected_calibration_error(jnp.full(4, 0.75), labels) == 0


# --- regression -------------------------------------------------------------------------------


def test_regression_metrics_equal_scikit_learn(sk):
    close(metrics.mse(GUESS, TARGET), sk.mean_squared_error(TARGET, GUESS))
    close(metrics.rmse(GUESS[:, 0], TARGET[:, 0]) ** 2, metrics.mse(GUESS[:, 0], TARGET[:, 0]))
    close(metrics.mae(GUESS, TARGET), sk.mean_absolute_error(TARGET, GUESS))
    close(metrics.max_error(GUESS[:, 1], TARGET[:, 1]), sk.max_error(TARGET[:, 1], GUESS[:, 1]))
    close(metrics.r2(GUESS, TARGET), sk.r2_score(TARGET, GUESS))
    close(metrics.explained_variance(GUESS + 7, TARGET), sk.explained_variance_score(TARGET, GUESS))


def test_the_mean_explains_nothing_and_another_constant_less():
    mean = TARGET.mean(0)
    close(metrics.null_r2(TARGET, mean=mean), 0, atol=1e-5)
    close(metrics.null_r2(TARGET, mean=mean + TARGET.std(0)), -1, rtol=1e-4)


def test_a_constant_target_is_explained_only_if_met():
    flat = jnp.full(5, 2.0)
    assert metrics.r2(flat, flat) == 1
    assert metrics.r2(flat + 1, flat) == 0


# --- manners ----------------------------------------------------------------------------------

EVERY = {
    "accuracy": (metrics.accuracy, IDS, LABELS),
    "top_k": (functools.partial(metrics.top_k_accuracy, k=2), LOGITS, LABELS),
    "confusion": (functools.partial(metrics.confusion_matrix, classes=CLASSES), IDS, LABELS),
    "f1": (functools.partial(metrics.f1, average="macro"), LOGITS, LABELS),
    "matthews": (functools.partial(metrics.matthews, classes=CLASSES), IDS, LABELS),
    "balanced": (metrics.balanced_accuracy, LOGITS, LABELS),
    "roc_curve": (metrics.roc_curve, SCORES, HITS),
    "roc_auc": (metrics.roc_auc, SCORES, HITS),
    "average_precision": (metrics.average_precision, SCORES, HITS),
    "brier": (metrics.brier_score, np.full(80, 0.3), HITS),
    "calibration": (metrics.expected_calibration_error, np.full(80, 0.3), HITS),
    "r2": (metrics.r2, GUESS, TARGET),
}


@pytest.mark.parametrize("name", EVERY)
def test_jit_and_vmap_change_nothing(name):
    metric, prediction, target = EVERY[name]
    expected = metric(prediction, target)
    jax.tree.map(close, jax.jit(metric)(prediction, target), expected)
    lanes = jax.vmap(metric)(np.stack([prediction, prediction]), np.stack([target, target]))
    jax.tree.map(lambda lane, one: close(lane[1], one), lanes, expected)


@pytest.mark.parametrize("name", EVERY)
def test_half_precision_is_measured_in_float32(name):
    metric, prediction, target = EVERY[name]
    if prediction.dtype.kind == "f":
        value = metric(jnp.asarray(prediction, jnp.bfloat16), target)
        assert all(leaf.dtype in (jnp.float32, jnp.int32) for leaf in jax.tree.leaves(value))


def raises(error, message, function, *arguments, **options):
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    assert message in str(caught.value)


def test_nothing_is_broadcast():
    column = TARGET[:, :1]
    says = "mse: prediction (50, 1) and target (50,) differ in shape; add or drop an axis"
    raises(ValueError, says, metrics.mse, column, TARGET[:, 0])
    says = "prediction (60,) and labels (1,) differ in shape"
    raises(ValueError, says, metrics.accuracy, IDS, LABELS[:1])
    says = "prediction (60, 4) and labels (59,) do not fit; prediction must be labels.shape +"
    raises(ValueError, says, metrics.accuracy, LOGITS, LABELS[:59])
    raises(ValueError, "must both be (examples,)", metrics.roc_auc, LOGITS, LABELS)


def test_labels_are_integers_and_the_cure_is_named():
    one_hot = np.eye(CLASSES)[LABELS]
    says = "labels must be integers, got float32 of shape (60, 4); use labels.astype(jnp.int32), or"
    raises(TypeError, says, metrics.top_k_accuracy, LOGITS, one_hot)
    says = "accuracy: prediction is float32 in the shape of the labels (60,); give logits"
    raises(TypeError, says, metrics.accuracy, LOGITS[:, 0], LABELS)
    says = "has one class only, in which every answer is right; for one logit"
    raises(ValueError, says, metrics.accuracy, LOGITS[:, :1], LABELS)


def test_labels_beyond_the_classes_are_refused_where_values_are_known():
    says = "labels must lie in 0 .. 2 for classes=3, got 3"
    raises(ValueError, says, metrics.confusion_matrix, IDS, LABELS, classes=3)
    raises(ValueError, "got 3", metrics.roc_auc, SCORES[:60], LABELS)


def test_other_mistakes_say_what_to_do():
    says = "f1: average must be one of binary, macro, micro, weighted, each, got 'mean'"
    raises(ValueError, says, metrics.f1, IDS, LABELS, average="mean")
    says = "average='binary' is of two classes, got 4; choose average='macro'"
    raises(ValueError, says, metrics.f1, LOGITS, LABELS, classes=4)
    raises(ValueError, "add classes=", metrics.f1, IDS, LABELS, average="macro")
    raises(ValueError, "k must be from 1 to 4", metrics.top_k_accuracy, LOGITS, LABELS)
    raises(ValueError, "take jax.nn.softmax(logits)", metrics.brier_score, LOGITS, LABELS)
    raises(ValueError, "there are no examples", metrics.mse, np.zeros(0), np.zeros(0))
    raises(ValueError, "no examples", metrics.accuracy, np.zeros((0, 3)), np.zeros(0, int))
    raises(TypeError, "prediction must be an array of numbers", metrics.mse, "x", TARGET)
