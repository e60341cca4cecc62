"""Many runs at once: one function over lanes of arguments, on all devices."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fnn.compiler import compiled


def over_lanes(
    function: Callable[..., Any], *, devices: Sequence[Any] | None = None
) -> Callable[..., Any]:
    """Map a function over the first axis of its arguments: `lanes(a, b)[i] = function(a[i], b[i])`.

    The lanes are dealt evenly to the devices. Within a device they run by `vmap` on an accelerator,
    where one small network leaves most of it idle, and one after another on a CPU, where `vmap`
    gains nothing at the widths people train. On a CPU every core works once there are as many host
    devices: set `jax.config.update("jax_num_cpu_devices", cores)` before JAX is used.

    Args:
      function: pure; takes and returns pytrees of arrays.
      devices: which ones; all by default.

    Returns:
      `lanes(*arguments, shared=None)`, to be jitted. Every argument is a pytree whose leaves share
      their first axis. `shared`, such as the data, goes to every lane as it is, as the function's
      last argument; on many devices give big arrays here, since closed-over ones become constants.

    >>> lanes = jax.jit(over_lanes(lambda rate, x: rate * x))
    >>> print(lanes(jnp.arange(3.0), jnp.ones(3)), lanes(jnp.arange(3.0), shared=2.0))
    [0. 1. 2.] [0. 2. 4.]
    """
    devices = list(devices or jax.devices())
    on_cpu = devices[0].platform == "cpu"

    def within(arguments, shared):
        extra = () if shared is None else (shared,)
        if on_cpu:
            return lax.map(lambda lane: function(*lane, *extra), arguments)
        return jax.vmap(lambda *lane: function(*lane, *extra))(*arguments)

    def lanes(*arguments, shared=None):
        sizes = {leaf.shape[0] if leaf.ndim else 0 for leaf in jax.tree.leaves(arguments)}
        if len(sizes) != 1 or 0 in sizes:
            raise ValueError(
                "over_lanes: arguments must share a first axis of at least one lane,"
                f" got {sorted(sizes)}"
            )
        n = sizes.pop()
        if len(devices) == 1:
            return within(arguments, shared)
        spare = -n % len(devices)
        if spare:  # spare lanes repeat the last one, so that what they compute is harmless
            index = jnp.minimum(jnp.arange(n + spare), n - 1)
            arguments = jax.tree.map(lambda a: a[index], arguments)
        dealt = jax.shard_map(
            within,
            mesh=Mesh(devices, ("lanes",)),
            in_specs=(PartitionSpec("lanes"), PartitionSpec()),
            out_specs=PartitionSpec("lanes"),
            check_vma=False,
        )
        results = dealt(arguments, shared)
        return jax.tree.map(lambda a: a[:n], results) if spare else results

    return lanes


def dealt_lanes(function: Callable[..., Any], devices: Sequence[Any]) -> Any:
    """`lanes(dealt, shared)[i] = function(dealt[i], shared)`, jitted, with arrays where they lie.

    The lanes are as many as fit evenly, and what they share lies on every device already, as
    `placements` says: without the shardings each call would copy it. A lane has a core to itself,
    and the convolutions of `compiled` are the faster ones there, too.
    """
    mapped = over_lanes(function, devices=devices)
    dealt, shared = placements(devices)
    return compiled(
        lambda lanes, common: mapped(lanes, shared=common),
        in_shardings=(dealt, shared),
        out_shardings=dealt,
    )


def placements(devices: Sequence[Any]) -> tuple[NamedSharding, NamedSharding]:
    """Where arrays lie: lanes dealt to the devices by the first axis, and the same on each."""
    mesh = Mesh(list(devices), ("lanes",))
    return NamedSharding(mesh, PartitionSpec("lanes")), NamedSharding(mesh, PartitionSpec())
