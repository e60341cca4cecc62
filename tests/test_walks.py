"""Walks over surfaces are the optimizers' own, one rule tunes them all, and pictures show them."""

import json
import re

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from fnn import draw, optim, surfaces
from fnn.compare.surface import surface_race, walk


def descent_path(surface, rate, steps):
    """Gradient descent in NumPy, with central differences for the gradient."""
    point, path = np.array(surface.start, float), [np.array(surface.start, float)]
    for _ in range(steps):
        h = 1e-5 * np.eye(2)
        slope = [float(surface.fun(point + e) - surface.fun(point - e)) / 2e-5 for e in h]
        point = point - rate * np.array(slope)
        path.append(point)
    return np.stack(path)


def test_a_walk_of_gradient_descent_is_the_path_of_its_equation(x64):
    surface = surfaces.himmelblau()
    walks = walk(surface, {"sgd": optim.sgd}, [1e-3, 1e-2], 25)
    for place, rate in enumerate([1e-3, 1e-2]):
        expected = descent_path(surface, rate, 25)
        np.testing.assert_allclose(walks.paths["sgd"][0, place], expected, atol=1e-7)
    np.testing.assert_allclose(walks.values["sgd"], surface.fun(walks.paths["sgd"]), rtol=1e-9)


def test_walks_side_by_side_are_those_that_each_walks_alone():
    surface = surfaces.beale()
    makes = {name: optim.find(name) for name in ("momentum", "adam")}
    starts = np.array([[1.0, 1.5], [0.0, -1.0]])
    together = walk(surface, makes, {"momentum": [1e-3], "adam": [0.1, 0.01]}, 20, starts)
    assert together.paths["adam"].shape == (2, 2, 21, 2)
    alone = walk(surface, {"adam": optim.adam}, [0.01], 20, starts[1])
    np.testing.assert_allclose(together.paths["adam"][1, 1], alone.paths["adam"][0, 0], rtol=1e-5)


def test_a_rule_that_asks_for_the_value_is_given_it():
    def polyak(learning_rate):  # of Polyak 1987, for a lowest value of 0
        def update(grads, state, params=None, *, value, value_fn):
            step = value_fn(params) / jnp.sum(grads**2)
            return jnp.where(value == value_fn(params), -learning_rate * step * grads, 1e9), state

        return optim.Optimizer(lambda params: (), update)

    bowl = surfaces.quadratic(1.0)  # there each step halves the distance
    path = walk(bowl, {"polyak": polyak}, [1.0], 4).paths["polyak"][0, 0]
    np.testing.assert_allclose(path, [np.array(bowl.start) / 2**k for k in range(5)], rtol=1e-6)


def test_a_fault_in_an_optimizer_is_told_with_its_name():
    def broken(learning_rate):
        raise ArithmeticError("no")

    with pytest.raises(ArithmeticError) as caught:
        walk(surfaces.beale(), {"mine": broken}, [0.1], 1)
    assert "in walk, of optimizer 'mine'" in caught.value.__notes__
    with pytest.raises(ValueError, match=r"start must be \(2,\)"):
        walk(surfaces.beale(), {"sgd": optim.sgd}, [0.1], 1, [1.0, 2.0, 3.0])


def test_gradient_descent_on_a_bowl_diverges_from_two_over_the_curvature():
    rates = [0.5 / 100, 1.9 / 100, 2.1 / 100, 1.0]
    (entry,) = surface_race("quadratic", ["sgd"], rates=rates)
    assert entry.diverges_from == rates[2]
    assert entry.learning_rate == rates[1]  # the slow axis wants the largest that is stable
    assert not entry.diverged
    assert not entry.at_edge
    (all_lost,) = surface_race("quadratic", ["sgd"], rates=rates[2:])
    assert all_lost.diverged
    assert all_lost.gap == np.inf
    assert all_lost.steps is None


def test_a_path_off_a_saddle_ends_at_the_edge_and_counts_as_lost_only_uphill():
    surface = surfaces.saddle()
    entries = surface_race(surface, ["sgd"], rates=[0.1, 1.5])
    path = entries[0].path
    assert abs(path[-1, 1]) > 1.5
    assert np.isfinite(path).all()
    assert entries[0].diverges_from == 1.5  # there x doubles its distance with every step
    assert entries[0].learning_rate == 0.1


def test_every_optimizer_finds_its_way_on_a_round_bowl():
    entries = surface_race(
        surfaces.quadratic(2.0), ["all"], steps=200
    )  # whatever fnn.optim.names has
    assert {entry.name for entry in entries} >= {"sgd", "adam", "lion"}
    begun = float(surfaces.quadratic(2.0).fun(jnp.array(surfaces.quadratic().start)))
    assert [entry.name for entry in entries if not entry.gap < 0.05 * begun] == []


# Pictures


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    out = tmp_path_factory.mktemp("surface")
    return surface_race("beale", ["sgd", "adam"], rates=[1e-3, 1.0], steps=40, out=out), out


def test_files_hold_every_path(raced):
    entries, out = raced
    assert sorted(path.name for path in out.iterdir()) == [
        f"beale.{kind}" for kind in ("gif", "html", "json", "png")
    ]
    stored = json.loads((out / "beale.json").read_text())
    for entry, row in zip(entries, stored["optimizers"], strict=True):
        assert row["name"] == entry.name
        np.testing.assert_allclose(np.array(row["path"], float), entry.path, rtol=1e-5, atol=1e-6)


def test_the_page_needs_no_network_and_the_gif_ends_at_the_last_step(raced):
    _, out = raced
    page = (out / "beale.html").read_text()
    assert not re.search(r"https?://|<link|<script src|@import|fetch\(", page)
    assert "%DATA%" not in page
    with Image.open(out / "beale.gif") as gif:
        assert gif.n_frames > 10
    assert (out / "beale.gif").stat().st_size < 2e6


def test_a_picture_shows_each_path_in_a_look_of_its_own():
    way = np.array([[1.0, 0.0], [0.5, 0.2], [np.inf, 0.0], [0.0, 0.0]])
    names = [f"rule {k}" for k in range(14)]
    figure = draw.paths(surfaces.saddle(), dict.fromkeys(names, way), notes={"rule 1": "fast"})
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert "rule 1  fast" in lines
    drawn = [line for label, line in lines.items() if label.startswith("rule")]
    assert len({(line.get_color(), str(line._dash_pattern)) for line in drawn}) == 14
    np.testing.assert_array_equal(drawn[0].get_xydata(), way[:2])  # up to where it was finite
    assert len(draw.path_panels(surfaces.saddle(), dict.fromkeys(names, way)).axes) == 14


def test_names_and_titles_cannot_break_the_page():
    walked = {"</script><b>": [[0.0, 0.0], [1.0, 1.0]]}
    page = draw.path_page(surfaces.saddle(), walked, title="a < b")
    assert "</script><b>" not in page
    assert "a &lt; b" in page


def test_pictures_tell_what_is_no_path():
    with pytest.raises(ValueError, match=r"'adam' must be \(steps \+ 1, 2\), got \(3,\)"):
        draw.paths(surfaces.saddle(), {"adam": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match="no path to draw"):
        draw.path_panels(surfaces.saddle(), {})
