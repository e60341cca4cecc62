"""A diagram of a network holds its weights and activations; some synapses are not all."""

import json
import pathlib
import re
import xml.etree.ElementTree as ET

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from browser import Browser, find_chromium

import fnn
from fnn import draw
from fnn.layers import avg_pool, batch_norm, conv, dense, flatten, layer_norm, max_pool

GOLDEN = pathlib.Path(__file__).parent / "data" / "golden"
NET = fnn.serial(first=dense(3), act=jnp.tanh, last=dense(2))
W1 = np.array([[0.5, -1.0, 0.0], [0.25, 2.0, 1.0]], np.float32)
W2 = np.array([[1.0, -1.0], [0.5, 0.0], [-2.0, 1.0]], np.float32)
B1 = np.array([0.1, 0.2, 0.3], np.float32)
PARAMS = {"first": {"w": W1, "b": B1}, "last": {"w": W2, "b": np.zeros(2, np.float32)}}
X = np.array([[1.0, -0.5]], np.float32)


def weights(synapses, shape, frame=0):
    """The connections as a matrix, NaN where there is none."""
    w = np.full(shape, np.nan)
    w[synapses.start, synapses.end] = synapses.w[frame]
    return w


def test_lines_are_the_weights_and_circles_the_activations():
    drawing = draw.network(NET, PARAMS, x=X)
    np.testing.assert_array_equal(weights(drawing.synapses[0], (2, 3)), W1)
    np.testing.assert_array_equal(weights(drawing.synapses[1], (3, 2)), W2)
    x, hidden, out = drawing.columns
    np.testing.assert_array_equal(x.a, X)
    np.testing.assert_allclose(hidden.a, np.tanh(X @ W1 + B1), rtol=1e-6)
    np.testing.assert_allclose(out.a, np.tanh(X @ W1 + B1) @ W2, rtol=1e-6)
    np.testing.assert_array_equal(hidden.b, [B1])
    assert [column.title for column in drawing.columns] == ["input", "hidden 1", "output"]
    assert hidden.words == "dense(3), tanh"


def test_a_synapse_of_weight_0_is_a_synapse():
    zero = jax.tree.map(np.zeros_like, PARAMS)
    assert len(draw.network(NET, zero).synapses[0].start) == 6


@pytest.mark.parametrize("name", ["network", "architecture"])
def test_the_svg_is_the_one_that_was_looked_at(name):
    if name == "network":
        svg = draw.network(NET, PARAMS, x=X, title="2-3-2", outputs=["no", "yes"]).svg()
    else:
        net = fnn.serial(stem=dense(4), block=fnn.residual(fnn.serial(jax.nn.relu, dense(4))))
        svg = draw.architecture(net, jax.ShapeDtypeStruct((1, 3), "float32")).svg()
    ET.fromstring(svg)
    assert svg == (GOLDEN / f"{name}.svg").read_text("utf-8"), (
        "the picture changed: look at it, then store it in tests/data/golden"
    )


def test_thickness_and_colour_say_size_and_sign():
    lines = re.findall(r'stroke="(#\w+)" stroke-width="([\d.]+)"', draw.network(NET, PARAMS).svg())
    first = dict(zip(W1.ravel().tolist(), lines[:6], strict=True))
    assert first[2.0] == ("#4477AA", "5.00")  # the largest of its layer
    assert first[-1.0] == ("#CC3311", "2.75")
    assert first[0.0] == ("#4477AA", "0.50")


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"dilation": 2}, {"padding": "VALID"}])
def test_a_convolution_is_some_synapses_and_a_dense_layer_all(options):
    x = jnp.zeros((1, 8, 1))
    net = fnn.serial(conv(1, 3, **options), jax.nn.relu, flatten(), dense(4))
    params, state = net.init(jax.random.key(0), x)
    drawing = draw.network(net, params, state, x)
    some, every = drawing.synapses
    units = drawing.columns[1].units
    assert len(every.start) == 4 * len(units)
    # what an input at 1 gives is a column of the convolution as a matrix
    bare = params["conv_0"] | {"b": jnp.zeros(1)}
    eye = jnp.eye(8)[:, :, None]
    matrix = np.asarray(net.children["conv_0"].apply(bare, {}, eye)[0][..., 0])
    found = weights(some, matrix.shape)
    np.testing.assert_allclose(np.nan_to_num(found), matrix, atol=1e-6)
    assert np.isfinite(found).sum(0).max() == 3 < 8


