"""Random numbers by counting and hashing: cheap, and the same on every backend.

`jax.random` hashes with threefry, twenty rounds for two words. A dropout mask or the order of a
batch needs far less, and pays for it in every training step. Here each number is a hash of its
position and of the two words of the key, in 32-bit integer arithmetic only, so that the result
depends on nothing but the key: not on the backend, not on `jit`, `vmap` or `scan`.

The keys are those of `jax.random`, typed (`jax.random.key`) or raw (`jax.random.PRNGKey`). The
numbers are good for masks, noise and orders; they are not for cryptography.

Source: the mixing function is "lowbias32" in its improved form, found by search for low avalanche
bias, https://github.com/skeeto/hash-prospector; the permutation is the swap-or-not shuffle of
Hoang, Morris & Rogaway 2012, https://doi.org/10.1007/978-3-642-32009-5_1.
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_GOLDEN = np.uint32(0x9E3779B9)  # 2**32 divided by the golden ratio: steps that never line up
_START = np.uint32(0x243F6A88), np.uint32(0x85A308D3)  # digits of pi
_ROUNDS = 24  # the share of elements never offered a swap is 2**-24; 12 show in tests, 16 do not


def bits(key: jax.Array, shape: Sequence[int] = ()) -> jax.Array:
    """Independent random 32-bit words, each a hash of its flat index and the key.

    Args:
      key: one key, typed or raw.
      shape: at most 2**32 elements.

    Returns:
      uint32 array of that shape, uniform over all 32-bit words.

    Raises:
      TypeError: if `key` is not one key.
      ValueError: if the shape holds more than 2**32 elements.

    Source: lowbias32 of index + a, with b mixed in between its two multiplications; a and b are
      themselves hashes of the words of the key.

    >>> bits(jax.random.key(0), (3,))
    Array([2872162878, 1313408010,  784978500], dtype=uint32)
    """
    a, b = _words(key, "random.bits")
    _consume(key)
    size = math.prod(shape)
    if size > 2**32:
        raise ValueError(
            f"random.bits: shape {tuple(shape)} has {size} elements, more than 2**32;"
            " fold the key and draw in parts"
        )
    h = lax.iota(jnp.uint32, size).reshape(shape) + a
    h = (h ^ (h >> 16)) * np.uint32(0x21F0AAAD) ^ b
    h = (h ^ (h >> 15)) * np.uint32(0x735A2D97)
    return h ^ (h >> 15)


def uniform(key: jax.Array, shape: Sequence[int] = ()) -> jax.Array:
    """Uniform float32 numbers in [0, 1), multiples of 2**-24.

    >>> uniform(jax.random.key(0), (3,))
    Array([0.6687275 , 0.30580163, 0.18276703], dtype=float32)
    """
    return (bits(key, shape) >> 8).astype(jnp.float32) * np.float32(2.0**-24)


def bernoulli(
    key: jax.Array, p: float | jax.Array = 0.5, shape: Sequence[int] | None = None
) -> jax.Array:
    """True with probability `p`, by comparing random words with `p` times 2**32.

    Args:
      key: one key, typed or raw.
      p: probability in [0, 1], taken as float32; may be traced and broadcasts against `shape`.
        0 is never true and 1 always; values beyond are read as 0 and 1.
      shape: of the result; that of `p` when None.

    Raises:
      ValueError: if `p` is a Python number outside [0, 1].

    >>> bernoulli(jax.random.key(0), 0.3, (4,))
    Array([False, False,  True,  True], dtype=bool)
    """
    if isinstance(p, int | float) and not 0 <= p <= 1:
        raise ValueError(f"random.bernoulli: p must be in [0, 1], got {p}")
    chance = jnp.asarray(p).astype(jnp.float32)
    below = jnp.clip(chance, 0.0, np.float32(1 - 2.0**-24)) * np.float32(2.0**32)  # exact
    drawn = bits(key, chance.shape if shape is None else shape) < below.astype(jnp.uint32)
    return drawn | (chance >= 1)


def fold_in(key: jax.Array, data: int | jax.Array) -> jax.Array:
    """A new key from a key and a number: `jax.random.fold_in` at the price of a few integer sums.

    Args:
      key: one key, typed or raw.
      data: an integer, read modulo 2**32; may be traced.

    Returns:
      A key of the same kind as `key`; it is good for `jax.random` too.

    >>> jax.random.key_data(fold_in(jax.random.key(0), 1))
    Array([2549534769,  944140351], dtype=uint32)
    """
    _check_key(key, "random.fold_in")
    return _folded(key, _uint32(data))


# jitted, since outside of jit each of its sixty operations would be a call of its own
@functools.partial(jax.jit, inline=True)
def _folded(key: jax.Array, data: jax.Array) -> jax.Array:
    a, b = _words(key, "random.fold_in")
    words = [_mix(a ^ data)]
    for _ in range(_data(key).shape[0] - 1):
        b = _mix(b + words[-1])
        words.append(b)
    folded = jnp.stack(words)
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return folded
    return jax.random.wrap_key_data(folded, impl=jax.random.key_impl(key))


def shuffled(key: jax.Array, positions: jax.Array, n: int) -> jax.Array:
    """The elements at `positions` of a random permutation of range(n), and only these.

    The rest of the permutation is never computed, so a batch costs what a batch costs however
    large n is.

    .. math:: x' = (K_r - x) \\bmod n, \\qquad
        x \\leftarrow x' \\text{ if } h_r(\\max(x, x')) \\text{ is odd}, \\quad r = 1 \\dots 24

    Args:
      key: one key, typed or raw; it decides the permutation.
      positions: integers in [0, n), any shape; values beyond are not checked (their images are
        meaningless).
      n: number of elements, a Python int, 1 to 2**31 - 1.

    Returns:
      int32 array of the shape of `positions`; distinct positions give distinct elements.

    Raises:
      ValueError: if n is out of range.

    Source: Hoang, Morris & Rogaway 2012, figure 1, https://doi.org/10.1007/978-3-642-32009-5_1

    >>> shuffled(jax.random.key(0), jnp.array([0, 9_999_999]), 10_000_000)
    Array([6390706, 8355639], dtype=int32)
    """
    n = _count(n, "random.shuffled")
    table = _round_words(*_words(key, "random.shuffled"))
    _consume(key)
    x = lax.convert_element_type(jnp.asarray(positions), jnp.uint32)
    return _swap_or_not(table, table, jnp.zeros((), bool), x, n)


def permutation(key: jax.Array, n: int) -> jax.Array:
    """A random permutation of range(n): `shuffled` at every position.

    >>> permutation(jax.random.key(0), 5)
    Array([1, 2, 3, 0, 4], dtype=int32)
    """
    return shuffled(key, jnp.arange(_count(n, "random.permutation"), dtype=jnp.int32), n)


def batch_order(key: jax.Array, step: int | jax.Array, *, n: int, batch_size: int) -> jax.Array:
    """The examples of training step number `step`: the order of the data as a pure function.

    The stream of examples is endless: passes over range(n), each freshly shuffled, one behind the
    other, cut into batches of `batch_size`. A batch may hold the end of one pass and the beginning
    of the next, so each example comes exactly once a pass, none is dropped, every batch is full,
    and the step number is all there is to store in order to resume.

    .. math:: p = step \\cdot batch\\_size + i, \\qquad
        index_i = \\operatorname{shuffled}(\\operatorname{fold\\_in}(key, \\lfloor p/n \\rfloor),\\;
        p \\bmod n,\\; n)

    Args:
      key: one key, typed or raw, the same at every step.
      step: 0, 1, 2 ... below 2**31; may be traced.
      n: number of examples, a Python int.
      batch_size: examples a step, 1 to n, a Python int.

    Returns:
      (batch_size,) int32 indices in [0, n). Distinct, unless the batch holds two passes.

    Raises:
      ValueError: if n is out of range, or `batch_size` is less than 1 or more than n.

    >>> [batch_order(jax.random.key(0), k, n=5, batch_size=2).tolist() for k in range(5)]
    [[0, 2], [1, 3], [4, 3], [1, 4], [2, 0]]
    """
    passes, place = stream(step, n=n, batch_size=batch_size)
    first = passes[0]  # batch_size <= n: at most two passes meet in a batch
    now = _round_words(*_words(fold_in(key, first), "random.batch_order"))
    then = _round_words(*_words(fold_in(key, first + np.uint32(1)), "random.batch_order"))
    return _swap_or_not(now, then, passes != first, place, int(n))


def stream(step: int | jax.Array, *, n: int, batch_size: int) -> tuple[jax.Array, jax.Array]:
    """Where training step number `step` stands in an endless stream of passes over n examples.

    Args:
      step: 0, 1, 2 ... below 2**31; may be traced.
      n: number of examples, a Python int.
      batch_size: examples a step, 1 to n, a Python int.

    Returns:
      Two (batch_size,) uint32 arrays: the number of the pass of each example of the batch, and its
      place in that pass.

    Raises:
      ValueError: if n is out of range, or `batch_size` is less than 1 or more than n.

    >>> passes, places = stream(2, n=5, batch_size=2)
    >>> print(passes, places)
    [0 1] [4 0]
    """
    n = _count(n, "random.batch_order")
    if not 1 <= batch_size <= n:
        cure = f"take batch_size={n} or less" if batch_size > n else "take at least 1"
        raise ValueError(
            f"random.batch_order: batch_size={batch_size} does not fit the {n} examples; {cure}"
        )
    step = _uint32(step)
    passes, start = _times(step % np.uint32(n), batch_size, n)
    passes = passes + step // np.uint32(n) * np.uint32(batch_size)
    place = start + lax.iota(jnp.uint32, batch_size)
    later = place >= np.uint32(n)
    return passes + later.astype(jnp.uint32), jnp.where(later, place - np.uint32(n), place)


def _data(key: jax.Array) -> jax.Array:
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(key) if typed else jnp.asarray(key)


def _words(key: jax.Array, where: str) -> tuple[jax.Array, jax.Array]:
    """Two words that depend on every bit of the key, one to one for a key of two words."""
    _check_key(key, where)
    data = _data(key)
    a, b = jnp.asarray(_START[0]), jnp.asarray(_START[1])
    for i in range(data.shape[0]):
        a = _mix(a ^ data[i])
        b = _mix(b + a)
    return a, b


def _check_key(key: jax.Array, where: str) -> None:
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if not ((typed and shape == ()) or (dtype == np.uint32 and shape and len(shape) == 1)):
        got = repr(key) if dtype is None else f"{dtype}{list(shape or ())}"
        raise TypeError(
            f"{where}: key must be one key such as jax.random.key(0), got {got};"
            " use jax.vmap for several keys"
        )


def reuse_is_checked() -> bool:
    """Whether JAX's check for keys used twice is on."""
    return getattr(jax.config, "jax_debug_key_reuse", False)


