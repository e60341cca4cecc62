"""How many small mistakes in `optim`, `losses` and `train` the tests would notice.

    python benchmarks/mutation.py [--rooms losses train optim] [--sample 150] [--again]

Mutants are what a slip of the hand would make: + for -, < for <=, `and` for `or`, a number one off,
a condition turned around, a keyword or a statement left out, None returned. A seed draws them
uniformly from all those of a room. Each is compiled in a forked process, in which no line on the
disk has changed, and the tests that run the mutated line (by coverage's contexts) are run until one
fails. A mutant that no test notices is a survivor; those that cannot be noticed, since they change
nothing that anyone could see, are listed in `EQUIVALENT` with the reason. Mutants of messages and
types are not made. Results: `results/mutation.json`, which a later run completes.
"""

import argparse
import ast
import contextlib
import functools
import hashlib
import importlib
import importlib.machinery
import json
import os
import pathlib
import re
import select
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

import harness
import hypothesis
import pytest

ROOT = pathlib.Path(__file__).parents[1]
OUT = harness.RESULTS / "mutation.json"

# file::function::what was changed::the line -> why no test can notice
EQUIVALENT: dict[str, str] = {
    "fnn/losses/pairs.py::_length::Gt -> GtE::power = jnp.sum(jnp.where(parts > 0,"
    " jnp.where(parts > 0, parts, 1) ** p, 0), -1)::1": "0^p has a finite slope for every p >= 1,"
    " which is all that triplet allows, and the outer where leaves it out",
    "fnn/losses/sequences.py::_later::0 -> 1::return jnp.pad(alpha, ((0, 0), (by, 0)),"
    " constant_values=_NEVER)[:, : alpha.shape[1]]::2": "what is padded at the end is cut off",
    "fnn/losses/sequences.py::ctc::USub left out::wrong = jnp.any(wrong & (jnp.arange(length) <"
    " label_lengths[:, None]), -1)": "of a matrix, axis 1 is axis -1",
    "fnn/losses/regression.py::root_mean_squared_error::1 -> 2::return jnp.where(mean > 0,"
    " jnp.sqrt(jnp.where(mean > 0, mean, 1)), 0) * top[..., 0]": "any positive number would do: the"
    " outer where leaves its root out",
    "fnn/optim/minimizers/least_squares.py::_marquardt_step::Gt -> GtE::taken ="
    " jnp.isfinite(value) & (value < point.value) & (ratio > 0)": "where the value falls the ratio"
    " is not 0",
    "fnn/train/fit.py::fit::1 -> 2::train_state = fresh(key, jax.tree.map(lambda a: a[:1], x)) if"
    " start is None else start": "init reads shapes alone, and no parameter's depends on the batch",
    "fnn/compiler.py::compiled::compiler_options= left out::return jax.jit(function,"
    " compiler_options=_options(), **settings)": "the options make it faster and change no result",
    **dict.fromkeys(
        (
            "fnn/compiler.py::module::'xla_backend_optimization_level' -> 'XX'::"
            '"xla_backend_optimization_level": "1",',
            "fnn/compiler.py::_options::Or -> And::return {name: value for name, value in"
            " _CPU.items() if _known({name: value})} or None",
            "fnn/compiler.py::_options::None returned::return _CPU",
            "fnn/compiler.py::_known::None returned::return True",
        ),
        "without the options it is slower and gives the same",
    ),
    "fnn/train/fit.py::module::1.0 -> 2.0::CHUNK_SECONDS = 1.0": "how often the clock is looked"
    " at: a matter of taste",
}

SWAPS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