@pytest.mark.parametrize("pool", [max_pool(2), avg_pool(2)])
def test_a_pool_leads_from_its_window(pool):
    x = jnp.zeros((1, 8, 1))
    net = fnn.serial(conv(1, 3), pool, flatten(), dense(2))
    params, state = net.init(jax.random.key(0), x)
    drawing = draw.network(net, params, state, x)
    assert drawing.synapses[1].w is None
    pairs = set(zip(*map(np.ndarray.tolist, drawing.synapses[1][:2]), strict=True))
    assert pairs == {(i, i // 2) for i in range(8)}
    assert drawing.columns[2].title == pool.name
    assert not drawing.columns[2].neurons


def test_a_large_layer_is_summarised_by_its_strongest_units():
    net = fnn.serial(flatten(), dense(64), jax.nn.relu, dense(3))
    x = jnp.ones((1, 28, 28, 1))
    params, state = net.init(jax.random.key(0), x)
    params["dense_1"]["w"] = params["dense_1"]["w"].at[:, [7, 20]].mul(9.0)
    drawing = draw.network(net, params, state, x, most=5)
    assert {7, 20} <= set(drawing.columns[1].units.tolist())
    assert [column.note for column in drawing.columns] == ["5 of 784", "5 of 64", ""]
    row, column, _ = np.unravel_index(drawing.columns[0].units, (28, 28, 1))
    np.testing.assert_array_equal(row, 14)
    np.testing.assert_array_equal(np.diff(column), 1)
    found = weights(drawing.synapses[0], (5, 5))
    units = [column.units for column in drawing.columns]
    np.testing.assert_allclose(found, params["dense_1"]["w"][units[0]][:, units[1]], rtol=1e-6)


def test_normalisation_between_keeps_the_neurons():
    net = fnn.serial(dense(3), batch_norm(), jax.nn.relu, layer_norm(), dense(1))
    params, state = net.init(jax.random.key(0), jnp.ones((1, 2)))
    drawing = draw.network(net, params, state)
    assert drawing.columns[1].words == "dense(3), batch_norm, relu, layer_norm"
    assert len(drawing.columns) == 3


def test_frames_share_a_scale_and_a_page_scrubs_through_them(tmp_path):
    half = jax.tree.map(lambda a: a / 2, PARAMS)
    drawing = draw.network(NET, [half, PARAMS], x=X, labels=["early", "late"])
    assert 'stroke-width="5.00"' not in drawing.svg(0)
    assert 'stroke-width="5.00"' in drawing.svg(1) == drawing.svg()
    drawing.save(tmp_path / "net.html")
    page = (tmp_path / "net.html").read_text("utf-8")
    assert "http" not in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])
    assert [frame["label"] for frame in data["frames"]] == ["early", "late"]
    assert data["ends"][0] == [0, 2]


@pytest.mark.skipif(find_chromium() is None, reason="Chromium is not installed")
def test_the_page_in_a_browser(tmp_path):
    half = jax.tree.map(lambda a: -a / 2, PARAMS)
    draw.network(NET, [half, PARAMS], x=X, title="Two frames").save(tmp_path / "net.html")
    edge = "document.querySelector('#e0-0').getAttribute('stroke')"
    with Browser() as browser:
        browser.open(f"file://{tmp_path / 'net.html'}")
        assert browser.evaluate(edge) == "#CC3311"
        browser.evaluate("at('frame').value = 1; at('frame').oninput({target: at('frame')})")
        assert browser.evaluate(edge) == "#4477AA"
        browser.evaluate("nodes[2].focus()")
        assert "h1[0] = 0.4422" in browser.evaluate("at('said').textContent")
        assert browser.evaluate("document.querySelectorAll('.edge.on').length") == 4
        browser.press("ArrowLeft")
        assert browser.evaluate(edge) == "#CC3311"
        assert browser.complaints == []


