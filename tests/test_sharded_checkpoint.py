"""Checkpoints that each process writes its part of: every bit comes back, and damage is told."""

import gc
import json
import os
import time

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import checkpoint
from fnn.checkpoint import CheckpointError, Checkpoints, sharded

pytest.importorskip("orbax.checkpoint")
pytestmark = pytest.mark.filterwarnings("ignore")  # Orbax's own


@pytest.fixture(autouse=True)
def tidy():
    """What Orbax leaves behind after an error is told of here, and not in a later test."""
    yield
    gc.collect()


TREE = {
    "w": jnp.arange(12.0).reshape(3, 4) / 7,
    "small": {
        "half": jnp.array([1.5, -0.0, jnp.inf], jnp.bfloat16),
        "yes": jnp.array([True, False]),
    },
    "host": np.arange(5, dtype=np.int8),
    "none": jnp.zeros((0, 2)),
    "empty": {},
    "key": jax.random.key(3),
    "complex": jnp.array([1 + 2j, -1j], jnp.complex64),
    "step": 7,
    "rate": 0.25,
    "on": True,
}


def data(leaf):
    typed = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if typed else leaf)


def assert_same(a, b):
    chex.assert_trees_all_equal_structs(a, b)
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert type(one) is type(other)
        assert data(one).dtype == data(other).dtype
        assert data(one).tobytes() == data(other).tobytes()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("sharded") / "one.sharded"
    writer = sharded.Writer()
    writer.save(path, TREE, note={"why": "to see"})
    writer.close()
    return path


def test_every_kind_of_leaf_comes_back_bit_for_bit(saved):
    assert_same(sharded.load(saved, TREE), TREE)
    told = sharded.describe(saved)
    assert told.note == {"why": "to see"}
    assert told.arrays["small/half"] == "bfloat16[3]"
    assert told.arrays["key"] == "key<fry>[]"


def test_shapes_alone_are_enough_to_load(saved):
    like = jax.tree.map(lambda a: a, TREE) | {"w": jax.ShapeDtypeStruct((3, 4), jnp.float32)}
    np.testing.assert_array_equal(sharded.load(saved, like)["w"], TREE["w"])


def test_what_does_not_fit_is_listed_at_once(saved):
    other = {name: leaf for name, leaf in TREE.items() if name != "rate"}
    other |= {"w": jnp.zeros((4, 3)), "more": jnp.ones(2)}
    with pytest.raises(CheckpointError) as told:
        sharded.load(saved, other)
    for part in ("more: not in the file", "rate: only in the file", "float32[3, 4] in the file"):
        assert part in str(told.value)


def test_a_flipped_bit_is_never_handed_over(saved):
    """Orbax has no sums of its own: ours are over the arrays, and over the header."""
    rng = np.random.default_rng(0)
    files = [path for path in sorted(saved.rglob("*")) if path.is_file() and path.stat().st_size]
    refused = 0
    for path in (file for file in files if file.parent.name == "d" or file.name == "metadata"):
        whole = path.read_bytes()
        for place in rng.integers(len(whole), size=2):
            bad = bytearray(whole)
            bad[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(bad)
            try:
                assert_same(sharded.load(saved, TREE), TREE)
            except CheckpointError:
                refused += 1
            finally:
                path.write_bytes(whole)
    assert refused >= 2
    assert_same(sharded.load(saved, TREE), TREE)


def test_a_forged_note_is_told_by_the_headers_checksum(saved):
    path = saved / "header" / "metadata"
    whole = path.read_text()
    header = json.loads(whole)
    header["note"]["why"] = "forged"
    path.write_text(json.dumps(header))
    try:
        with pytest.raises(CheckpointError, match="checksum"):
            sharded.describe(saved)
    finally:
        path.write_text(whole)


def test_a_changed_number_changes_the_sums():
    """By one bit anywhere, by a swap of two numbers, and by nothing else."""
    a = np.arange(1.0, 65.0, dtype=np.float32)
    sums = {tuple(np.asarray(sharded.sum_of(jnp.asarray(a))).tolist())}
    for bit in range(32):
        changed = a.copy()
        changed.view(np.uint32)[bit] ^= np.uint32(1) << np.uint32(bit)
        sums.add(tuple(np.asarray(sharded.sum_of(jnp.asarray(changed))).tolist()))
    swapped = a.copy()
    swapped[[3, 40]] = swapped[[40, 3]]
    sums.add(tuple(np.asarray(sharded.sum_of(jnp.asarray(swapped))).tolist()))
    assert len(sums) == 34


def test_a_folder_keeps_the_newest_and_the_best_of_both_kinds(tmp_path):
    kept = Checkpoints(tmp_path, keep=1, best="min")
    kept.save(1, {"w": jnp.ones(2)}, value=0.5)
    kept.close()
    (tmp_path / "step_0000000009.sharded.orbax-checkpoint-tmp").mkdir()  # of a writer that died
    os.utime(tmp_path / "step_0000000009.sharded.orbax-checkpoint-tmp", (time.time() - 99,) * 2)
    kept = Checkpoints(tmp_path, keep=1, best="min", sharded=True)
    for step, value in ((2, 0.1), (3, 0.4), (4, 0.3)):
        kept.save(step, {"w": jnp.full(2, float(step))}, value=value)
    kept.close()
    assert kept.steps() == [2, 4]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".sharded", ".sharded"]
    like = {"w": jnp.zeros(2)}
    assert kept.best(like).step == 2
    found = Checkpoints(tmp_path).latest(like)
    assert (found.step, found.tree["w"].tolist(), found.note["value"]) == (4, [4.0, 4.0], 0.3)
    with pytest.raises(ValueError, match="lies in parts; give like"):
        kept.latest()


def test_what_no_checkpoint_holds_is_told(tmp_path):
    writer = sharded.Writer()
    with pytest.raises(TypeError, match="'name' is str"):
        writer.save(tmp_path / "a", {"name": "text"})
    with pytest.raises(TypeError, match="note must hold what JSON holds"):
        writer.save(tmp_path / "a", {"w": jnp.ones(1)}, note={"f": len})
    writer.close()
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        sharded.load(tmp_path / "a", {})
    (tmp_path / "b").mkdir()
    with pytest.raises(CheckpointError, match="damaged or no checkpoint"):
        checkpoint.sharded.load(tmp_path / "b", {})
