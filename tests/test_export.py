"""A network in a file: the same numbers, in a process that has never heard of fnn."""

import subprocess
import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import fnn

WITHOUT_FNN = """
import pathlib, sys
import jax, jax.export, numpy as np
loaded = jax.export.deserialize(pathlib.Path(sys.argv[1]).read_bytes())
x = np.load(sys.argv[2])
np.save(sys.argv[3], np.asarray(jax.jit(loaded.call)(x)))
assert "fnn" not in sys.modules
"""


def test_a_file_gives_the_same_numbers_where_fnn_was_never_imported(tmp_path, key):
    net = fnn.serial(
        fnn.layers.conv(4, 3),
        fnn.layers.batch_norm(),
        jax.nn.relu,
        fnn.layers.max_pool(2),
        fnn.layers.flatten(),
        fnn.layers.dropout(0.5),
        fnn.layers.dense(3),
    )
    x = np.asarray(jax.random.normal(key, (5, 8, 8, 1)))
    params, state = net.init(key, x)
    _, state = net.apply(params, state, x, key=key, train=True)  # running averages off their start
    fnn.export(net, params, state, x[:1], path=tmp_path / "net.bin")
    np.save(tmp_path / "x.npy", x)
    files = [str(tmp_path / name) for name in ("net.bin", "x.npy", "y.npy")]
    subprocess.run([sys.executable, "-c", WITHOUT_FNN, *files], check=True, cwd=tmp_path)
    expected = fnn.predict(net, params, state, x)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, rtol=1e-5, atol=1e-6)


def test_one_program_serves_every_batch_size_and_every_platform(key):
    net = fnn.models.mlp(8, 2)
    x = jax.random.normal(key, (7, 3))
    params, state = net.init(key, x)
    program = fnn.export(net, params, state, jax.ShapeDtypeStruct((1, 3), jnp.float32))
    assert program.platforms == ("cpu", "cuda", "rocm", "tpu")
    for n in (1, 7):
        expected = fnn.predict(net, params, state, x[:n])
        np.testing.assert_allclose(program.call(x[:n]), expected, rtol=1e-6)


def test_the_weights_in_the_program_are_those_of_the_day_it_was_made(key):
    net, x = fnn.layers.dense(1), jnp.ones((2, 3))
    params, state = net.init(key, x)
    before = fnn.predict(net, params, state, x)
    program = fnn.export(net, params, state, x)
    params = jax.tree.map(lambda p: p + 1, params)
    np.testing.assert_allclose(program.call(x), before, rtol=1e-6)
    assert not np.allclose(before, fnn.predict(net, params, state, x))


def test_a_pytree_of_inputs_has_one_batch_size(key):
    net = fnn.Layer(
        lambda key, x, /: fnn.Variables({}, {}),
        lambda params, state, x, /, *, key=None, train=False: (x["a"] * x["b"], state),
    )
    x = {"a": jnp.ones((3, 2)), "b": 2 * jnp.ones((3, 1))}
    program = fnn.export(net, {}, {}, x)
    np.testing.assert_array_equal(program.call(x), 2 * np.ones((3, 2)))
    with pytest.raises(ValueError, match="batch"):
        program.call({"a": jnp.ones((3, 2)), "b": jnp.ones((4, 1))})


def test_a_network_that_needs_a_number_says_so_and_takes_one(key):
    net = fnn.Layer(
        lambda key, x, /: fnn.Variables({}, {}),
        lambda params, state, x, /, *, key=None, train=False: (x * np.ones(int(x.shape[0])), state),
    )
    with pytest.raises(ValueError, match=r"^export: .* every batch size .* give batch_size="):
        fnn.export(net, {}, {}, jnp.ones((3, 3)))
    program = fnn.export(net, {}, {}, jnp.ones((1, 3)), batch_size=3)
    assert program.call(jnp.ones((3, 3))).shape == (3, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"platforms": ("gpu",)}, r"^export: platforms must be some of cpu, .* got gpu"),
        ({"batch_size": 0}, r"^export: batch_size must be at least 1, got 0"),
        ({"x": jnp.ones(())}, r"^export: every array of x needs a batch axis"),
        ({"x": jnp.ones((1, 4))}, r"dense.*3.*4|dense.*4.*3"),
    ],
)
def test_what_cannot_be_exported_is_said(change, message, key):
    net = fnn.layers.dense(1)
    params, state = net.init(key, jnp.ones((1, 3)))
    arguments = {"x": jnp.ones((1, 3)), **change}
    with pytest.raises(ValueError, match=message):
        fnn.export(net, params, state, **arguments)


def test_an_unwritable_place_is_an_error_and_leaves_no_file(key, tmp_path):
    net = fnn.layers.dense(1)
    params, state = net.init(key, jnp.ones((1, 3)))
    with pytest.raises(OSError, match="nothing was left"):
        fnn.export(net, params, state, jnp.ones((1, 3)), path=tmp_path / "no" / "net.bin")
    assert list(tmp_path.iterdir()) == []
