"""Pictures show what they are given, and leave matplotlib's global state alone."""

import sys

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot

from fnn import draw, surfaces
from fnn.layers import dense

HISTORY = {
    "step": np.arange(1, 6),
    "epoch": np.arange(1, 6) / 10,
    "loss": np.array([3.0, 1.0, 0.5, 0.2, 0.1]),
    "val_loss": np.array([3.0, 1.5, 0.8, 0.6, 0.7]),
    "val_accuracy": np.array([0.1, 0.5, 0.7, 0.9, 0.95]),
}


def drawn(panel):
    return {line.get_label(): line.get_xydata() for line in panel.get_lines()}


def test_losses_and_scores_have_a_panel_each():
    loss, score = draw.curves(HISTORY).axes
    assert set(drawn(loss)) == {"loss", "val_loss"}
    assert set(drawn(score)) == {"val_accuracy"}
    expected = np.stack([HISTORY["step"], HISTORY["val_loss"]], axis=1)
    np.testing.assert_array_equal(drawn(loss)["val_loss"], expected)
    assert loss.get_yscale() == "log"


def test_a_history_may_be_the_attribute_of_a_result():
    class Result:
        history = HISTORY

    (panel, _) = draw.curves(Result(), against="epoch").axes
    np.testing.assert_array_equal(drawn(panel)["loss"][:, 0], HISTORY["epoch"])


def test_a_loss_that_touches_zero_stays_on_a_plain_axis():
    (panel,) = draw.curves({"step": [1, 2], "loss": [1.0, 0.0]}).axes
    assert panel.get_yscale() == "linear"


def test_a_history_without_steps_or_curves_is_told():
    with pytest.raises(ValueError, match="no 'seconds' in the history; it has step"):
        draw.curves(HISTORY, against="seconds")
    with pytest.raises(ValueError, match="nothing beside the steps"):
        draw.curves({"step": [1, 2]})


def test_accuracies_near_one_are_given_room():
    with draw.styled():
        figure, axes = draw.blank(1, 1, (3, 3))
        panel = axes[0, 0]
        panel.plot([1, 2, 3], [0.5, 0.9, 0.98])
        draw.crowd_at_one(panel)
    y = panel.transData.transform([(0, value) for value in (0.8, 0.9, 0.95)])[:, 1]
    np.testing.assert_allclose(y[1] - y[0], y[2] - y[1], rtol=1e-6)  # each halves the error
    low, high = panel.get_ylim()
    assert low < 0.5 < 0.98 < high < 1
    assert draw.png(figure).startswith(b"\x89PNG")


def test_colours_differ_in_lightness_or_marker():
    assert len(set(draw.COLOURS)) == len(draw.COLOURS) == len(set(draw.MARKERS))


def test_the_style_ends_with_the_picture():
    before = dict(matplotlib.rcParams)
    draw.png(draw.curves(HISTORY, title="costs $5 and $6"))
    assert dict(matplotlib.rcParams) == before
    assert not pyplot.get_fignums()


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'fnn\[compare\]'"):
        draw.curves(HISTORY)


def test_names_stand_beside_their_lines_and_on_no_other_name():
    t = np.linspace(0, 1, 60)
    ways = {
        f"number {k}": np.stack([np.cos(k / 3) * t, np.sin(k / 3) * t], axis=1) for k in range(11)
    }
    ways["away"] = np.full((60, 2), 50.0)
    figure = draw.paths(surfaces.saddle(), ways)
    figure.canvas.draw()
    (panel,) = figure.axes
    texts = {text.get_text(): text.get_window_extent() for text in panel.texts}
    assert texts.keys() == ways.keys() - {"away"}
    frame = panel.get_window_extent()
    for name, box in texts.items():
        assert frame.contains(*box.p0)
        assert frame.contains(*box.p1)
        assert not any(box.overlaps(other) for mine, other in texts.items() if mine != name)
        track = panel.transData.transform(ways[name])
        near = np.clip(track, box.p0, box.p1)
        assert np.linalg.norm(near - track, axis=1).min() < 15
    assert not figure.legends


def line_at(x):
    """A network whose boundary is x1 = 0.5."""
    return {"w": np.array([[1.0], [0.0]], np.float32), "b": np.array([-x], np.float32)}


