"""fnn.datasets.text and fnn.data's helpers for text: ids and back, windows, a split in order."""

import collections
import importlib.resources
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnn import data, datasets


@pytest.fixture(scope="module")
def shakespeare():
    return datasets.text("shakespeare")


# --- the text ---------------------------------------------------------------------------------


def test_shakespeare_is_a_million_characters_of_65_kinds(shakespeare):
    assert len(shakespeare) == 1_115_394
    assert shakespeare.count("\n") == 40_000
    assert data.characters(shakespeare).size == 65
    assert collections.Counter(shakespeare).most_common(3) == [
        (" ", 169_892),
        ("e", 94_611),
        ("t", 67_009),
    ]
    for line in ("ROMEO:\n", "what light through yonder window breaks?"):
        assert line in shakespeare


def test_its_size_in_the_package_is_small():
    packed = importlib.resources.files(datasets) / "shakespeare.txt.bz2"
    assert len(packed.read_bytes()) < 340_000


def test_an_unknown_text_is_told_with_the_nearest():
    with pytest.raises(ValueError, match="unknown text 'shakespear'; did you mean 'shakespeare'"):
        datasets.text("shakespear")
    with pytest.raises(ValueError, match="there are shakespeare; pathlib"):
        datasets.text("qqq")


def test_the_text_is_read_only_when_asked_for():
    code = "import sys, fnn; fnn.datasets; "
    code += "print('fnn.datasets.texts' in sys.modules, 'bz2' in sys.modules)"
    jax_alone = "import sys, jax; print('bz2' in sys.modules)"

    def run(program):
        return subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout.split()

    assert run(code) == ["True", *run(jax_alone)]  # jax loads it itself, by way of the stdlib


# --- ids and back -----------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_decode_undoes_encode(text):
    vocabulary = data.characters(text)
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int32
    assert ids.shape == (len(text),)
    assert vocabulary.decode(ids) == text
    assert set(ids.tolist()) == set(range(vocabulary.size))
    assert list(vocabulary.alphabet) == sorted(set(text))


def test_ids_are_places_in_the_alphabet(shakespeare):
    vocabulary = data.characters(shakespeare)
    number = {character: i for i, character in enumerate(sorted(set(shakespeare)))}
    ids = vocabulary.encode(shakespeare)
    assert ids[:1000].tolist() == [number[character] for character in shakespeare[:1000]]
    assert vocabulary.decode(ids) == shakespeare
    assert vocabulary.encode("").shape == (0,)
    assert vocabulary.decode([]) == ""


@pytest.mark.parametrize(("text", "told"), [("ab\ncé", "'é' at place 4, line 2"), ("Z", "'Z' at")])
def test_an_unknown_character_is_named_with_its_place(text, told):
    with pytest.raises(ValueError, match=rf"{told}.* not among the 4 characters known \(1 such"):
        data.characters("abc\n").encode(text)


def test_an_id_out_of_range_is_named_with_its_place():
    vocabulary = data.characters("abc")
    for wrong in (3, -1):
        with pytest.raises(ValueError, match=f"id {wrong} at place 1 is none of the 3 characters"):
            vocabulary.decode([0, wrong])
    with pytest.raises(ValueError, match=r"one sequence of integers, got int.* of shape \(1, 2\)"):
        vocabulary.decode([[0, 1]])
    with pytest.raises(ValueError, match="one sequence of integers, got float"):
        vocabulary.decode([0.5])


def test_what_is_no_text_is_refused():
    with pytest.raises(TypeError, match="characters: text must be a str, got bytes"):
        data.characters(b"abc")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="characters: the text is empty"):
        data.characters("")
    with pytest.raises(TypeError, match="encode: text must be a str, got list"):
        data.characters("abc").encode(["a"])  # type: ignore[arg-type]


# --- windows ----------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 40), st.integers(1, 12), st.integers(1, 12))
def test_each_y_is_what_follows_its_x(n, length, stride):
    ids = np.arange(n) + 100
    if n <= length:
        with pytest.raises(ValueError, match=f"needs {length + 1} ids"):
            data.windows(ids, length, stride=stride)
        return
    x, y = data.windows(ids, length, stride=stride)
    starts = [s for s in range(0, n, stride) if s + length + 1 <= n]
    assert x.tolist() == [ids[s : s + length].tolist() for s in starts]
    np.testing.assert_array_equal(y, x + 1)
    assert x.dtype == y.dtype == np.int32


def test_without_a_stride_each_id_is_predicted_once():
    _, y = data.windows(np.arange(1001), 10)
    assert y.ravel().tolist() == list(range(1, 1001))


def test_windows_own_their_memory():
    ids = np.arange(20, dtype=np.int32)
    x, y = data.windows(ids, 4, stride=2)
    x[:] = -1
    assert ids.tolist() == list(range(20))
    assert y.min() == 1


# --- a split in order -------------------------------------------------------------------------


def test_a_split_in_order_cuts_once(shakespeare):
    train, test = data.split_in_order(shakespeare)
    assert train + test == shakespeare
    assert len(test) == 111_539
    first, last = data.split_in_order(np.arange(10), test=3)
    assert (first.tolist(), last.tolist()) == ([0, 1, 2, 3, 4, 5, 6], [7, 8, 9])


@pytest.mark.parametrize("test", [0.0, 10, 0.001])
def test_a_split_in_order_refuses_an_empty_part(test):
    with pytest.raises(ValueError, match="leaves a part empty"):
        data.split_in_order("0123456789", test=test)