def changes(node):
    """The mutations of one node: (what it is called, a function that changes the node in place)."""
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in SWAPS:
        new = SWAPS[type(node.op)]
        yield f"{type(node.op).__name__} -> {new.__name__}", lambda n: setattr(n, "op", new())
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            new = SWAPS[type(op)]
            yield (
                f"{type(op).__name__} -> {new.__name__}",
                lambda n, i=i, new=new: n.ops.__setitem__(i, new()),
            )
    if isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, bool):
            yield f"{value} -> {not value}", lambda n: setattr(n, "value", not value)
        elif isinstance(value, int | float):
            yield f"{value} -> {value + 1}", lambda n: setattr(n, "value", value + 1)
        elif isinstance(value, str) and value:
            yield f"{value!r} -> 'XX'", lambda n: setattr(n, "value", "XX")
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield (
            "condition turned",
            lambda n: setattr(n, "test", ast.UnaryOp(op=ast.Not(), operand=n.test)),
        )
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        yield (
            f"{type(node.op).__name__} left out",
            lambda n: setattr(n, "op", ast.UAdd()) if isinstance(n.op, ast.USub) else _plain(n),
        )
    if isinstance(node, ast.Return) and node.value is not None:
        yield "None returned", lambda n: setattr(n, "value", ast.Constant(None))
    if isinstance(node, ast.Call):
        for i, keyword in enumerate(node.keywords):
            if keyword.arg:
                yield f"{keyword.arg}= left out", lambda n, i=i: n.keywords.pop(i)


def _plain(node):
    """`not x` as a truth value that is not turned around."""
    node.operand = ast.UnaryOp(op=ast.Not(), operand=node.operand)


def left_out(parent):
    """Statements of a body that can be left out: calls, raises, and additions in place."""
    for field in ("body", "orelse"):
        block = getattr(parent, field, None)
        for i, part in enumerate(block if isinstance(block, list) else []):
            call = isinstance(part, ast.Expr) and isinstance(part.value, ast.Call)
            if call or isinstance(part, ast.Raise | ast.AugAssign):
                yield part, f"{type(part).__name__} left out", field, i


