"""What a checkpoint promises: every bit back, whole or not at all, damage told, no code run."""

import json
import os
import pathlib
import subprocess
import sys
import time
import warnings

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import fnn
from fnn import checkpoint
from fnn.checkpoint import CheckpointError, Checkpoints

DTYPES = [np.bool_, np.int8, np.int32, np.uint32, np.float16, np.float32, jnp.bfloat16]


def same(a, b):
    """Whether two trees are equal to the last bit, in structure, kinds and dtypes."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for mine, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if isinstance(mine, bool | int | float):
            assert type(mine) is type(other)
            assert mine == other or mine != mine
            continue
        assert mine.dtype == other.dtype
        assert mine.shape == other.shape
        if jnp.issubdtype(mine.dtype, jax.dtypes.prng_key):
            mine, other = jax.random.key_data(mine), jax.random.key_data(other)
        assert np.asarray(mine).tobytes() == np.asarray(other).tobytes()
    return True


def any_array():
    shapes = arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    bits = arrays_of.arrays(np.uint8, st.tuples(shapes).map(lambda s: (*s[0], 4)))
    dtypes = st.sampled_from([np.uint8, np.int32, np.float32, jnp.bfloat16, np.float16])
    return st.builds(lambda a, dtype: np.ascontiguousarray(a).view(dtype), bits, dtypes)


words = st.text(st.characters(blacklist_characters="/\x00", codec="utf-8"), min_size=1, max_size=5)
leaves = any_array() | st.integers(-(2**40), 2**40) | st.floats() | st.booleans()
nested = st.dictionaries(
    words, st.recursive(leaves, lambda inner: st.dictionaries(words, inner, max_size=3)), max_size=4
)


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(nested)
def test_loading_what_was_saved_gives_every_bit_back(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("any") / "tree.safetensors"
    checkpoint.save(path, tree)
    assert same(checkpoint.load(path, tree), tree)
    found = checkpoint.load(path)  # without a pattern arrays are JAX's
    assert same(jax.tree.map(np.asarray, found), jax.tree.map(np.asarray, tree))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_and_the_empty_array_come_back(tmp_path, dtype):
    tree = {"a": jnp.arange(6).reshape(2, 3).astype(dtype), "none": jnp.zeros((0, 3), dtype)}
    checkpoint.save(tmp_path / "a", tree)
    assert same(checkpoint.load(tmp_path / "a"), tree)


def test_a_train_state_with_its_key_and_optimizer_comes_back_and_goes_on_alike(tmp_path):
    x, y = fnn.datasets.moons(jax.random.key(0), n=64)
    net = fnn.serial(fnn.layers.dense(4), fnn.layers.batch_norm(), jnp.tanh, fnn.layers.dense(2))
    optimizer = fnn.optim.chain(fnn.optim.clip(1.0), fnn.optim.adam(0.01))
    step = jax.jit(fnn.train.make_step(net, fnn.losses.cross_entropy, optimizer))
    before, _ = step(fnn.train.init(net, optimizer, jax.random.key(1), x), (x, y))
    checkpoint.save(tmp_path / "state", before)
    like = jax.eval_shape(lambda key: fnn.train.init(net, optimizer, key, x), jax.random.key(0))
    after = checkpoint.load(tmp_path / "state", like)
    assert same(after, before)
    assert same(step(after, (x, y))[0], step(before, (x, y))[0])


def test_empty_trees_and_a_single_array_are_trees_too(tmp_path):
    for tree in ({}, {"a": {}, "b": {"c": {}}}, jnp.ones(3), 7):
        checkpoint.save(tmp_path / "a", tree)
        assert same(checkpoint.load(tmp_path / "a"), tree)


def test_numbers_of_64_bits_lose_nothing_where_jax_has_32(tmp_path):
    tree = {"a": np.array([1 / 3]), "n": np.array([2**40])}
    checkpoint.save(tmp_path / "a", tree)
    found = checkpoint.load(tmp_path / "a")
    assert isinstance(found["a"], np.ndarray)
    assert same(found, tree)


def test_all_differences_are_told_at_once(tmp_path):
    checkpoint.save(tmp_path / "a", {"w": jnp.ones((2, 3)), "b": jnp.ones(3), "old": jnp.ones(1)})
    like = {"w": jnp.ones((3, 2)), "b": jnp.ones(3, jnp.bfloat16), "new": jnp.ones(1)}
    with pytest.raises(CheckpointError) as error:
        checkpoint.load(tmp_path / "a", like)
    for part in (
        "w: float32[2, 3] in the file, expected float32[3, 2]",
        "b: float32[3] in the file, expected bfloat16[3]",
        "new: not in the file",
        "old: only in the file",
    ):
        assert part in str(error.value)


def test_a_part_is_loaded_by_pattern_and_the_rest_stays(tmp_path):
    checkpoint.save(tmp_path / "a", {"body": {"w": jnp.ones(2)}, "head": {"w": jnp.ones(5)}})
    like = {"body": {"w": jnp.zeros(2)}, "head": {"w": jnp.zeros(3)}}
    found = checkpoint.load(tmp_path / "a", like, only="body/*")
    assert found["body"]["w"].tolist() == [1, 1]
    assert found["head"]["w"] is like["head"]["w"]
    with pytest.raises(ValueError, match=r"no path of like matches 'tail/\*'"):
        checkpoint.load(tmp_path / "a", like, only="tail/*")


@pytest.mark.parametrize(
    ("tree", "error", "words"),
    [
        ({"a": "text"}, TypeError, "'a' is str, 'text', expected an array or a number"),
        ({"a": lambda x: x}, TypeError, "expected an array or a number"),
        ({"a/b": 1.0}, ValueError, "slash"),
        ({"a": {"b": 1.0}, "a/b": 2.0}, ValueError, "slash"),
        ({"a": np.array(["x"])}, TypeError, "safetensors lacks"),
        ({"__metadata__": 1.0}, ValueError, "safetensors' own name"),
    ],
)
def test_what_cannot_be_saved_is_told_and_leaves_the_old_file(tmp_path, tree, error, words):
    checkpoint.save(tmp_path / "a", {"w": jnp.ones(1)})
    with pytest.raises(error, match=words):
        checkpoint.save(tmp_path / "a", tree)
    assert checkpoint.load(tmp_path / "a")["w"].tolist() == [1]
    assert os.listdir(tmp_path) == ["a"]


def test_a_note_must_be_json(tmp_path):
    with pytest.raises(TypeError, match="note must hold what JSON holds"):
        checkpoint.save(tmp_path / "a", {}, note={"net": object()})


# what a crash leaves


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    checkpoint.write_atomically(path, "old")

    def fail(new):
        new.write_text("half")
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="the power went"):
        checkpoint.write_atomically(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


FULL_DISK = """
import resource, signal, sys, jax.numpy as jnp
from fnn import checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
checkpoint.save(sys.argv[1], {"w": jnp.ones(100)})
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))  # files may grow no larger
try:
    checkpoint.save(sys.argv[1], {"w": jnp.ones(100_000)})
