"""The chain rule by hand is jax.grad and the finite difference; each neuron's sum is what it is."""

import html
import itertools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import explain, losses
from fnn.layers import avg_pool, batch_norm, conv, dense, depthwise_conv, dropout, flatten, max_pool

ERROR = losses.squared_error


def made(net, x, outputs):
    """Parameters with biases off 0, and a target."""
    rng = np.random.default_rng(7)
    params, state = jax.eval_shape(net.init, jax.random.key(0), x)
    params = jax.tree.map(lambda a: jnp.asarray(0.6 * rng.normal(size=a.shape), a.dtype), params)
    state = jax.tree.map(lambda a: jnp.ones(a.shape, a.dtype), state)
    return params, state, jnp.asarray(rng.normal(size=outputs), x.dtype)


def rows(n, *shape):
    return jnp.asarray(np.random.default_rng(9).normal(size=(n, *shape)))


NETS = {
    "1-1-1": (fnn.serial(dense(1), jax.nn.sigmoid, dense(1)), (1,), 1),
    "2-2-2": (fnn.serial(dense(2), jnp.tanh, dense(2), jax.nn.sigmoid), (2,), 2),
    "4-8-8-3": (fnn.serial(dense(8), jax.nn.sigmoid, dense(8), jnp.tanh, dense(3)), (4,), 3),
    "softmax": (fnn.serial(dense(3, bias=False), jax.nn.gelu, jax.nn.softmax, dense(2)), (2,), 2),
    "conv": (
        fnn.serial(
            conv(2, 3, stride=2), jax.nn.relu, max_pool(2), flatten(), dropout(0.5), dense(2)
        ),
        (5, 6, 2),
        2,
    ),
    "sequence": (
        fnn.serial(
            body=fnn.serial(conv(2, 3, padding="CAUSAL", dilation=2), jnp.tanh, depthwise_conv(2)),
            pool=avg_pool(2),
            flat=flatten(),
            head=dense(2),
        ),
        (6, 1),
        2,
    ),
    "a neuron": (dense(1), (3,), 1),
}


@pytest.fixture(scope="module", params=NETS)
def case(request):
    net, shape, outputs = NETS[request.param]
    x = rows(1, *shape)
    params, state, y = made(net, x, (1, outputs))
    return net, params, state, x, y, explain.backprop(net, params, state, x, y, ERROR, by="neurons")


def by_jax(net, params, state, x, y):
    """The cost, the output and the gradients, without explanations."""

    def cost(params):
        out, _ = net.apply(params, state, x)
        return ERROR(out, y).mean(), out

    (value, out), grads = jax.jit(jax.value_and_grad(cost, has_aux=True))(params)
    return float(value), np.asarray(out), grads


def norm(tree):
    return float(np.sqrt(sum(np.square(a).sum() for a in jax.tree.leaves(tree))))


def gradients(found, params):
    """The chain rule's gradients in the form of the parameters."""
    by_name = {(row["layer"], row["name"]): row["gradient"] for row in found.table("parameters")}

    def leaf(path, a):
        *layer, name = path.split("/")
        places = (", ".join(map(str, place)) for place in np.ndindex(a.shape))
        values = [by_name["/".join(layer), f"{name}[{place}]"] for place in places]
        return np.reshape(values, a.shape)

    return fnn.trees.map_with_path(leaf, params)


def test_the_chain_rule_equals_jax_grad(case):
    net, params, state, x, y, found = case
    cost, out, grads = by_jax(net, params, state, x, y)
    for by_hand, autodiff in zip(
        jax.tree.leaves(gradients(found, params)), jax.tree.leaves(grads), strict=True
    ):
        np.testing.assert_allclose(by_hand, autodiff, rtol=1e-6, atol=1e-6)
    assert found.difference < 1e-6
    last = [neuron.a for neuron in found["out"].neurons]
    np.testing.assert_allclose(last, np.ravel(out), rtol=1e-6)
    np.testing.assert_allclose(found.cost, cost, rtol=1e-6)