def walk(node, function="module", around=(0, 10**9)):
    """Every node that computes, with the function around it; no messages, types or docstrings."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        function = node.name if function == "module" else f"{function}.{node.name}"
        around = node.lineno, node.end_lineno
    if function == "module" and isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):
        return  # a union of types with a name
    yield node, function, around
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        if isinstance(node, ast.Raise | ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            text = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            if isinstance(child, ast.AST) and not text:
                yield from walk(child, function, around)


def mutants(path):
    """All mutants of a file: dicts with file, line, lines, function, change, and their number."""
    name = str(path.relative_to(ROOT))
    found = []

    def add(node, function, around, change, act):
        alike = [m for m in found if (m["line"], m["change"]) == (node.lineno, change)]
        found.append(
            {
                "nth": len(alike),
                "file": name,
                "line": node.lineno,
                "lines": (node.lineno, node.end_lineno),
                "around": around,
                "function": function,
                "change": change,
                "act": act,
                "source": source,
            }
        )

    source = path.read_text()  # of now: others may be at work on the file
    tree = ast.parse(source)
    for number, (node, *where) in enumerate(walk(tree)):
        for change, how in changes(node):
            add(node, *where, change, functools.partial(_at, number, how))
        for part, change, field, i in left_out(node):
            add(part, *where, change, functools.partial(_at, number, _without(field, i)))
    return found


def _at(number, how, tree):
    """Change the node of that number in a tree."""
    nodes = [node for node, *_ in walk(tree)]
    how(nodes[number])


def _without(field, i):
    return lambda node: getattr(node, field).__setitem__(i, ast.Pass())


def mutated(mutant):
    """The source of the file with the change made, as a tree."""
    tree = ast.parse(mutant["source"])
    before = ast.dump(tree)
    mutant["act"](tree)
    ast.fix_missing_locations(tree)
    assert ast.dump(tree) != before, mutant
    return tree


def named(mutant):
    """Words that stay the same while other lines of the file come and go."""
    text = mutant["source"].splitlines()[mutant["line"] - 1].strip()
    words = f"{mutant['file']}::{mutant['function']}::{mutant['change']}::{text}"
    return words + (f"::{mutant['nth']}" if mutant["nth"] else "")


def drawn(room, count, seed):
    """A uniform sample of a room's mutants: those whose words have the smallest hashes.

    So a larger sample begins with the smaller one, and new code changes nothing of the old.
    """
    every = []
    for path in sorted((ROOT / "fnn" / room).rglob("*.py")):
        every += [{**m, "words": named(m)} for m in mutants(path)]
    for m in every:
        m["id"] = hashlib.sha256(f"{seed} {m['words']}".encode()).hexdigest()[:12]
    return sorted(every, key=lambda m: m["id"])[:count], len(every)


# --- which tests run which lines ---

COVERED = ["--cov", "--cov-context=test", "--cov-report="]
QUIET = ["-q", "-n", "0", "--timeout=0", "-p", "no:cacheprovider", "-p", "no:cov"]
QUIET += ["--assert=plain"]  # else pytest would load the files of doctests itself, unchanged
DEFAULTS = "tests/test_defaults.py::test_what_is_not_given_is_what_was_promised"
PLACES = ("optim", "schedules", "curvature", "losses", "train", "workers")  # that it speaks of
COMPLAINTS = re.compile("refuse|error|wrong|mistake|told|missing|held|asks|say|need")
HEAVY = ("jax.numpy", "jax.scipy", "chex", "optax", "scipy.stats", "scipy.optimize", "pandas")
SUITES = {
    "losses": "tests/test_losses.py tests/test_extremes.py fnn/losses",
    "train": "tests/test_train.py tests/test_resume.py tests/test_workers.py"
    " tests/test_numerics.py tests/test_errors.py fnn/train",
    "optim": "fnn/optim tests/test_optim.py tests/test_optim_*.py tests/test_schedules.py"
    " tests/test_curvature.py tests/test_minimizers.py tests/test_minimize.py tests/test_laws.py"
    " tests/test_psgd.py",
}


def measured(folder, rooms):
    """Run the rooms' tests under coverage, once, where the folder has not what they left."""
    folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="mutation"))
    for room in rooms:
        if not list(folder.glob(f"{room}*.cov")):
            tests = [str(p) for words in SUITES[room].split() for p in sorted(ROOT.glob(words))]
            options = [
                "-n",
                "0",
                "-q",
                "--cov",
                "--cov-context=test",
                "--cov-report=",
                "--durations=0",
                "-vv",
            ]
            with open(folder / f"{room}.log", "w") as log:
                subprocess.run(
                    [sys.executable, "-m", "pytest", *options, *tests],
                    cwd=ROOT,
                    env={**os.environ, "COVERAGE_FILE": str(folder / f"{room}.cov")},
                    stdout=log,
                    check=True,
                )
    return folder


class Contexts:
    """Which tests ran which lines, by coverage's files, and how long each took, by the logs."""

    def __init__(self, folder):
        self.by_line, self.seconds = {}, {}
        for name in sorted(pathlib.Path(folder).glob("*.cov")):
            self._read(name)
        for name in sorted(pathlib.Path(folder).glob("*.log")):
            for seconds, test in re.findall(r"^([\d.]+)s call +(.+)$", name.read_text(), re.M):
                self.seconds[test] = float(seconds)
        self.files = {file for file, _ in self.by_line}

    def _read(self, name):
        base = sqlite3.connect(name)
        paths = dict(base.execute("select id, path from file"))
        words = dict(base.execute("select id, context from context"))
        for file, context, line in base.execute("select file_id, context_id, abs(tono) from arc"):
            test = words[context].partition("|")[0]
            if test:
                at = os.path.relpath(paths[file], ROOT), line
                self.by_line.setdefault(at, set()).add(test)

    def tests(self, mutant):
        """The tests to run, the likeliest to notice and the quickest first.

        Lines that run at import, as settings by default do, have no tests of their own: those that
        run the function around them count, and else those of the whole file.
        """
        file = mutant["file"]
        for first, last in (mutant["lines"], mutant["around"], (0, 10**9)):
            lines = (t for (f, n), t in self.by_line.items() if f == file and first <= n <= last)
            found = set().union(*lines)
            if found:
                break
        function = mutant["function"].split(".")[0]
        found |= {f"{DEFAULTS}[{place}.{function}]" for place in PLACES}
        names = {pathlib.Path(file).stem, *mutant["function"].split(".")}
        room = file.split("/")[1]
        of_words = mutant["change"].startswith("'") or mutant["change"].endswith("left out")

        def rank(test):
            near = any(name.strip("_") in test for name in names) + (room in test)
            words = of_words and COMPLAINTS.search(test)
            return self.seconds.get(test, 0.1) * (4, 2, 1)[near] * (0.1 if words else 1), test

        return sorted(found, key=rank)


