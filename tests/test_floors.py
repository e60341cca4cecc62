"""The house has floors: imports only point down, and `import fnn` brings nothing heavy.

A new room costs one word in FLOORS.
"""

import ast
import pathlib
import subprocess
import sys

import pytest

import fnn

ROOT = pathlib.Path(__file__).parents[1] / "fnn"

FLOORS = [
    ["core", "checks", "compiler", "trees", "initializers", "show", "random", "processes"],
    [
        "activations",
        "functional",
        "losses",
        "metrics",
        "optim",
        "data",
        "checkpoint",
        "shard",  # where arrays lie; training asks it
        "stop",
        "surfaces",
    ],
    ["datasets"],
    ["layers", "combine", "compose", "inference"],
    ["models", "train", "inspect"],
    ["draw", "interop"],
    ["search", "compare", "diagnose", "explain"],
    # files of rows for a search; scikit-learn's face; a page on which networks train
    ["tables", "estimators", "play"],
    ["__init__"],  # the face: re-exports only
    ["cli"],
    ["__main__"],
]

# Within a floor a room imports from itself alone, but for these.
STAIRS = {
    ("core", "checks"),
    ("core", "random"),
    ("core", "show"),
    ("checks", "show"),
    ("initializers", "show"),
    ("initializers", "trees"),
    ("compose", "combine"),
    ("train", "inspect"),  # a fit that went wrong says in which layer
    ("diagnose", "search"),  # a diagnosis looks at rows held out, in folds that search cuts
}

# What no room may import at the top of a file, for `import fnn` must stay light.
HEAVY = {
    "optax",
    "matplotlib",
    "rich",
    "sklearn",
    "pandas",
    "scipy",
    "torch",
    "safetensors",
    "orbax",
    "ray",
}

# Classes that inherit from scikit-learn's; fnn.estimators imports them when first asked for one.
LATE = {"estimators/base.py", "estimators/classifier.py", "estimators/regressor.py"}

FILES = sorted(ROOT.rglob("*.py"))


def floor(room):
    found = [number for number, rooms in enumerate(FLOORS) if room in rooms]
    assert found, f"{room} stands on no floor; add it to FLOORS in tests/test_floors.py"
    return found[0]


def room_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def rooms_imported(tree):
    """The rooms of fnn that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write imports in full: from fnn.core import Layer"
            module = node.module or ""
            names = [f"fnn.{a.name}" for a in node.names] if module == "fnn" else [module]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "fnn":
                yield parts[1] if len(parts) > 1 and parts[1] != "__version__" else "__init__"


def faults(room, tree):
    for other in rooms_imported(tree):
        allowed = other == room or (room, other) in STAIRS or floor(other) < floor(room)
        if not allowed:
            yield f"{room} imports {other}, which is not below it"


def top_level(tree):
    """The statements that run on import: not the bodies of functions, nor what only types need."""
    todo = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo.extend(ast.iter_child_nodes(node))


def packages(nodes):
    """The packages that these statements import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_point_down(path):
    assert not list(faults(room_of(path), ast.parse(path.read_text())))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_packages_are_imported_by_the_function_that_needs_them(path):
    tree = ast.parse(path.read_text())
    allowed = {"sklearn"} if path.relative_to(ROOT).as_posix() in LATE else set()
    assert not HEAVY & set(packages(top_level(tree))) - allowed
    if room_of(path) == "optim":
        assert "optax" not in set(packages(ast.walk(tree))), "our optimizers are written by hand"
    assert not set(packages(ast.walk(tree))) & {"flax", "haiku", "equinox", "chex", "torch"}


@pytest.mark.parametrize(
    ("room", "line", "found"),
    [
        ("core", "from fnn.layers import dense", True),
        ("core", "from fnn.layers.linear import dense", True),
        ("core", "def f():\n    from fnn import layers", True),
        ("optim", "import fnn.layers", True),
        ("losses", "from fnn.metrics import accuracy", True),
        ("losses", "from fnn import serial", AssertionError),
        ("losses", "import fnn", True),
        ("layers", "from fnn import initializers, random", False),
        ("layers", "from fnn.layers.moments import moments", False),
        ("compose", "from fnn.combine import serial", False),
        ("combine", "from fnn.compose import compose", True),
    ],
)
def test_this_test_would_notice(room, line, found):
    if found is AssertionError:
        with pytest.raises(AssertionError, match="stands on no floor"):
            list(faults(room, ast.parse(line)))
    else:
        assert bool(list(faults(room, ast.parse(line)))) is found


def test_heavy_imports_would_be_noticed():
    heavy = "try:\n    import optax\nexcept ImportError:\n    optax = None"
    light = "def f():\n    import optax"
    assert "optax" in set(packages(top_level(ast.parse(heavy))))
    assert "optax" not in set(packages(top_level(ast.parse(light))))


def test_no_room_loads_anything_heavy():
    rooms = "[getattr(fnn, name) for name in dir(fnn)]"
    code = f"import sys, fnn; {rooms}; print(sorted({HEAVY!r} & set(sys.modules)))"
    before = f"import sys, jax; print(sorted({HEAVY!r} & set(sys.modules)))"
    ours, jax_alone = (
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT.parent,
        ).stdout
        for program in (code, before)
    )
    assert ours == jax_alone  # jax itself may load one, as it does parts of scipy


def test_import_fnn_loads_little_and_the_rest_when_asked():
    code = "import sys, fnn; print(sum(n.startswith('fnn.') for n in sys.modules)); fnn.fit; "
    code += "print(sum(n.startswith('fnn.') for n in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    before, after = map(int, done.stdout.split())
    assert before < 30 < 100 < after


def test_the_face_has_what_it_tells_type_checkers():
    tree = ast.parse((ROOT / "__init__.py").read_text())
    [seen] = [node for node in tree.body if isinstance(node, ast.If)]
    told = {alias.name for node in seen.body for alias in node.names}
    assert told == {*fnn._ROOMS, *fnn._MOVED_UP}
    for name in told:
        assert getattr(fnn, name) is not None
        assert name in dir(fnn)
    with pytest.raises(AttributeError, match="module 'fnn' has no attribute 'fot'"):
        _ = fnn.fot