def test_a_network_that_diverged_is_drawn_without_its_nan(tmp_path):
    lost = jax.tree.map(np.copy, PARAMS)
    lost["first"]["w"][0, 0], lost["first"]["b"][1] = np.nan, np.inf
    drawing = draw.network(NET, [PARAMS, lost], x=X)
    drawing.save(tmp_path / "net.html")
    assert drawing.png().startswith(b"\x89PNG")
    assert "w = nan" in drawing.svg()
    assert not re.search(r'(width|opacity)="-?(nan|inf)', drawing.svg())


def test_bytes_are_numbers_too():
    pixels = np.array([[3, 200]], np.uint8)
    np.testing.assert_array_equal(draw.network(NET, PARAMS, x=pixels).columns[0].a, pixels)


def test_files_are_what_their_names_say(tmp_path):
    drawing = draw.network(NET, PARAMS)
    drawing.save(tmp_path / "net.png")
    drawing.save(str(tmp_path / "net.svg"))
    assert (tmp_path / "net.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "net.svg").read_text("utf-8") == drawing.svg()
    with pytest.raises(ValueError, match=r"must end in \.svg, \.png or \.html, got 'net\.pdf'"):
        drawing.save(tmp_path / "net.pdf")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (lambda: (fnn.residual(dense(2)), {}, {}, X), "draw.architecture draws any network"),
        (lambda: (fnn.serial(conv(2, 3)), {"conv_0": {"w": np.ones((3, 3, 1, 2))}}), "give x"),
        (
            lambda: (NET, PARAMS, {}, np.ones((4, 2))),
            r"x must hold one example.*got float32\[4,2\]",
        ),
        (lambda: (NET, []), "empty list"),
        (lambda: (NET, {}, PARAMS), "params have no weights at 'first'"),
        (lambda: (fnn.serial(jnp.tanh), {}, {}, X), "no layer of neurons"),
    ],
)
def test_what_cannot_be_drawn_is_told(arguments, said):
    with pytest.raises(ValueError, match=said):
        draw.network(*arguments())


def test_an_example_in_place_of_the_state_is_told():
    with pytest.raises(TypeError, match=r"state must be a dict.*an example is given as x="):
        draw.network(NET, PARAMS, X)


def test_names_and_labels_must_fit():
    with pytest.raises(ValueError, match="inputs= has 3 names, but there are 2 inputs"):
        draw.network(NET, PARAMS, inputs=["a", "b", "c"])
    with pytest.raises(ValueError, match="2 labels for 1 frames"):
        draw.network(NET, PARAMS, labels=["a", "b"])
    assert draw.network(NET, PARAMS, inputs=["a", "b"]).columns[0].names == ("a", "b")


def test_architecture_tells_kinds_shapes_and_sizes():
    net = fnn.serial(
        fnn.parallel(jnp.add, left=dense(4), right=fnn.serial(dense(8), jnp.tanh, dense(4))),
        fnn.residual(dense(4), dense(4)),
        fnn.repeat(fnn.residual(dense(4)), 3),
        dense(1),
    )
    scene = draw.architecture(net, jax.ShapeDtypeStruct((2, 5), "float32"), title="All kinds")
    words = [piece.words for piece in scene.pieces if isinstance(piece, draw.scene.Text)]
    assert "repeat x 3" in words
    assert words.count("+") == 2
    assert "[2,4] · 24 parameters" in words
    assert any(word.startswith(f"{fnn.inspect.summary(net, jnp.ones((2, 5))).parameters}")
               for word in words)  # fmt: skip
    ET.fromstring(scene.svg())
    shallow = draw.architecture(net, jax.ShapeDtypeStruct((2, 5), "float32"), depth=1)
    assert len(shallow.pieces) < len(scene.pieces)


def test_architecture_draws_what_network_refuses():
    net = fnn.models.gpt(11, length=6, features=8, heads=2, blocks=2)
    scene = draw.architecture(net, jnp.zeros((1, 6), int))
    assert "parameters" in scene.svg()