# --- running them ---


class Chosen:
    """A pytest plugin: these tests alone, in this order, until one fails or time is up."""

    def __init__(self, tests, seconds):
        self.rank = {test: i for i, test in enumerate(tests)}
        self.end, self.failed, self.ran = time.monotonic() + seconds, None, 0

    def pytest_collection_modifyitems(self, items):
        items[:] = sorted(
            (i for i in items if i.nodeid in self.rank), key=lambda i: self.rank[i.nodeid]
        )

    def pytest_collectreport(self, report):
        if report.failed:
            self.failed = f"collection of {report.nodeid}"

    def pytest_runtest_logreport(self, report):
        self.ran += report.when == "call"
        if report.failed:
            self.failed = report.nodeid

    def pytest_runtest_setup(self, item):
        if time.monotonic() > self.end:
            item.session.shouldstop = "time is up"


def install(mutant):
    """Let the import of the mutant's file find the changed tree."""
    path, tree = str(ROOT / mutant["file"]), mutated(mutant)
    usual = importlib.machinery.SourceFileLoader.get_code

    def get_code(self, name):
        if self.path == path:
            return compile(tree, path, "exec", dont_inherit=True)
        return usual(self, name)

    importlib.machinery.SourceFileLoader.get_code = get_code


def forked(mutant, tests, seconds):
    """Run tests against a mutant (None: against fnn as it is) in a process of their own."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        chosen = Chosen(tests, seconds)
        try:
            if mutant:
                install(mutant)
            files = sorted({test.partition("::")[0] for test in tests})
            options = ["-x", *QUIET]
            code = pytest.main([*options, *files], plugins=[chosen])
            if chosen.failed is None and code not in (0, 5, 2):
                chosen.failed = f"pytest ended with {code}"
        except BaseException as error:
            chosen.failed = f"runner: {type(error).__name__} {error}"
        os.write(write, json.dumps([chosen.failed, chosen.ran]).encode())
        os._exit(0)
    os.close(write)
    end = time.monotonic() + 2 * seconds + 60
    while time.monotonic() < end and not select.select([read], [], [], 1.0)[0]:
        pass
    ready = select.select([read], [], [], 0)[0]
    words = os.read(read, 10_000) if ready else b""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(read)
    if not words:
        return ("the process died" if ready else "a hang"), 0
    failed, ran = json.loads(words)
    if failed and failed.startswith("runner:"):
        raise RuntimeError(f"{mutant}: {failed}")
    return failed, ran


def judged(mutant, tests, seconds):
    """What became of a mutant: killed and by which test, or survived how many of how many tests."""
    ran = 0
    for part in (tests[:10], tests[10:]):
        if part:
            failed, count = forked(mutant, part, seconds)
            ran += count
            if failed:
                return {"killed_by": failed}
    return {"killed_by": None, "tests_run": ran, "tests": len(tests)}


def interval(bad, count, z=1.96):
    """Wilson's interval of a share, at 95%."""
    if not count:
        return [0.0, 1.0]
    p, n = bad / count, count
    middle = (p + z * z / 2 / n) / (1 + z * z / n)
    half = z * ((p * (1 - p) + z * z / 4 / n) / n) ** 0.5 / (1 + z * z / n)
    return [round(middle - half, 4), round(middle + half, 4)]