def test_each_neuron_adds_its_tolls_and_its_bias(case):
    *_, found = case
    for layer in found.layers:
        for neuron in layer.neurons:
            total = sum(s.product for s in neuron.synapses) + (neuron.bias or 0.0)
            assert neuron.z == pytest.approx(total, abs=1e-6)
            assert all(s.product == s.w * s.a for s in neuron.synapses)
            assert neuron.delta == pytest.approx(neuron.autodiff, abs=1e-6)
            if neuron.feeds:
                assert neuron.da == pytest.approx(
                    sum(f.w * f.delta for f in neuron.feeds), abs=1e-9
                )
        assert sum(neuron.share for neuron in layer.neurons) == pytest.approx(1.0)


def test_forward_alone_is_the_first_half(case):
    net, params, state, x, _, found = case
    again = explain.forward(net, params, state, x)
    for layer, half in zip(found.layers, again.layers, strict=True):
        assert [n.a for n in half.neurons] == [n.a for n in layer.neurons]
        assert {n.delta for n in half.neurons} == {None}
    assert again.cost is None


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize(
    ("name", "activations"),
    [
        ("1-1-1", [sigmoid, np.asarray]),
        ("2-2-2", [np.tanh, sigmoid]),
        ("4-8-8-3", [sigmoid, np.tanh, np.asarray]),
    ],
)
def test_the_chain_rule_equals_finite_differences(name, activations):
    """Of a forward pass that is written here, in NumPy and float64."""
    net, shape, outputs = NETS[name]
    x = rows(1, *shape)
    params, state, y = made(net, x, (1, outputs))
    found = explain.backprop(net, params, state, x, y, ERROR)

    def cost(params):
        a = np.asarray(x, np.float64)
        for layer, activation in zip(params.values(), activations, strict=True):
            a = activation(a @ layer["w"] + layer["b"])
        return np.square(a - np.asarray(y, np.float64)).mean()

    wide = jax.tree.map(lambda a: np.array(a, np.float64), params)
    by_hand = gradients(found, params)
    assert found.cost == pytest.approx(cost(wide), abs=1e-6)
    for path, layer in wide.items():
        for name, a in layer.items():
            for place in np.ndindex(a.shape):
                kept, sides = a[place], []
                for nudge in (1e-5, -1e-5):
                    a[place] = kept + nudge
                    sides.append(cost(wide))
                a[place] = kept
                slope = (sides[0] - sides[1]) / 2e-5
                assert by_hand[path][name][place] == pytest.approx(slope, abs=1e-6)


def test_in_float64_the_two_are_as_good_as_one(x64):
    net, shape, outputs = NETS["2-2-2"]
    x = rows(1, *shape)
    params, state, y = made(net, x, (1, outputs))
    assert explain.backprop(net, params, state, x, y, ERROR).difference < 1e-14


def test_a_function_with_a_backward_rule_of_its_own_is_blamed_by_it():
    """A step has no slope; the straight-through rule hands the blame on as if it were a line."""

    @jax.custom_vjp
    def step(z):
        return (z > 0).astype(z.dtype)

    step.defvjp(lambda z: (step(z), None), lambda _, g: (g,))
    net = fnn.serial(dense(2), step, dense(1))
    params, state, y = made(net, rows(1, 2), (1, 1))
    found = explain.backprop(net, params, state, rows(1, 2), y, ERROR)
    assert found.difference < 1e-6
    assert [neuron.slope for neuron in found["h1"].neurons] == [1, 1]


def test_a_class_is_blamed_by_its_probability_less_one():
    params = {"w": jnp.array([[1.0, -1.0, 0.5]]), "b": jnp.zeros(3)}
    x, y = jnp.array([[2.0]]), jnp.array([0])
    found = explain.backprop(dense(3), params, {}, x, y, losses.cross_entropy)
    deltas = [neuron.delta for neuron in found["out"].neurons]
    probabilities = np.array(jax.nn.softmax(jnp.array([2.0, -2.0, 1.0])))
    np.testing.assert_allclose(deltas, probabilities - [1, 0, 0], atol=1e-6)
    assert found["out[0]"].share == pytest.approx(0.5)  # as much as the others together