def _consume(key: jax.Array) -> None:
    """Tell JAX's check for keys used twice, where it is on, that this one is used."""
    if reuse_is_checked() and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        jax.random.bits(key)  # the check sees its draws, not our reading of the key's words


def _mix(h: jax.Array) -> jax.Array:
    """lowbias32: a one-to-one map of 32-bit words in which every bit moves every other."""
    h = (h ^ (h >> 16)) * np.uint32(0x21F0AAAD)
    h = (h ^ (h >> 15)) * np.uint32(0x735A2D97)
    return h ^ (h >> 15)


def _uint32(value: int | jax.Array) -> jax.Array:
    if isinstance(value, int):
        return np.uint32(value % 2**32)  # type: ignore[return-value]
    return lax.convert_element_type(value, jnp.uint32)


def _count(n: int, where: str) -> int:
    if not 1 <= n < 2**31:
        cure = "there is no data" if n == 0 else "n is a Python int from 1 to 2**31 - 1"
        raise ValueError(f"{where}: cannot order n={n} examples; {cure}")
    return int(n)


def _round_words(a: jax.Array, b: jax.Array) -> jax.Array:
    """One word a round of the shuffle."""
    return _mix(_mix(a + lax.iota(jnp.uint32, _ROUNDS) * _GOLDEN) ^ b)


