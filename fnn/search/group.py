"""What a sweep works on: data on all devices, and groups of lanes that share compiled programs."""

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn import processes
from fnn.checks import check_count
from fnn.core import Layer
from fnn.data import as_arrays
from fnn.search.lane import (
    Build,
    Lane,
    Programs,
    Setting,
    Shared,
    candidate_of,
    make_programs,
)
from fnn.search.space import Config, as_configs, same, split
from fnn.train.arguments import check_metrics, check_pair
from fnn.train.evaluate import Metric
from fnn.train.lanes import placements
from fnn.train.run import check_budget, examples
from fnn.train.step import Loss
from fnn.trees import size_bytes

# One program call holds at most so many lanes: often enough to tell of progress and to save it.
MOST = 64


class Group(NamedTuple):
    """Lanes that share a program: the numbers of each, by lane, and what shapes the program.

    Attributes:
      numbers: by lane, the floats of its configuration and its seed.
      shaping: all else, the same for all.
    """

    numbers: dict[int, dict[str, Any]]
    shaping: dict[str, Any]

    def shares_program(self, other: "Group") -> bool:
        """Whether lanes of the other one could be lanes of this."""
        names = [next(iter(group.numbers.values())).keys() for group in (self, other)]
        if self.shaping.keys() != other.shaping.keys() or names[0] != names[1]:
            return False
        return all(same(value, other.shaping[name]) for name, value in self.shaping.items())


class Groups:
    """All lanes, their data and their programs.

    Attributes:
      setting: what the programs are made from.
      configs: of the lanes.
      all: the groups.
      shared: the data, on every device.
      dealt, everywhere: where arrays of lanes and shared arrays lie.
      seconds: spent to "compile" and to "run".
    """

    def __init__(
        self,
        setting: Setting,
        configs: list[Config],
        shared: Shared,
        rows: np.ndarray | None = None,
        held_out: np.ndarray | None = None,
        at_once: int | None = None,
    ):
        self.setting, self.configs, self.at_once = setting, configs, at_once
        self.rows, self.held_out = rows, held_out
        self.dealt, self.everywhere = placements(setting.devices)
        self.shared = jax.device_put(shared, self.everywhere)
        self.all = groups_of(configs)
        self.seconds = {"compile": 0.0, "run": 0.0}
        self._programs: dict[int, tuple[Programs, int]] = {}

    def programs(self, group: Group) -> tuple[Programs, int]:
        """The compiled programs of a group, and how many lanes a call holds."""
        if id(group) not in self._programs:
            begun = time.perf_counter()
            seeded = "seed" in next(iter(group.numbers.values()))
            traced = make_programs(self.setting, group.shaping, seeded=seeded)
            size = self._at_once(traced, group)
            lanes = self.lanes(group, [next(iter(group.numbers))] * size)
            with ThreadPoolExecutor(max_workers=1) as pool:  # XLA compiles outside of Python's lock
                start = pool.submit(traced.start.lower(lanes, self.shared).compile)
                carry = jax.eval_shape(traced.start, lanes, self.shared)
                stretch = traced.stretch.lower((lanes, carry), self.common(0)).compile()
                self._programs[id(group)] = Programs(start.result(), stretch), size
            self.seconds["compile"] += time.perf_counter() - begun
        return self._programs[id(group)]

    def common(self, count: int) -> tuple[jax.Array, Shared]:
        """What all lanes of a stretch share: the number of steps, and the data."""
        return jax.device_put(jnp.int32(count), self.everywhere), self.shared

    def lanes(self, group: Group, members: Sequence[int]) -> Lane:
        """These lanes, dealt to the devices."""
        numbers = [group.numbers[lane] for lane in members]
        names = [name for name in numbers[0] if name != "seed"]
        values = {name: np.array([own[name] for own in numbers], float) for name in names}
        seeds = np.array([own.get("seed", 0) for own in numbers], np.uint32)
        seeded = np.full(len(members), "seed" in numbers[0])
        index = np.array(members)
        rows, held_out = (None if p is None else p[index] for p in (self.rows, self.held_out))
        lane = Lane(values, seeds, seeded, rows, held_out)
        return jax.device_put(jax.tree.map(jnp.asarray, lane), self.dealt)

    def net(self, lane: int) -> Layer:
        """The network of a lane."""
        group = self.of(lane)
        return candidate_of(self.setting, group.numbers[lane], group.shaping).net

    def of(self, lane: int) -> Group:
        """The group of a lane."""
        return next(group for group in self.all if lane in group.numbers)

    def _at_once(self, programs: Programs, group: Group) -> int:
        """How many lanes a call holds: a multiple of the devices."""
        devices = len(self.setting.devices)
        if self.at_once is None:
            one = self.lanes(group, [next(iter(group.numbers))] * devices)
            carry = jax.eval_shape(programs.start, one, self.shared)
            lane = 3 * size_bytes((one, carry)) / devices  # in, out, and gradients or copies of it
            most = min(free_bytes(self.setting.devices) / 2 / lane, MOST)
        else:
            most = self.at_once
        size = max(int(min(most, len(group.numbers))), 1)
        size = int(processes.from_all([size]).min())  # each sees the memory of its own machine
        return -(-size // devices) * devices


def prepared(
    where: str,
    build: Build,
    configs: Sequence[Config],
    x: Any,
    y: Any,
    *,
    loss: Loss,
    steps: int,
    key: jax.Array,
    batch_size: int | None,
    validation: tuple[Any, Any] | None = None,
    rows: Any = None,
    held_out: Any = None,
    metrics: Mapping[str, Metric] | None = None,
    at_once: int | None = None,
    devices: Sequence[Any] | None = None,
) -> Groups:
    """The groups of a sweep, its arguments checked; they are those of `sweep`.

    Raises:
      ValueError: for data, budgets or configurations that do not fit together.
    """
    configs = as_configs(where, configs)
    check_metrics(where, metrics)
    check_count(where, "steps", steps)
    x, y = as_arrays(x, y, where=where)
    n = examples((x, y))
    rows, held_out = (
        _indices(where, name, index, configs, n)
        for name, index in (("rows", rows), ("held_out", held_out))
    )
    for config in configs:
        size = config.get("batch_size", batch_size)
        check_budget(steps, size, n if rows is None else rows.shape[1])
    if validation is not None:
        if held_out is not None:
            raise ValueError(f"{where}: give validation or held_out, not both")
        check_pair(where, "validation", validation)
        validation = as_arrays(*validation, where=f"{where}: validation")
    if at_once is not None:
        check_count(where, "at_once", at_once)
    devices = list(devices or jax.devices())
    setting = Setting(build, loss, dict(metrics or {}), batch_size, key, devices)
    return Groups(setting, configs, Shared(x, y, validation), rows, held_out, at_once)


def free_bytes(devices: Sequence[Any]) -> float:
    """Memory that may still be taken: of this process' accelerators, or of the machine for a CPU.

    >>> free_bytes(jax.devices()) > 1e6
    True
    """
    own = [device for device in devices if device.process_index == jax.process_index()]
    stats = [device.memory_stats() for device in own]
    if devices[0].platform != "cpu" and all(stats):
        return sum(s["bytes_limit"] - s["bytes_in_use"] for s in stats if s)
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):  # a system that does not say
        return 4e9