def test_some_synapses_against_all_of_them():
    net = fnn.serial(conv(2, 3), flatten(), dense(2))
    x = rows(1, 5, 4, 1)
    params, state, y = made(net, x, (1, 2))
    some, all_ = explain.backprop(net, params, state, x, y, ERROR).layers
    # along 5 places a window of 3 sees 2 + 3 + 3 + 3 + 2 of them, along 4 places 2 + 3 + 3 + 2
    assert some.synapses == 2 * 13 * 10
    assert some.all_synapses == 20 * 40
    assert all_.synapses == all_.all_synapses == 40 * 2
    weights = [one for one in some.parameters if one.name.startswith("w")]
    assert len(weights) == 9 * 2
    assert sum(one.synapses for one in weights) == some.synapses
    parts = [s.gradient for n in some.neurons for s in n.synapses if s.weight == weights[4].name]
    assert weights[4].gradient == pytest.approx(sum(parts))  # what shares a weight adds up
    assert "some, 260 of 800 synapses, which share 18 weights" in str(
        explain.forward(net, params, state, x)
    )


def test_the_maximum_alone_is_blamed():
    net = fnn.serial(conv(1, 1), max_pool(2), flatten(), dense(1))
    x = jnp.array([[[[1.0], [2.0]], [[4.0], [3.0]]]])
    params, state, y = made(net, x, (1, 1))
    params["conv_0"]["w"] = jnp.ones((1, 1, 1, 1))
    found = explain.backprop(net, params, state, x, y, ERROR)
    assert [neuron.share for neuron in found["h1"].neurons] == [0, 0, 1, 0]
    assert found["h1"].passed[0].sources == ("h1[1, 0, 0]",)


# Layer by layer


@pytest.fixture(scope="module")
def deep():
    net = fnn.serial(
        conv(4, 3, stride=2),
        batch_norm(),
        jax.nn.relu,
        fnn.residual(fnn.serial(conv(4, 3), jax.nn.relu)),
        fnn.repeat(conv(4, 3), 3),
        flatten(),
        head=dense(2),
    )
    x = rows(5, 9, 9, 1)
    params, state, y = made(net, x, (5, 2))
    return net, params, state, x, y, explain.backprop(net, params, state, x, y, ERROR)


def test_what_is_no_chain_of_neurons_is_shown_layer_by_layer(deep):
    net, params, state, x, y, found = deep
    assert isinstance(found, explain.Layers)
    assert "'batch_norm_1'" in found.why
    cost, y_hat, grads = by_jax(net, params, state, x, y)
    for path in ("conv_0", "residual_3", "head"):
        assert found[path][0].dw == pytest.approx(norm(grads[path]), rel=1e-5)
    body = jax.device_get(grads["repeat_4"]["body"])
    each = [{name: a[place] for name, a in body.items()} for place in range(3)]
    for row, own in zip(found["repeat_4/body"], each, strict=True):
        assert row.dw == pytest.approx(norm(own), rel=1e-5)
    assert found["head"][0].output == pytest.approx(norm(y_hat), rel=1e-5)
    assert found["head"][0].dy == pytest.approx(norm(2 * (y_hat - y) / y.size), rel=1e-5)
    assert found.cost == pytest.approx(cost, rel=1e-6)


def test_what_one_layer_hands_on_comes_to_the_one_before(deep):
    *_, found = deep
    chain = ["conv_0", "batch_norm_1", "relu_2", "residual_3", "repeat_4", "flatten_5", "head"]
    for before, after in itertools.pairwise(chain):
        assert found[before][0].dy == pytest.approx(found[after][0].dx, rel=1e-6)
        assert found[before][0].output == pytest.approx(found[after][0].input, rel=1e-6)


