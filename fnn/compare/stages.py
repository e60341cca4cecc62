"""The stages of a comparison: compile, tune, walk, race; each finished piece is stored at once."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from fnn.compare.arena import Arena, Lane, Program, Run, run, walk
from fnn.compare.knobs import last_round
from fnn.compare.plan import Costs, Plan, fitted, look_steps
from fnn.compare.result import Log, path_distance
from fnn.compare.store import Store
from fnn.trees import size_bytes

WALK = 20  # steps over which ours and optax's paths are held together
WALK_RATE = (
    0.1  # of the tuned learning rate: at the whole of it paths are chaotic from the first step
)
COMPILE_WORTH = 300  # steps that take about as long as one compilation, for the progress bar
MEASURED = 0.1  # seconds of steps by which a contestant's cost is measured


@dataclass
class Job:
    """What the stages share.

    Attributes:
      arena: where the contestants run.
      store: what is finished.
      plan: the budget.
      logs: of the contestants.
      report: `report(steps, text)` adds steps of training to what is done.
      programs: of the contestants; None of one that failed.
    """

    arena: Arena
    store: Store
    plan: Plan
    logs: list[Log]
    report: Callable[[float, str], None]
    programs: list[Program | None]

    def each(self) -> list[tuple[Log, Program]]:
        """The contestants that have not failed."""
        pairs = zip(self.logs, self.programs, strict=True)
        return [(log, program) for log, program in pairs if program and not log.failures]


def _guarded(log: Log, stage: str, work: Callable[[], Any]) -> Any:
    """What `work` returns; None, and a failure in the log, if the contestant's code raises."""
    try:
        return work()
    except Exception as error:
        log.failures.append((stage, _reason(error)))
        return None


def _reason(error: Exception) -> str:
    """An error in a line; of one that tells where a callback failed, what that raised."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    if any("Traceback (most recent call last)" in line for line in lines):
        return lines[-1][:300]
    return f"{type(error).__name__}: {' '.join(lines)[:300]}"


def _piece(job: Job, log: Log, stage: str, key: str, work: Callable[[], Any]) -> Any:
    """What is stored under the key, or what `work` returns, stored; None if it raises."""
    found = job.store.get(key)
    if found is None:
        found = _guarded(log, stage, work)
        if found is not None:
            job.store.put(key, found)
    return found


def _key(program: Program, *what: Any) -> str:
    """The name of a piece of work: all that it depends on."""
    return json.dumps([program.fingerprint, program.contestant.label, *what], default=_plain)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def trace_all(job: Job) -> None:
    """Trace every contestant's program, which tells what it is, and what its state needs."""
    params = jax.tree.map(lambda a: a[0], job.arena.starts.params)
    for place, log in enumerate(job.logs):
        job.report(0, f"tracing {log.contestant.label}")
        program = _guarded(log, "compile", lambda log=log: Program(job.arena, log.contestant))
        job.programs[place] = program
        log.param_bytes = size_bytes(params)
        log.knobs = dict(log.contestant.defaults)
        if program is not None:
            log.state_bytes = program.state_bytes


def compile_all(job: Job) -> None:
    """Compile what still has work to do, several at a time; report and store the seconds."""
    pool = ThreadPoolExecutor(max(2, len(job.arena.devices)))
    try:
        entries = job.each()
        for _, program in entries:
            if job.store.get(_key(program, "finished", job.plan)) is None:
                program.start(pool)
        for log, program in entries:
            found = None
            if program.started:
                found = _guarded(log, "compile", program.compile)
            if not log.failures:
                key = _key(program, "compile")
                log.compile_seconds = _piece(job, log, "compile", key, lambda s=found: s)
            job.report(COMPILE_WORTH, f"compiled {log.contestant.label}")
        job.report(COMPILE_WORTH * (len(job.logs) - len(entries)), "compiled")
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def stored_plan(job: Job) -> list[str] | None:
    """Take the plan that an earlier call has cut; return what was cut, None without such a plan."""
    stored = job.store.get("plan")
    if stored is None:
        return None
    parts: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in stored["plan"].items()
    }
    job.plan = Plan(**parts)
    return list(stored["cut"])


def fit_plan(job: Job, seconds: Callable[[], float]) -> list[str]:
    """Cut the plan to the seconds that are left after measuring; return what was cut."""
    costs = measure(job)
    job.plan, words = fitted(job.plan, costs, job.arena.lanes, seconds())
    job.store.put("plan", {"plan": job.plan._asdict(), "cut": words})
    return words


def measure(job: Job) -> Costs:
    """What a step of each costs here and now, and the looks."""
    arena, steps, rest = job.arena, [], []
    for log, program in job.each():
        job.report(0, f"measuring {log.contestant.label}")
        lanes = [Lane(1e-3, 0, log.contestant.defaults)] * arena.lanes

        def timed(ends, program=program, lanes=lanes):
            begun = time.perf_counter()
            _, spent = run(arena, program, lanes, ends)
            return spent / ends[-1], time.perf_counter() - begun - spent

        def both(timed=timed):
            guess, _ = timed([2])
            return timed([min(200, max(5, round(MEASURED / guess)))])

        found = _guarded(log, "measure", both)
        if found:
            steps.append(found[0])
            rest.append(found[1])
    data = arena.starts
    some = jax.tree.map(lambda a: a[np.zeros(arena.lanes, int)], (data.params, data.state))
    look = math.inf
    for _ in range(2):
        begun = time.perf_counter()
        jax.block_until_ready(arena.look(some, arena.data))
        look = min(look, time.perf_counter() - begun)
    return Costs(tuple(steps), look, max(0.0, float(np.median(rest or [0.0])) - look))