except OSError as error:
    print("told:", error)
resource.setrlimit(resource.RLIMIT_FSIZE, before)  # for those who watch, and write at the end
print(checkpoint.load(sys.argv[1])["w"].sum())
"""


def test_a_full_disk_is_told_and_the_last_good_checkpoint_stays(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "a")],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=pathlib.Path(__file__).parents[1],
        check=False,
    )
    assert "told:" in done.stdout, done.stderr
    assert "untouched" in done.stdout
    assert done.stdout.strip().endswith("100.0")
    assert os.listdir(tmp_path) == ["a"]


# damaged and hostile files


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "a"
    checkpoint.save(path, {"w": jnp.arange(12.0).reshape(3, 4), "n": 3, "k": jax.random.key(0)})
    return path


def loaded(path, content, otherwise):
    """What a file of this content gives; `otherwise` if it is refused."""
    path.write_bytes(content)
    try:
        return checkpoint.load(path)
    except CheckpointError:
        return otherwise


def test_a_file_cut_short_anywhere_is_refused(file, tmp_path):
    content = file.read_bytes()
    for length in range(len(content)):
        assert loaded(tmp_path / "cut", content[:length], "refused") == "refused"


@hypothesis.settings(deadline=None, max_examples=300)
@hypothesis.given(st.data())
def test_a_file_with_changed_bytes_is_refused_or_gives_what_was_saved(file, tmp_path_factory, data):
    content, good = bytearray(file.read_bytes()), checkpoint.load(file)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    assert same(loaded(tmp_path_factory.getbasetemp() / "changed", content, good), good)


def forged(metadata, arrays=None):
    """A safetensors file with a header of one's choice."""
    header = {"__metadata__": metadata, **(arrays or {})}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