def test_a_receptive_field_is_what_moves_the_output(deep):
    """By the gradient of one output: places of the input that it depends on."""
    *_, found = deep
    net = fnn.serial(conv(1, 3, stride=2), conv(1, 3), avg_pool(2), conv(1, (3, 1)))
    x = jnp.ones((1, 40, 40, 1))
    params, state, _ = made(net, x, ())
    params = jax.tree.map(jnp.ones_like, params)
    seen = jax.jit(jax.grad(lambda x: net.apply(params, state, x)[0][0, 5, 5, 0]))(x)[0, :, :, 0]
    table = explain.forward(net, params, state, x, by="layers")
    assert table["conv_3"][0].window.field == ((seen != 0).any(1).sum(), (seen != 0).any(0).sum())
    window = found["repeat_4/body"][0].window
    assert (window.each, window.weights, window.neurons) == (36, 144, 100)
    assert window.some == 3600
    assert window.every == 10000
    assert "some, 3,600, where a dense layer has all, 10,000" in str(found)


def test_forward_alone_has_no_gradients(deep):
    net, params, state, x, _, _ = deep
    found = explain.forward(net, params, state, x)
    assert found.cost is None
    assert found["head"][0].dy is None
    assert "dC" not in str(found)
    assert "dy" not in found.table()[0]


def test_whole_numbers_go_in_layer_by_layer():
    net = fnn.serial(fnn.layers.embed(5, 3), flatten(), dense(1))
    x = jnp.array([[1, 2], [3, 4]])
    params, state, y = made(net, x, (2, 1))
    found = explain.backprop(net, params, state, x, y.astype(jnp.float32), ERROR)
    assert found["embed_0"][0].dw > 0
    assert found["embed_0"][0].dx is None


# Errors


def test_several_examples_are_refused_with_a_cure():
    net = fnn.serial(dense(2), jnp.tanh, dense(1))
    params, state, y = made(net, rows(3, 2), (3, 1))
    with pytest.raises(
        ValueError, match=r"backprop: x must hold one example.*got \(3, 2\).*x\[:1\]"
    ):
        explain.backprop(net, params, state, rows(3, 2), y, ERROR)
    with pytest.raises(ValueError, match="forward: x must hold one example"):
        explain.forward(net, params, state, rows(3, 2)[0])


@pytest.mark.parametrize(
    ("net", "why"),
    [
        (fnn.residual(dense(2)), "'residual' .residual. is neither neurons nor a function"),
        (fnn.serial(dense(300), dense(2)), "'dense_0' .dense. has 600 synapses, more than limit="),
        (fnn.serial(jnp.tanh), "it has no layer of neurons"),
        (fnn.serial(dense(2), lambda x: (x, x)), "'function_1' .function. gives .*, no single"),
        (fnn.serial(dense(2), fnn.frozen(dense(2))), "'frozen_1' .frozen. is neither"),
    ],
)
def test_asked_for_neurons_that_cannot_be_shown_it_says_why(net, why):
    params, state, _ = made(net, rows(1, 2), ())
    with pytest.raises(ValueError, match=f"neuron by neuron: {why}.*by='layers'"):
        explain.forward(net, params, state, rows(1, 2), by="neurons", limit=500)


def test_a_padding_that_repeats_the_input_is_not_taken_for_synapses():
    net = fnn.serial(conv(1, 3, padding="REFLECT"), flatten(), dense(1))
    params, state, _ = made(net, rows(1, 4, 4, 1), ())
    with pytest.raises(ValueError, match="'conv_0' pads with what it sees"):
        explain.forward(net, params, state, rows(1, 4, 4, 1), by="neurons")


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda f: f.table("weights"), "'neurons', 'synapses' or 'parameters', got 'weights'"),
        (lambda f: f["h7[0]"], r"no neuron or layer 'h7\[0\]'; there are h1\[...\] \(2\), out"),
    ],
)
def test_a_wrong_name_is_told(ask, says):
    net = fnn.serial(dense(2), jnp.tanh, dense(1))
    params, state, _ = made(net, rows(1, 2), (1, 1))
    with pytest.raises((ValueError, KeyError), match=says):
        ask(explain.forward(net, params, state, rows(1, 2)))
    with pytest.raises(ValueError, match="by must be 'auto', 'neurons' or 'layers', got 'x'"):
        explain.forward(net, params, state, rows(1, 2), by="x")