def tune(job: Job) -> None:
    """Three rounds of settings: learning rates, those around the best, and knobs or finer rates."""
    plan = job.plan

    def third(log):
        of = log.contestant
        for trial in last_round(of.trials, plan.trials):
            yield log.rate * trial.factor, {**of.defaults, **trial.knobs}

    _round(job, lambda log: [(rate, log.knobs) for rate in plan.rates])
    _round(job, lambda log: [(log.rate * factor, log.knobs) for factor in plan.refine])
    _round(job, third)


Settings = Callable[[Log], Any]  # the learning rates and knobs that a contestant shall try


def _round(job: Job, settings: Settings) -> None:
    """Tuning runs at the settings of each, a few at a time, by turns; then the best of each."""
    seeds, size = range(job.plan.tune_seeds), job.arena.lanes
    wanted = {
        log.contestant.label: [
            Lane(float(rate), seed, dict(knobs)) for rate, knobs in settings(log) for seed in seeds
        ]
        for log, _ in job.each()
    }
    for place in range(0, max(map(len, wanted.values()), default=0), size):
        for log, program in job.each():
            some = wanted[log.contestant.label][place : place + size]
            log.tuning += _runs(job, "tuning", log, program, some, [job.plan.tune_steps])
            text = f"tune {log.contestant.label} at {some[-1].rate:.2g}"
            job.report(len(some) * job.plan.tune_steps, text)
    for log, _ in job.each():
        log.rate, log.knobs = best_setting(log.tuning)


def best_setting(tuning: Sequence[Run]) -> tuple[float, Mapping[str, float]]:
    """The learning rate and knobs of the lowest mean validation loss; if each has diverged, those
    of the smallest rate."""
    losses: dict[Any, list[float]] = {}
    for one in tuning:
        loss = math.inf if one.diverged else float(one.val_loss[-1])
        losses.setdefault((one.rate, *one.knobs.items()), []).append(loss)
    means = {setting: float(np.mean(some)) for setting, some in losses.items()}
    rate, *knobs = min(means, key=lambda at: (means[at], at[0]))
    return rate, dict(knobs)


def walk_pairs(job: Job) -> None:
    """Lead ours and optax's side by side from one start, and note how far they part."""
    theirs = {log.contestant.name: (log, program) for log, program in job.each()
              if log.contestant.by == "optax"}  # fmt: skip
    for log, program in job.each():
        if log.contestant.by != "fnn" or log.contestant.name not in theirs:
            continue
        peer, other = theirs[log.contestant.name]
        job.report(0, f"path {log.contestant.name}")
        lane = Lane(log.rate * WALK_RATE, 0, log.knobs)

        def apart(lane=lane, pair=(program, other)):
            return path_distance(*(walk(job.arena, one, lane, WALK) for one in pair))

        key = _key(program, "path", other.fingerprint, lane)
        distance = _piece(job, log, "path", key, apart)
        if distance is not None:
            log.path_distance = peer.path_distance = distance


def race(job: Job) -> None:
    """The races: some seeds of everyone, then some more."""
    plan, size = job.plan, job.arena.lanes
    ends, seeds = look_steps(plan.steps), range(plan.tune_seeds, plan.tune_seeds + plan.seeds)
    for some in (seeds[place : place + size] for place in range(0, plan.seeds, size)):
        for log, program in job.each():
            lanes = [Lane(log.rate, seed, log.knobs) for seed in some]
            log.races += _runs(job, "race", log, program, lanes, ends)
            job.report(
                len(some) * plan.steps,
                f"race {log.contestant.label}, {len(log.races)} of {plan.seeds} seeds",
            )
    for log, program in job.each():
        _piece(job, log, "race", _key(program, "finished", plan), lambda: True)


def _runs(job: Job, stage: str, log: Log, program: Program, lanes, ends) -> list[Run]:
    """Runs that are stored, or done now and stored; none, and a failure in the log, on an error."""

    def work():
        runs, seconds = run(job.arena, program, lanes, ends)
        told = [{n: _plain(value) for n, value in one._asdict().items()} for one in runs]
        return {"runs": told, "us": 1e6 * seconds / ends[-1]}

    found = _piece(job, log, stage, _key(program, "runs", lanes, ends), work)
    if found is None:
        return []
    log.step_us.append(found["us"])
    return [_run(told) for told in found["runs"]]


def _run(told: Mapping[str, Any]) -> Run:
    parts: dict[str, Any] = {
        name: np.array(value) if isinstance(value, list) else value for name, value in told.items()
    }
    return Run(**parts)