DEEP = '{"format": 1, "note": ' + "[" * 100_000 + "]" * 100_000 + "}"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a checkpoint at all",
        (2**63).to_bytes(8, "little") + b"{}",
        (50).to_bytes(8, "little") + b"{}",
        forged({"fnn": "{}", "checksum": "00000000"}),
        forged({"fnn": "null", "checksum": "00000000"}),
        forged({"fnn": '{"format": NaN}', "checksum": "00000000"}),
        forged({"fnn": DEEP, "checksum": "00000000"}),
        forged({"fnn": '{"format": 99}'}),
        forged({}, {"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
        forged({}, {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, -4]}}),
        forged({}, {"../../etc/passwd": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}),
    ],
)
def test_a_hostile_file_is_refused_in_words(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    for read in (checkpoint.load, checkpoint.describe):
        with pytest.raises(CheckpointError, match=r"damaged|format|not one that"):
            read(tmp_path / "a")


@pytest.mark.parametrize("kinds", [{"w": "key<fry>"}, {"w": "int"}, {"w": "os.system"}, {"w": []}])
def test_a_forged_header_with_a_true_checksum_runs_no_code(tmp_path, kinds):
    from safetensors.numpy import save_file

    from fnn.checkpoint.files import checksum_of, sum_of
    from fnn.checkpoint.header import FORMAT

    arrays = {"w": np.ones((2, 5), np.float32)}
    header = {"format": FORMAT, "note": {}, "versions": {}, "kinds": kinds, "empty": []}
    text = json.dumps(header)
    checksum = checksum_of(text, {name: sum_of(name, a) for name, a in arrays.items()})
    save_file(arrays, str(tmp_path / "a"), {"fnn": text, "checksum": checksum})
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(tmp_path / "a")


def test_safetensors_of_other_programs_are_read_on_request(tmp_path):
    from safetensors.numpy import save_file

    save_file({"w": np.ones(2, np.float32)}, str(tmp_path / "a"))
    with pytest.raises(CheckpointError, match="foreign=True"):
        checkpoint.load(tmp_path / "a")
    assert checkpoint.load(tmp_path / "a", foreign=True)["w"].tolist() == [1, 1]


def test_our_files_are_ordinary_safetensors(tmp_path):
    from safetensors.numpy import load_file

    checkpoint.save(tmp_path / "a", {"dense": {"w": jnp.ones(2)}})
    assert load_file(str(tmp_path / "a"))["dense/w"].tolist() == [1, 1]


def test_a_folder_or_no_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        checkpoint.load(tmp_path / "none")
    with pytest.raises(CheckpointError, match="is not a file"):
        checkpoint.load(tmp_path)


# folders


def test_a_folder_keeps_the_newest_and_the_best(tmp_path):
    with Checkpoints(tmp_path, keep=2, best="max") as kept:
        for step, score in enumerate([0.1, 0.9, 0.2, float("nan"), 0.3]):
            kept.save(step, {"w": jnp.full(3, score)}, value=score, note={"score": score})
        kept.wait()
        assert kept.steps() == [1, 3, 4]
        best, latest = kept.best(), kept.latest()
        assert best is not None
        assert latest is not None
        assert (best.step, latest.step, latest.note["score"]) == (1, 4, 0.3)


def test_what_a_killed_writer_left_half_written_is_swept_up(tmp_path):
    left = tmp_path / ".step_0000000003.safetensors.abc.part"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    other = tmp_path / ".notes.part"  # not ours
    other.write_bytes(b"mine")
    os.utime(other, (1, 1))
    with checkpoint.Checkpoints(tmp_path) as kept:
        under_way = tmp_path / ".step_0000000004.safetensors.abd.part"
        under_way.write_bytes(b"another writer's")
        os.utime(under_way, (time.time() + 60,) * 2)
        kept.save(5, {"w": np.ones(2)})
    assert not left.exists()
    assert other.exists()
    assert under_way.exists()


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(tmp_path):
    with Checkpoints(tmp_path) as kept:
        for step in (1, 2, 3):
            kept.save(step, {"w": jnp.full(3, step)})
        kept.wait()
        kept.path(3).write_bytes(kept.path(3).read_bytes()[:-1])
        with pytest.warns(UserWarning, match="going back"):
            found = kept.latest()
        assert found is not None
        assert found.step == 2
        for step in (1, 2):
            kept.path(step).write_bytes(b"")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(CheckpointError, match="damaged"):
                kept.latest()


def test_a_tree_that_does_not_fit_is_an_error_and_no_reason_to_go_back(tmp_path):
    with Checkpoints(tmp_path, background=False) as kept:
        kept.save(1, {"w": jnp.ones(3)})
        with pytest.raises(CheckpointError, match="does not fit"):
            kept.latest({"w": jnp.ones(4)})


def test_what_is_saved_may_be_donated_at_once(tmp_path):
    double = jax.jit(lambda w: 2 * w, donate_argnums=0)
    w = jnp.ones(100_000)
    with Checkpoints(tmp_path, keep=9) as kept:
        for step in range(5):
            kept.save(step, {"w": w})
            w = double(w)
        kept.wait()
        for step in range(5):
            assert checkpoint.load(kept.path(step))["w"][-1] == 2**step


def test_what_the_thread_could_not_write_is_raised_by_the_next_save(tmp_path):
    kept = Checkpoints(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    kept.save(1, {"w": jnp.ones(3)})
    with pytest.raises(OSError, match="nothing was left"):
        kept.save(2, {"w": jnp.ones(3)})
    kept.close()


@pytest.mark.parametrize("wrong", [{"keep": 0}, {"best": "least"}])
def test_a_folder_says_which_settings_cannot_be(tmp_path, wrong):
    with pytest.raises(ValueError, match="keep must be >= 1 and best"):
        Checkpoints(tmp_path, **wrong)