# Words and pages


def test_the_words_hold_the_chain_rule_in_numbers():
    net = fnn.serial(dense(1), jax.nn.relu, dense(1))
    params = {
        "dense_0": {"w": jnp.array([[2.0]]), "b": jnp.array([1.0])},
        "dense_2": {"w": jnp.array([[-3.0]]), "b": jnp.array([0.5])},
    }
    x, y = jnp.array([[1.0]]), jnp.array([[0.0]])
    words = str(explain.backprop(net, params, {}, x, y, ERROR))
    for line in (
        "z = w[0, 0] * x[0] + b[0]",
        "= 2 * 1 + 1",
        "a = relu(3) = 3",
        "= (-3) * 3 + 0.5",
        "C = mean squared_error = 72.25, for target 0",
        "delta = dC/dz = dC/da * da/dz = (-17) * 1 = -17",
        "dC/dw[0, 0] = delta * h1[0] = (-17) * 3 = -51",
        "dC/da = w * delta of out[0]",
        "= (-3) * (-17)",
        "delta = dC/dz = dC/da * da/dz = 51 * 1 = 51",
    ):
        assert line in words
    assert re.search(r"dC/db\[0\] = delta = 51 +jax.grad 51\n", words)


def steps_of(page):
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    return json.loads(data)


def test_the_page_steps_forward_and_backward_through_every_neuron(case, tmp_path):
    *_, found = case
    found.html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "http" not in page.replace("http-equiv", "")
    assert "%" + "STEPS" not in page
    steps = steps_of(page)
    phases = [step["phase"] for step in steps]
    assert phases == sorted(phases, key=["forward", "cost", "backward", "done"].index)
    neurons = [n.name for layer in found.layers for n in layer.neurons]
    for phase in ("forward", "backward"):
        named = [step["name"] for step in steps if step["phase"] == phase]
        if len(neurons) < 20:  # of large layers some are shown
            assert set(neurons) <= set(named)
    nodes, edges = page.count('class="node"'), len(re.findall(r'<line id="e', page))
    assert max(i for step in steps for i in step["nodes"]) < nodes
    assert max(i for step in steps for i in step["edges"]) < edges
    assert page.count('tabindex="0" role="button"') == nodes


def test_pages_escape_what_they_show(tmp_path):
    def evil(x):
        return jnp.tanh(x)

    evil.__name__ = evil.__qualname__ = "</script><img src=x onerror=alert(1)>"

    def bad_loss(a, b):
        return ERROR(a, b)

    bad_loss.__name__ = "<b>%WORDS%</b>"
    net = fnn.serial(dense(2), evil, **{"<i>": dense(1)})
    params, state, y = made(net, rows(1, 2), (1, 1))
    for by in ("neurons", "layers"):
        explain.backprop(net, params, state, rows(1, 2), y, bad_loss, by=by).html(
            tmp_path / "p.html"
        )
        page = (tmp_path / "p.html").read_text(encoding="utf-8")
        for piece in ("<img", "<i>", "<b>"):
            assert piece not in page
        assert html.escape("<i>") in page
        assert page.count("</script>") == (2 if by == "neurons" else 0)


def test_large_layers_show_those_that_bear_most(tmp_path):
    net = fnn.serial(dense(40), jnp.tanh, dense(1))
    params, state, y = made(net, rows(1, 30), (1, 1))
    found = explain.backprop(net, params, state, rows(1, 30), y, ERROR)
    found.html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "8 of 40" in page
    assert "8 of 30" in page
    most = max(found["h1"].neurons, key=lambda neuron: abs(neuron.delta))
    assert any(step["name"] == most.name for step in steps_of(page))
    assert "... 31 more" in str(found)
