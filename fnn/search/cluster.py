"""A sweep on a cluster of machines: each group of lanes that shares a program is a task of Ray.

Within one program lanes are dealt to devices, by `sweep` itself; what differs in shape cannot be in
one program, and needs nothing of the others: so it may run anywhere.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from fnn.checks import check_given_key
from fnn.data import as_arrays
from fnn.search.group import groups_of
from fnn.search.lane import Build, Setting, candidate_of
from fnn.search.space import Config, as_configs
from fnn.search.sweep import Result, Sweep, check_ends, sweep
from fnn.train.step import Loss


def sweep_on_ray(
    build: Build,
    configs: Sequence[Config],
    x: Any,
    y: Any,
    *,
    loss: Loss,
    steps: int,
    key: jax.Array,
    checks: int = 10,
    resources: Mapping[str, float] | None = None,
    **settings: Any,
) -> Sweep:
    """`sweep`, with its groups as tasks on the Ray cluster that this program is connected to.

    Every lane comes to the numbers that `sweep` gives it. Connect by `ray.init()` first; without
    that Ray starts a cluster on this machine.

    Args:
      build: as in `sweep`; Ray sends it to the workers, which need the packages it uses.
      configs: as in `sweep`; each combination of all but floats is a task.
      x: inputs, sent to each machine once.
      y: targets, likewise.
      loss: as in `sweep`.
      steps: of each run.
      key: seeds all.
      checks: as in `sweep`.
      resources: of a task, such as `{"num_cpus": 4}` or `{"num_gpus": 1}`; one core by default.
      **settings: more of `sweep`: batch_size, validation, metrics, at_once.

    Returns:
      A `Sweep`; its seconds are those of all tasks together.

    Raises:
      ImportError: if Ray is not installed.
      ValueError: as `sweep`, and for `rows`, `held_out`, `done` and `on_results`, which go by the
        numbers of lanes: call `sweep` for them.
    """
    ray = _ray()
    check_given_key(key, "sweep_on_ray")
    if wrong := {"rows", "held_out", "done", "on_results", "devices"} & set(settings):
        raise ValueError(
            f"sweep_on_ray: {', '.join(sorted(wrong))} cannot be given, for tasks know nothing of"
            " one another's lanes; use search.sweep"
        )
    configs = as_configs("sweep_on_ray", configs)
    ends = check_ends("sweep_on_ray", steps, checks)
    groups = groups_of(configs)
    host = jax.tree.map(np.asarray, as_arrays(x, y, where="sweep_on_ray"))
    data = ray.put((host, np.asarray(jax.random.key_data(key)), str(jax.random.key_impl(key))))
    task = ray.remote(**{"num_cpus": 1, **(resources or {})})(_group)
    given = {**settings, "loss": loss, "steps": steps, "checks": checks}
    tasks = [task.remote(build, [configs[i] for i in own.numbers], data, given) for own in groups]
    results: dict[int, Result] = {}
    seconds, best = {"compile": 0.0, "run": 0.0}, (np.inf, -1, ({}, {}))
    for group, (found, at, variables, spent) in zip(groups, ray.get(tasks), strict=True):
        lanes = list(group.numbers)
        results |= dict(zip(lanes, found, strict=True))
        seconds = {name: seconds[name] + spent[name] for name in seconds}
        if best[1] < 0 or found[at].best_loss < best[0]:
            best = (found[at].best_loss, lanes[at], variables)
    ordered = [results[lane] for lane in range(len(configs))]
    group = next(group for group in groups if best[1] in group.numbers)
    setting = Setting(build, loss, {}, settings.get("batch_size", 32), key, jax.devices())
    net, (params, state) = candidate_of(setting, group.numbers[best[1]], group.shaping).net, best[2]
    return Sweep(configs, ordered, ends, best[1], net, params, state, len(groups), seconds)


def _group(build: Build, configs: list[Config], data: Any, given: dict[str, Any]) -> Any:
    """One task: the results of its lanes, the best of them and its weights, and the time."""
    (x, y), bits, kind = data
    begun = time.perf_counter()
    key = jax.random.wrap_key_data(bits, impl=kind)
    found = sweep(build, configs, x, y, key=key, **given)
    whole = time.perf_counter() - begun
    spent = {**found.seconds, "run": whole - found.seconds["compile"]}
    return found.results, found.best, (found.params, found.state), spent


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise ImportError("sweep_on_ray: this needs ray; pip install 'fnn[ray]'") from None
    return ray