def test_the_boundary_lies_where_the_network_is_torn():
    x = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    y = x[:, 0] > 0.5
    figure = draw.boundary(dense(1), [line_at(0.0), line_at(0.5)], {}, x, y, labels=["a", "b"])
    for panel, where in zip(figure.axes, (0.0, 0.5), strict=True):
        (path,) = panel.collections[0].get_paths()
        np.testing.assert_allclose(path.vertices[:, 0], where, atol=1e-6)
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["a", "b"]
    points = np.concatenate([line.get_xydata() for line in figure.axes[0].get_lines()])
    np.testing.assert_allclose(np.sort(points, 0), np.sort(x, 0))


def test_a_boundary_of_several_classes_is_that_of_the_largest():
    x = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    params = {"w": 3 * x.T.astype(np.float32), "b": np.zeros(3, np.float32)}
    (panel,) = draw.boundary(dense(3), params, {}, x, np.arange(3), grid=31).axes
    field = panel.get_images()[0].get_array()
    corner = {"left": field[5, 0], "right": field[5, -1], "top": field[-1, 15]}
    assert len({tuple(np.round(colour, 3)) for colour in corner.values()}) == 3


def test_a_boundary_needs_a_plane():
    with pytest.raises(ValueError, match=r"x must be \(n, 2\), a plane, got \(4, 3\)"):
        draw.boundary(dense(1), {}, {}, np.zeros((4, 3)), np.zeros(4))
    with pytest.raises(ValueError, match=r"y must hold 4 classes, as x rows, got \(3,\)"):
        draw.boundary(dense(1), {}, {}, np.zeros((4, 2)), np.zeros(3))


def test_an_activation_is_drawn_with_its_slope_and_answers():
    figure = draw.activation({"sigmoid": jax.nn.sigmoid, "step": lambda z: jnp.heaviside(z, 1.0)})
    a, slope = drawn(figure.axes[0])["a(z)"].T[1], drawn(figure.axes[0])["da/dz"].T[1]
    np.testing.assert_allclose(slope, a * (1 - a), atol=1e-9)
    said = figure.axes[1].get_xlabel()
    assert "differentiable: but at 0" in said
    assert "fixed range: yes, 0 to 1" in said


def test_confusion_shows_counts_recall_and_precision():
    matrix = np.array([[5, 0, 0], [1, 3, 1], [0, 0, 0]])
    (panel,) = draw.confusion(matrix).axes
    said = [text.get_text() for text in panel.texts]
    assert said == [*map(str, matrix.ravel()), "100%", "60%", "-", "83%", "100%", "0%"]
    with pytest.raises(ValueError, match=r"must be square.*got \(2, 3\)"):
        draw.confusion(matrix[:2])
    with pytest.raises(ValueError, match="2 names for 3 classes"):
        draw.confusion(matrix, names=["a", "b"])


def test_runs_that_diverged_do_not_spoil_a_picture():
    series = np.array([[1.0, np.nan], [2.0, np.nan]])
    (panel,) = draw.seeds({"sgd": series}).axes
    assert len(panel.get_lines()) == 3
    lost = {"w": np.full((2, 1), np.nan, np.float32), "b": np.zeros(1, np.float32)}
    x = np.random.default_rng(0).normal(size=(5, 2))
    assert draw.png(draw.boundary(dense(1), lost, {}, x, np.arange(5) % 2))


def test_seeds_have_a_median_and_a_line_each():
    series = np.array([[4.0, 1.0], [2.0, 3.0], [3.0, 2.0]])
    (panel,) = draw.seeds({"sgd": series}, at=[5, 10]).axes
    lines = [line.get_ydata().tolist() for line in panel.get_lines()]
    assert sorted(lines) == sorted([*series.tolist(), [3.0, 2.0]])
    with pytest.raises(ValueError, match=r"each series must be \(seeds, checks\)"):
        draw.seeds({"sgd": [1.0, 2.0]})
    with pytest.raises(ValueError, match="3 places for series"):
        draw.seeds({"sgd": series}, at=[1, 2, 3])


def test_filters_are_grey_at_0_and_white_at_their_largest():
    w = np.zeros((2, 2, 1, 1))
    w[0, 0], w[1, 1] = 4.0, -4.0
    (panel,) = draw.filters(w).axes
    np.testing.assert_allclose(panel.get_images()[0].get_array(), [[1, 0.5], [0.5, 0]])
    (dense_panel,) = draw.filters(w.reshape(4, 1), shape=(2, 2)).axes
    np.testing.assert_allclose(dense_panel.get_images()[0].get_array(), [[1, 0.5], [0.5, 0]])
    with pytest.raises(ValueError, match=r"got \(4, 1\) and shape=None"):
        draw.filters(w.reshape(4, 1))
