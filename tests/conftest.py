"""What every test may ask for: a key, and float64 for as long as one test lasts."""

import jax
import pytest


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture
def x64():
    """Run the test in float64; the setting goes back to what it was afterwards."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(params=["eager", "jit"])
def variant(request):
    """Run the test twice, with functions as they are and compiled."""
    return jax.jit if request.param == "jit" else (lambda f: f)