def groups_of(configs: Sequence[Config]) -> list[Group]:
    """Lanes that share a program, together.

    >>> [list(group.numbers) for group in groups_of([{"w": 1}, {"w": 2}, {"w": 1}])]
    [[0, 2], [1]]
    """
    groups: list[Group] = []
    for lane, config in enumerate(configs):
        numbers, shaping = split(config)
        if "seed" in config:
            shaping.pop("seed", None)
            numbers["seed"] = _seed(config["seed"])
        new = Group({lane: numbers}, shaping)
        known = next((group for group in groups if group.shares_program(new)), None)
        if known is None:
            groups.append(new)
        else:
            known.numbers[lane] = numbers
    return groups


def _seed(value: Any) -> int:
    """A seed as an integer that 32 bits hold."""
    number = value if isinstance(value, int | float | np.number) else -1
    if isinstance(value, bool) or not 0 <= number < 2**32 or number != int(number):
        raise ValueError(
            f"sweep: a seed must be a whole number in [0, 2^32), got {value!r}; such as range(5)"
        )
    return int(number)


def _indices(
    where: str, name: str, index: Any, configs: Sequence[Config], n: int
) -> np.ndarray | None:
    if index is None:
        return None
    index = np.asarray(index)
    if index.ndim != 2 or len(index) != len(configs) or not np.issubdtype(index.dtype, np.integer):
        raise ValueError(
            f"{where}: {name} must be integers of shape (lanes, rows) for {len(configs)} lanes,"
            f" got {index.dtype}{list(index.shape)}"
        )
    if index.size == 0 or index.min() < 0 or index.max() >= n:
        raise ValueError(f"{where}: {name} must be rows of the {n} there are, got others")
    return index.astype(np.int32)
