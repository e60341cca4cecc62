"""Layers over time: PyTorch's numbers, streams, masks, closed forms and mistakes."""

import functools
import math
import pathlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import fnn
from fnn import initializers, models, serial
from fnn.layers import bidirectional, dense, gru_cell, lstm_cell, recurrent, rnn_cell
from fnn.layers.gates import gru_gates, lstm_gates

TORCH = dict(np.load(pathlib.Path(__file__).parent / "data" / "recurrent_torch.npz"))
CELLS = {
    "rnn": rnn_cell(4),
    "lstm": lstm_cell(4),
    "gru": gru_cell(4),
    "gru of the paper": gru_cell(4, reset_after=False),
}


@pytest.fixture(params=list(CELLS))
def cell(request):
    return CELLS[request.param]


def made(net, x, seed=0):
    return net.init(jax.random.key(seed), x)


def shake(tree, seed=1):
    """The tree with noise in every leaf, so that no bias is zero."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    noisy = [
        a + 0.5 * jax.random.normal(k, a.shape, a.dtype) for k, a in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, noisy)


# Tests compile more than they compute: LLVM may do without its slow passes.
quick = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@functools.cache
def weights(cell):
    """Parameters of a cell, made once for all tests, with no bias at zero."""
    return shake(recurrent(cell).init(jax.random.key(0), X).params)


X = jax.random.normal(jax.random.key(9), (3, 6, 2))
LENGTHS = np.array([4, 6, 1])
MASK = jnp.arange(6) < LENGTHS[:, None]


# --- PyTorch ---

TORCH_CELLS = {
    "rnn": rnn_cell(3),
    "rnn relu": rnn_cell(3, activation=jax.nn.relu),
    "rnn packed": rnn_cell(3),
    "lstm": lstm_cell(3),
    "lstm both ways": lstm_cell(3),
    "lstm packed": lstm_cell(3),
    "gru": gru_cell(3),
    "gru packed": gru_cell(3),
}


def nested(name, kind, dtype):
    """What is stored under `name|kind/layer/direction/leaf`, as a list of nested dicts."""
    found = {}
    for key, value in TORCH.items():
        if key.startswith(f"{name}|{kind}/"):
            layer, way, leaf = key.split("/")[1:]
            found.setdefault(int(layer), {}).setdefault(way, {})[leaf] = value.astype(dtype)
    stack = [found[i] for i in range(len(found))]
    return stack if len(stack[0]) == 2 else [layer["forward"] for layer in stack]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", list(TORCH_CELLS))
def test_outputs_final_states_and_gradients_are_pytorchs(name, dtype):
    with jax.enable_x64(True):
        both = f"{name}|start/0/backward/h" in TORCH
        make = bidirectional if both else recurrent
        net = make(TORCH_CELLS[name], carry="given")
        lengths = TORCH.get(f"{name}|lengths")
        mask = None if lengths is None else jnp.arange(4) < lengths[:, None]

        def total(params, start, x):
            ends, y = [], x
            for own, carry in zip(params, start, strict=True):
                (y, end), _ = net.apply(own, {}, {"x": y, "mask": mask, "carry": carry})
                ends.append(end)
            weighed = jax.tree.map(jnp.vdot, (y, ends), (dy, dend))
            return sum(jax.tree.leaves(weighed)), (y, ends)

        x, y, dy, dx = (TORCH[f"{name}|{key}"].astype(dtype) for key in ("x", "y", "dy", "dx"))
        params, start, end, dend, dparams, dstart = (
            nested(name, kind, dtype)
            for kind in ("params", "start", "end", "dend", "dparams", "dstart")
        )
        run = quick(jax.value_and_grad(total, (0, 1, 2), has_aux=True))
        (_, out), slopes = run(params, start, x)
        tolerance = 1e-10 if dtype == "float64" else 1e-5
        chex.assert_trees_all_close(out, (y, end), atol=tolerance)
        chex.assert_trees_all_close(slopes, (dparams, dstart, dx), atol=tolerance, rtol=tolerance)


# --- streams and carries ---


def test_a_stream_stepped_moment_by_moment_is_the_whole_pass(cell):
    params = weights(cell)
    step = quick(cell.step)
    carry, seen = cell.start((3,), X.dtype), []
    for t in range(6):
        carry, y = step(params, carry, X[:, t])
        seen.append(y)
    whole, _ = recurrent(cell).apply(params, {}, X)
    chex.assert_trees_all_close(jnp.stack(seen, 1), whole, atol=1e-6)
    alone, y = cell.step(params, cell.start((), X.dtype), X[0, 0])  # a stream without a batch
    assert y.shape == (4,)
    chex.assert_trees_all_close(y, whole[0, 0], atol=1e-6)
    assert jax.tree.map(jnp.shape, alone) == jax.tree.map(jnp.shape, cell.start((), X.dtype))


def test_a_kept_carry_goes_on_where_the_last_call_ended(cell):
    params = weights(cell)
    whole, _ = recurrent(cell).apply(params, {}, X)
    keeper = recurrent(cell, carry="kept")
    same, state = made(keeper, X)
    chex.assert_trees_all_equal(same, made(recurrent(cell), X).params)
    assert all(not a.any() for a in jax.tree.leaves(state))
    pieces = []
    for piece in (X[:, :1], X[:, 1:5], X[:, 5:]):
        y, state = keeper.apply(params, state, piece)
        pieces.append(y)
    chex.assert_trees_all_close(jnp.concatenate(pieces, 1), whole, atol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_pieces_joined_by_a_given_carry_have_the_gradient_of_the_whole(cell, reverse):
    net = recurrent(cell, carry="given", reverse=reverse)
    params = weights(cell)
    first, second = (X[:, 2:], X[:, :2]) if reverse else (X[:, :4], X[:, 4:])

    def whole(params):
        (y, end), _ = net.apply(params, {}, X)
        return (y**2).sum(), end

    def pieces(params):
        (y, carry), _ = net.apply(params, {}, first)
        (z, end), _ = net.apply(params, {}, {"x": second, "carry": carry})
        return (y**2).sum() + (z**2).sum(), end

    run = [quick(jax.value_and_grad(f, has_aux=True))(params) for f in (whole, pieces)]
    chex.assert_trees_all_close(*run, rtol=1e-5, atol=1e-5)


def test_a_given_carry_survives_a_policy_of_sixteen_bits():
    net = fnn.with_policy(recurrent(lstm_cell(4), carry="given"), fnn.Policy(compute=jnp.bfloat16))
    params, _ = made(net, X)
    (_, carry), _ = net.apply(params, {}, X)
    (y, _), _ = net.apply(params, {}, {"x": X, "carry": carry})
    exact = recurrent(lstm_cell(4), carry="given")
    (z, _), _ = exact.apply(params["body"], {}, {"x": X, "carry": carry})
    chex.assert_trees_all_close(y.astype(jnp.float32), z, atol=0.03)


# --- masks ---


@pytest.mark.parametrize("reverse", [False, True])
def test_a_masked_sequence_is_its_real_part_alone(cell, reverse):
    net = recurrent(cell, carry="given", reverse=reverse)
    params = weights(cell)
    run = quick(net.apply)
    (y, end), _ = run(params, {}, {"x": X, "mask": MASK})
    for i, length in enumerate(LENGTHS):
        (alone, alone_end), _ = run(params, {}, X[i : i + 1, :length])
        chex.assert_trees_all_close(y[i, :length], alone[0], atol=1e-6)
        assert not y[i, length:].any()
        chex.assert_trees_all_close(
            jax.tree.map(lambda a, i=i: a[i : i + 1], end), alone_end, atol=1e-6
        )


def test_moments_masked_in_the_middle_might_as_well_be_cut_out(cell):
    net = recurrent(cell, last=True)
    params = weights(cell)
    mask = jnp.array([True, False, True, True, False, False])
    y, _ = net.apply(params, {}, {"x": X, "mask": jnp.tile(mask, (3, 1))})
    chex.assert_trees_all_close(y, net.apply(params, {}, X[:, mask])[0], atol=1e-6)


def test_nothing_behind_a_mask_is_seen_not_even_nan(cell):
    net = bidirectional(cell)
    params = {"forward": weights(cell), "backward": weights(cell)}

    def total(params, x):
        y, _ = net.apply(params, {}, {"x": x, "mask": MASK})
        return (y**2).sum()

    run = quick(jax.value_and_grad(total, (0, 1)))
    clean, spoilt = (run(params, jnp.where(MASK[..., None], X, bad)) for bad in (0.0, jnp.nan))
    chex.assert_trees_all_equal(clean, spoilt)
    assert not clean[1][1][~MASK].any()


@pytest.mark.parametrize("reverse", [False, True])
def test_last_is_the_output_of_the_last_real_moment_read(reverse):
    net, short = (recurrent(gru_cell(4), reverse=reverse, last=last) for last in (False, True))
    params, _ = made(net, X)
    mask = jnp.array([[0, 1, 1, 0, 1, 0], [0] * 6, [1] * 6], bool)
    whole, _ = net.apply(params, {}, {"x": X, "mask": mask})
    last, _ = short.apply(params, {}, {"x": X, "mask": mask})
    chex.assert_trees_all_equal(last[0], whole[0, 1 if reverse else 4])
    assert not last[1].any()
    chex.assert_trees_all_equal(last[2], whole[2, 0 if reverse else 5])
    chex.assert_trees_all_equal(
        short.apply(params, {}, X)[0], net.apply(params, {}, X)[0][:, 0 if reverse else -1]
    )


# --- directions ---


def test_reverse_is_the_pass_over_the_reversed_sequence(cell):
    params = weights(cell)
    forwards, _ = recurrent(cell).apply(params, {}, X[:, ::-1])
    backwards, _ = recurrent(cell, reverse=True).apply(params, {}, X)
    chex.assert_trees_all_close(backwards, forwards[:, ::-1], atol=1e-6)


def test_both_ways_are_two_passes_side_by_side():
    net = bidirectional(lstm_cell(4), rnn_cell(3))
    params, _ = made(net, X)
    y, _ = net.apply(params, {}, {"x": X, "mask": MASK})
    ahead, _ = recurrent(lstm_cell(4)).apply(params["forward"], {}, {"x": X, "mask": MASK})
    back = recurrent(rnn_cell(3), reverse=True)
    behind, _ = back.apply(params["backward"], {}, {"x": X, "mask": MASK})
    chex.assert_trees_all_close(y, jnp.concatenate([ahead, behind], -1), atol=1e-6)
    last, _ = bidirectional(lstm_cell(4), rnn_cell(3), last=True).apply(params, {}, X)
    full, _ = net.apply(params, {}, X)
    chex.assert_trees_all_close(last[:, :4], full[:, -1, :4], atol=1e-6)
    chex.assert_trees_all_close(last[:, 4:], full[:, 0, 4:], atol=1e-6)


def test_the_two_directions_of_one_cell_have_weights_of_their_own():
    params, _ = made(bidirectional(gru_cell(4)), X)
    assert not jnp.allclose(params["forward"]["w_x"], params["backward"]["w_x"])


def test_unrolling_changes_no_number(cell):
    params = weights(cell)
    turns = [recurrent(cell, unroll=n).apply(params, {}, X)[0] for n in (1, 4)]
    chex.assert_trees_all_close(*turns, atol=1e-6)


# --- closed forms ---


def test_a_linear_recurrence_is_a_sum_of_powers():
    net = recurrent(rnn_cell(2, activation=lambda x: x, bias=False))
    params, _ = made(net, X)
    w_x, w_h = (np.asarray(params[name], np.float64) for name in ("w_x", "w_h"))
    power = [np.linalg.matrix_power(w_h, n) for n in range(6)]
    last = sum(np.asarray(X[:, s]) @ w_x @ power[5 - s] for s in range(6))
    chex.assert_trees_all_close(net.apply(params, {}, X)[0][:, -1], last, atol=1e-5)


def test_an_open_forget_gate_keeps_a_memory_and_a_shut_one_loses_it():
    cell = lstm_cell(1)
    params = jax.tree.map(jnp.zeros_like, made(recurrent(cell), X[..., :1]).params)
    start = {"c": jnp.full((3, 1), 0.7), "h": jnp.zeros((3, 1))}
    for forget, kept in ((30.0, 0.7), (-30.0, 0.0)):
        params["b"] = jnp.array([-30.0, forget, 0.0, 30.0])  # i, f, g, o
        (y, end), _ = recurrent(cell, carry="given").apply(
            params, {}, {"x": X[..., :1], "carry": start}
        )
        chex.assert_trees_all_close(end["c"], jnp.full((3, 1), kept), atol=1e-6)
        chex.assert_trees_all_close(y[:, -1], jnp.full((3, 1), math.tanh(kept)), atol=1e-6)


def test_the_gru_of_the_paper_is_its_equations():
    cell = gru_cell(3, reset_after=False)
    params = weights(cell)
    assert set(params) == {"w_x", "w_h", "b"}
    w_x, w_h, b = (np.asarray(params[n], np.float64).reshape(-1, 3, 3) for n in ("w_x", "w_h", "b"))

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    h = np.zeros((3, 3))
    for t in range(6):
        x = np.asarray(X[:, t])
        r = sigmoid(x @ w_x[:, 0] + h @ w_h[:, 0] + b[0, 0])
        z = sigmoid(x @ w_x[:, 1] + h @ w_h[:, 1] + b[0, 1])
        h = z * h + (1 - z) * np.tanh(x @ w_x[:, 2] + (r * h) @ w_h[:, 2] + b[0, 2])
    chex.assert_trees_all_close(recurrent(cell, last=True).apply(params, {}, X)[0], h, atol=1e-5)


def test_the_two_grus_agree_where_the_reset_gate_is_open():
    before, after = gru_cell(3, reset_after=False), gru_cell(3)
    params = shake(made(recurrent(after), X).params)
    params["b"] = params["b"].at[:3].set(50.0)
    joined = {**params, "b": params["b"].at[6:].add(params["b_h"])}
    del joined["b_h"]
    chex.assert_trees_all_close(
        recurrent(after).apply(params, {}, X)[0],
        recurrent(before).apply(joined, {}, X)[0],
        atol=1e-5,
    )


def test_a_memory_is_a_wide_sum_even_of_narrow_numbers():
    cell, x = lstm_cell(1), jnp.ones((1, 2000, 1), jnp.bfloat16)
    net = recurrent(cell, carry="given")
    params = jax.tree.map(jnp.zeros_like, made(net, x).params)
    params["b"] = jnp.array([30.0, 30.0, 0.001, 30.0])  # c grows by tanh(0.001) a moment
    (y, end), _ = quick(net.apply)(params, {}, x)
    assert y.dtype == jnp.bfloat16
    assert end["c"].dtype == jnp.float32
    chex.assert_trees_all_close(end["c"], jnp.array([[2.0]]), rtol=0.01)  # 16 bits stop at 0.25


def test_derivatives_of_the_gates_are_right_in_both_modes_and_twice(x64):
    keys = jax.random.split(jax.random.key(0), 5)
    pre, c, new, m, h = (
        jax.random.normal(key, (2, n)) for key, n in zip(keys, (8, 2, 2, 2, 2), strict=True)
    )
    check_grads(lstm_gates, (pre, c), order=2, atol=1e-6, rtol=1e-6)
    check_grads(gru_gates, (pre[:, :4], new, m, h), order=2, atol=1e-6, rtol=1e-6)


# --- first weights ---


def test_each_gate_is_drawn_on_its_own():
    params, _ = lstm_cell(8, w_x_init=initializers.glorot_normal).init(
        jax.random.key(0), jnp.ones((1, 500))
    )
    for part in jnp.split(params["w_h"], 4, -1):
        chex.assert_trees_all_close(part.T @ part, jnp.eye(8), atol=1e-5)
    for part in jnp.split(params["w_x"], 4, -1):  # the fan of one gate, not of four side by side
        assert abs(part.std() / math.sqrt(2 / 508) - 1) < 0.06


def test_the_forget_bias_is_the_forget_gates_alone():
    params, _ = lstm_cell(2, forget_bias=3.0).init(jax.random.key(0), jnp.ones((1, 2)))
    assert params["b"].tolist() == [0, 0, 3, 3, 0, 0, 0, 0]


# --- cells of one's own ---


def test_a_cell_of_ones_own_is_led_like_the_others():
    def advance(params, carry, x):
        total = carry["sum"] + params["w"] * x
        return {"sum": total}, total

    adder = fnn.layers.Cell(
        init=lambda key, x: fnn.Variables({"w": jnp.full(x.shape[-1:], 2.0)}, {}),
        start=lambda batch_shape, dtype: {"sum": jnp.zeros((*batch_shape, 2), dtype)},
        advance=advance,
        name="adder",
    )
    net = recurrent(adder)
    params, state = made(net, X)
    chex.assert_trees_all_close(net.apply(params, state, X)[0], 2 * X.cumsum(1), atol=1e-5)
    assert repr(net) == "recurrent(adder)"


# --- mistakes ---


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (
            lambda: recurrent(dense(3)),
            TypeError,
            r"cell must be a cell .* got the layer dense\(3\)",
        ),
        (lambda: recurrent(lstm_cell), TypeError, r"call it first: lstm_cell\(features\)"),
        (lambda: bidirectional(recurrent(lstm_cell(2))), TypeError, "got the layer recurrent"),
        (lambda: bidirectional(lstm_cell(2), 3), TypeError, "cell must be a cell"),
        (lambda: serial(lstm_cell(3)), TypeError, "a cell is one moment of a sequence"),
        (lambda: recurrent(lstm_cell(3), carry="keep"), ValueError, "'fresh', 'given' or 'kept'"),
        (lambda: recurrent(lstm_cell(3), carry="kept", reverse=True), ValueError, "in reverse"),
        (lambda: bidirectional(lstm_cell(3), carry="kept"), ValueError, "'fresh' or 'given'"),
        (lambda: recurrent(lstm_cell(3), unroll=0), ValueError, "unroll must be at least 1"),
        (lambda: lstm_cell(0), ValueError, "features must be at least 1"),
        (lambda: gru_cell(2.5), TypeError, "features must be an int"),
        (lambda: rnn_cell(2, activation=dense(2)), TypeError, "activation must be a function"),
        (lambda: models.stacked(), ValueError, "at least one layer"),
        (lambda: models.rnn_lm(5), ValueError, "the cell of each layer"),
    ],
)
def test_mistakes_are_named_where_the_layer_is_built(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (X[0], ValueError, r"must be \(batch, time, features\).*x\[None\]"),
        (X[..., None], ValueError, r"must be \(batch, time, features\)"),
        (X[..., :1], ValueError, "lstm_cell: x has 1 features, expected 2"),
        (jnp.ones((3, 6, 2), int), TypeError, "floating"),
        ({"y": X}, ValueError, "the entries 'y'"),
        ({"x": X, "mask": MASK[:, :5]}, ValueError, r"mask must be \(batch, time\) = \(3, 6\)"),
        ({"x": X, "mask": MASK[..., None]}, ValueError, r"mask must be \(batch, time\)"),
        ({"x": X, "mask": MASK.astype(float)}, TypeError, "mask must be boolean"),
        ({"x": X, "carry": {"c": X[:, 0], "h": X[:, 0]}}, ValueError, "build the layer with"),
    ],
)
def test_mistakes_in_x_are_named_by_the_layer(x, error, words):
    net = recurrent(lstm_cell(3))
    params, state = made(net, X)
    with pytest.raises(error, match=words):
        net.apply(params, state, x)


def test_a_carry_that_does_not_fit_is_refused():
    given, kept = (recurrent(lstm_cell(3), carry=carry) for carry in ("given", "kept"))
    params, state = made(kept, X)
    with pytest.raises(ValueError, match=r"carry must be \{'c': float32\[3,3\]"):
        given.apply(params, {}, {"x": X, "carry": lstm_cell(3).start((2,), X.dtype)})
    with pytest.raises(ValueError, match=r"state must be \{'c': float32\[2,3\]"):
        kept.apply(params, state, X[:2])
    both = bidirectional(lstm_cell(3), carry="given")
    with pytest.raises(ValueError, match="'forward' and 'backward'"):
        both.apply(made(both, X).params, {}, {"x": X, "carry": state})


def test_params_of_another_cell_are_refused():
    params, _ = made(recurrent(gru_cell(3)), X)
    with pytest.raises(ValueError, match=r"lstm_cell: w_x has 9 columns, expected 12"):
        recurrent(lstm_cell(3)).apply(params, {}, X)
    with pytest.raises(ValueError, match=r"params must hold 'w_x'"):
        recurrent(lstm_cell(3)).apply({}, {}, X)


# --- recipes ---


def test_a_stack_shows_every_layer_the_mask():
    net = models.stacked(bidirectional(gru_cell(4)), recurrent(lstm_cell(3)), rate=0.5)
    params, state = made(net, X)
    assert list(params) == ["layer_0", "layer_1"]
    y, _ = net.apply(params, state, {"x": X, "mask": MASK})
    for i, length in enumerate(LENGTHS):
        alone, _ = net.apply(params, state, X[i : i + 1, :length])
        chex.assert_trees_all_close(y[i, :length], alone[0], atol=1e-6)
        assert not y[i, length:].any()


def test_a_recurrent_language_model_writes_what_its_whole_pass_finds_likeliest():
    make = functools.partial(models.rnn_lm, 7, lstm_cell(8), gru_cell(5), features=4)
    ids = jnp.array([[1, 2, 3], [4, 5, 6]])
    params = shake(made(make(), ids).params)
    writer = make(carry="kept")
    write = functools.partial(models.generate, writer, steps=5, temperature=0.0)
    written = quick(write)(params, ids, key=jax.random.key(0))
    text = jnp.concatenate([ids, written], 1)
    logits, _ = make().apply(params, {}, text)
    chex.assert_trees_all_equal(logits[:, 2:-1].argmax(-1), written)


def test_dropout_changes_no_name_in_a_recurrent_language_model():
    ids = jnp.zeros((1, 2), int)
    plain, dropped = (
        made(models.rnn_lm(7, lstm_cell(3), lstm_cell(3), rate=rate), ids).params
        for rate in (0.0, 0.5)
    )
    chex.assert_trees_all_equal(plain, dropped)


# --- a series ---


def test_sunspots_have_a_cycle_of_eleven_years():
    year, number = fnn.datasets.sunspots()
    assert year.tolist() == list(range(1700, 2009))
    assert number.dtype == jnp.float32
    assert (float(number[0]), float(number.max())) == (5, pytest.approx(190.2))
    power = np.abs(np.fft.rfft(np.asarray(number - number.mean()), 4096)) ** 2
    assert 10.5 < 4096 / power.argmax() < 11.5


# --- learning ---


def test_a_gru_reads_better_than_counts_of_pairs():
    text = fnn.datasets.text("shakespeare")[:300_000]
    characters = fnn.data.characters(text)
    read, unread = fnn.data.split_in_order(characters.encode(text))
    pairs = np.ones((characters.size, characters.size))
    np.add.at(pairs, (read[:-1], read[1:]), 1)
    after = pairs / pairs.sum(1, keepdims=True)
    by_pairs = -np.log(after[unread[:-1], unread[1:]]).mean()

    net = models.rnn_lm(characters.size, gru_cell(64), features=16)
    trained, _ = jax.jit(
        lambda key, x, y: fnn.train.run(
            key,
            net,
            x,
            y,
            loss=fnn.losses.cross_entropy,
            optimizer=fnn.optim.adam(fnn.optim.schedules.one_cycle(2e-2, steps=300)),
            steps=300,
            batch_size=32,
        )
    )(jax.random.key(0), *fnn.data.windows(read, 32))
    x, y = fnn.data.windows(unread, 32)
    logits = jax.jit(functools.partial(fnn.predict, net))(trained.params, {}, x)
    assert fnn.losses.cross_entropy(logits, y).mean() < by_pairs - 0.4


def test_an_lstm_recalls_what_it_saw_thirty_moments_ago():
    x = jax.random.normal(jax.random.key(0), (256, 30, 1))
    target = (x[:, 0, 0] > 0).astype(int)
    net = serial(recurrent(lstm_cell(8, forget_bias=3.0), last=True), dense(2))
    last, _ = jax.jit(
        lambda key: fnn.train.run(
            key,
            net,
            x,
            target,
            loss=fnn.losses.cross_entropy,
            optimizer=fnn.optim.adam(2e-2),
            steps=300,
            batch_size=64,
        )
    )(jax.random.key(1))
    unseen = jax.random.normal(jax.random.key(2), (256, 30, 1))
    guesses = fnn.predict(net, last.params, last.state, unseen)
    assert fnn.metrics.accuracy(guesses, (unseen[:, 0, 0] > 0).astype(int)) > 0.9