# jitted, since the loop would else be compiled anew (0.1 s) at every call outside of jit
@functools.partial(jax.jit, static_argnums=4, inline=True)
def _swap_or_not(now: jax.Array, then: jax.Array, later: jax.Array, x: jax.Array, n: int):
    """All rounds, by the words `then` where `later`, else by `now`.

    A loop, since unrolled it ran no faster and took twice as long to compile.
    """

    def one_round(r, x):
        u = jnp.where(later, then[r], now[r])
        k = _high_product(u, n)
        partner = jnp.where(x > k, k - x + np.uint32(n), k - x)  # (k - x) mod n
        odd = _mix(jnp.maximum(x, partner) ^ u) >> 31
        return jnp.where(odd != 0, partner, x)

    return lax.fori_loop(0, _ROUNDS, one_round, x).astype(jnp.int32)


def _high_product(u: jax.Array, n: int) -> jax.Array:
    """The upper 32 of the 64 bits of u * n: a number below n, uniform if u is."""
    n_high, n_low = np.uint32(n >> 16), np.uint32(n & 0xFFFF)
    u_high, u_low = u >> 16, u & np.uint32(0xFFFF)
    one = u_high * n_low + (u_low * n_low >> 16)
    two = u_low * n_high + (one & np.uint32(0xFFFF))
    return u_high * n_high + (one >> 16) + (two >> 16)


def _times(r: jax.Array, factor: int, n: int) -> tuple[jax.Array, jax.Array]:
    """divmod(r * factor, n) for r < n and factor <= n, where the product itself may overflow.

    Horner's rule over the bits of `factor`, the remainder brought below n at each of them.
    """
    quotient, rest = jnp.zeros((), jnp.uint32), jnp.zeros((), jnp.uint32)
    for bit in f"{factor:b}":
        quotient, rest = quotient + quotient, rest + rest
        for term in (jnp.zeros((), jnp.uint32), r) if bit == "1" else (jnp.zeros((), jnp.uint32),):
            rest = rest + term
            over = rest >= np.uint32(n)
            rest = jnp.where(over, rest - np.uint32(n), rest)
            quotient = quotient + over.astype(jnp.uint32)
    return quotient, rest