def summary(found, every, sample, seed):
    """The counts of a room, and each survivor."""
    killed = [m for m in found if m["killed_by"]]
    equivalent = [m for m in found if not m["killed_by"] and m["words"] in EQUIVALENT]
    survived = [m for m in found if not m["killed_by"] and m["words"] not in EQUIVALENT]
    tried = len(killed) + len(survived)
    return {
        "mutants_in_the_room": every,
        "sample": len(found),
        "sample_asked_for": sample,
        "seed": seed,
        "killed": len(killed),
        "survived": len(survived),
        "equivalent": len(equivalent),
        "share_that_survived": round(len(survived) / tried, 4) if tried else None,
        "interval_95": interval(len(survived), tried),
        "survivors": [{k: m[k] for k in SHOWN} for m in survived],
        "equivalents": [{"at": m["at"], "why": EQUIVALENT[m["words"]]} for m in equivalent],
        "mutants": found,
    }


SHOWN = ("at", "words", "tests_run", "tests")


def store(room, found):
    """Write a room's figures and leave the others' as another run may just have written them."""
    every = json.loads(OUT.read_text()) if OUT.exists() else {}
    part = OUT.with_suffix(".part")
    part.write_text(json.dumps({**every, room: found}, indent=1) + "\n")
    part.replace(OUT)


def one_room(room, contexts, options, stored):
    """Judge a room's sample; what an earlier run found stays, but for survivors with --again."""
    old = {m["id"]: m for m in stored.get(room, {}).get("mutants", ())}
    sample, every = drawn(room, options.sample, options.seed)
    found, end = [], time.monotonic() + options.minutes * 60
    for number, mutant in enumerate(sample):
        words, name = mutant["words"], mutant["id"]
        at = f"{mutant['file']}:{mutant['line']}"
        if mutant["file"] not in contexts.files:
            continue  # newer than the measured coverage
        known = old.get(name)
        new = known is None or (options.again and not known["killed_by"])
        if new and words not in EQUIVALENT and time.monotonic() < end:
            begun = time.monotonic()
            known = judged(mutant, contexts.tests(mutant), options.seconds)
            took = time.monotonic() - begun
            fate = known["killed_by"] or f"SURVIVED {known['tests_run']} of {known['tests']} tests"
            print(f"{room} {number}: {at} {mutant['change']}: {fate} ({took:.0f} s)", flush=True)
        elif new and words in EQUIVALENT:
            known = {"killed_by": None, "tests_run": 0, "tests": 0}
        if known:
            found.append({**known, "id": name, "at": at, "words": words})
            stored[room] = summary(found, every, options.sample, options.seed)
            if new:
                store(room, stored[room])
    return stored[room]


def control(stored):
    """Tests that killed must pass without any mutant; those that do not have killed nothing."""
    by = {m["killed_by"] for room in stored.values() for m in room["mutants"] if m["killed_by"]}
    failed, ran = forked(None, sorted(t for t in by if "::" in t), 600)
    print(f"control: {ran} tests that killed were run without a mutant; failed: {failed}")


def prepare():
    """Import, once for all forks, what is heavy and no part of fnn."""
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="mutation")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    for name in HEAVY:
        importlib.import_module(name)
    quick = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile("quick", phases=quick, database=None, derandomize=True)
    hypothesis.settings.load_profile("quick")
    assert not any(name.split(".")[0] == "fnn" for name in sys.modules)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rooms", nargs="+", default=["losses", "train", "optim"])
    parser.add_argument("--sample", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60.0, help="of tests for each mutant")
    parser.add_argument("--minutes", type=float, default=1e9, help="for each room")
    parser.add_argument("--again", action="store_true", help="try the survivors once more")
    parser.add_argument("--measured", help="folder of X.cov and X.log, made if it is empty")
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    contexts = Contexts(measured(options.measured, options.rooms))
    prepare()
    stored = json.loads(OUT.read_text()) if OUT.exists() else {}
    for room in options.rooms:
        found = one_room(room, contexts, options, stored)
        keys = ("sample", "killed", "survived", "equivalent", "share_that_survived", "interval_95")
        print(room, {k: found[k] for k in keys}, flush=True)
    control(stored)


if __name__ == "__main__":
    main()
