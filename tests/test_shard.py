"""Eight simulated devices train what one device trains, and each holds its share.

One subprocess has the devices, trains every layout, and says what it found; the tests judge that.
"""

import json
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

import fnn
from fnn import shard

ROOT = pathlib.Path(__file__).parents[1]

TRAIN = """
import json, sys
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_num_cpu_devices", 8)
import fnn
from fnn import shard
from fnn.train.run import make_advance
from fnn.train.step import init, make_step
from jax.sharding import PartitionSpec as P

dense, key = fnn.layers.dense, jax.random.key(0)
net = fnn.serial(dense(64), fnn.layers.batch_norm(), jax.nn.relu, fnn.layers.dropout(0.2),
                 dense(64), jnp.tanh, dense(8))
x, y = np.asarray(jax.random.normal(key, (96, 16))), np.arange(96) % 8
adam = fnn.optim.adam(3e-3)

def fit(**more):
    return fnn.fit(net, x, y, loss=fnn.losses.cross_entropy, optimizer=adam, check_every=5,
                   key=jax.random.key(1), progress=False,
                   **{"steps": 50, "batch_size": 32, **more})

eight, grid = jax.make_mesh((8,), ("data",)), jax.make_mesh((2, 4), ("data", "model"))
layouts = {
    "data parallel": (eight, None),
    "fully sharded": (eight, shard.fully_sharded()),
    "tensor parallel": (grid, shard.tensor_parallel("model")),
    "mixed": (grid, shard.mixed(shard.tensor_parallel("model"), shard.fully_sharded("data"))),
}
alone = fit()
found = {"alone": alone.history["loss"].tolist(), "layouts": {}}
for name, (mesh, rules) in layouts.items():
    done = fit(mesh=mesh, sharding=rules)
    start = jax.eval_shape(lambda: init(net, adam, jax.random.key(1), x[:1]))
    where = shard.layout(start, mesh, rules, 32)
    run = make_advance(where.keeping(make_step(net, fnn.losses.cross_entropy, adam)), 96, 32)
    program = jax.jit(run, in_shardings=(where.state, where.whole, None),
                      out_shardings=(where.state, where.whole))
    data = jax.tree.map(jnp.asarray, (x, y))
    sent = shard.collectives(program.lower(start, data, 1).compile())
    params = done.last.params
    moments = (done.last.opt_state.mu, done.last.opt_state.nu)
    found["layouts"][name] = {
        "loss": done.history["loss"].tolist(),
        "stays": jax.tree.all(jax.tree.map(
            lambda a, s: a.sharding.is_equivalent_to(s, a.ndim), done.last, where.state)),
        "bytes": [sum(a.addressable_shards[0].data.nbytes for a in jax.tree.leaves(tree))
                  for tree in (params, moments)],
        "said": [shard.bytes_per_device(params, where.state.params),
                 2 * shard.bytes_per_device(params, where.state.params)],
        "largest": max(a.nbytes for a in jax.tree.leaves(params)),
        "sent": [[one.kind, list(one.bytes)] for one in sent],
    }
gpt = fnn.models.gpt(32, length=8, features=16, heads=4, blocks=1, bias=False)
tokens = np.asarray(jax.random.randint(key, (16, 8), 0, 32))

def spoken(logits, ids):
    return fnn.losses.cross_entropy(logits, ids).mean(-1)

def write(**more):
    many = fnn.optim.accumulate(adam, 2)
    return fnn.fit(gpt, tokens, tokens, loss=spoken, optimizer=many, steps=12, batch_size=8,
                   key=jax.random.key(2), progress=False, **more)

rules = shard.tensor_parallel("model")
done = write(mesh=grid, sharding=rules)
start = jax.eval_shape(lambda: init(gpt, adam, jax.random.key(1), tokens[:1]))
where = shard.layout(start, grid, rules, 8)
program = jax.jit(where.keeping(make_step(gpt, spoken, adam)),
                  in_shardings=(where.state, where.batch),
                  out_shardings=(where.state, where.whole))
sent = shard.collectives(program.lower(start, (tokens[:8],) * 2).compile())
params = done.last.params
found["gpt"] = {
    "loss": [write().history["loss"].tolist(), done.history["loss"].tolist()],
    "sent": sorted({one.kind for one in sent}),
    "shares": {name: a.addressable_shards[0].data.shape for name, a in
               fnn.trees.paths(params).items() if name.endswith("w")},
}
three = jax.make_mesh((3,), ("data",), devices=jax.devices()[:3])
uneven = {"mesh": three, "batch_size": 30, "sharding": shard.by_path({"*/w": P("data")})}
for settings in ({"mesh": eight, "batch_size": 36}, uneven):
    try:
        fit(**settings)
    except ValueError as error:
        found.setdefault("refused", []).append(str(error))
folder = sys.argv[1]
mesh, rules = layouts["fully sharded"]
fit(mesh=mesh, sharding=rules, checkpoint=folder + "/a", steps=20)
again = fit(mesh=mesh, sharding=rules, checkpoint=folder + "/a")
whole = fit(mesh=mesh, sharding=rules)
found["resumed"] = all(
    (np.asarray(a) == np.asarray(b)).all()
    for a, b in zip(*(jax.tree.leaves(done.last.params) for done in (again, whole))))
fit(mesh=mesh, sharding=rules, checkpoint=folder + "/b", steps=20)
found["on one device"] = fit(checkpoint=folder + "/b").history["loss"].tolist()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", TRAIN, str(tmp_path_factory.mktemp("runs"))],
        capture_output=True, text=True, cwd=ROOT, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


LAYOUTS = ("data parallel", "fully sharded", "tensor parallel", "mixed")


@pytest.mark.parametrize("name", LAYOUTS)
def test_losses_are_those_of_one_device(found, name):
    """Fifty steps with dropout and batch norm, whose statistics are of the whole batch."""
    assert found["alone"][-1] < 0.9 * found["alone"][0]
    np.testing.assert_allclose(found["layouts"][name]["loss"], found["alone"], rtol=1e-5)


@pytest.mark.parametrize("name", LAYOUTS)
def test_parameters_and_moments_stay_where_the_rules_say(found, name):
    one = found["layouts"][name]
    assert one["stays"]
    assert one["bytes"] == one["said"]


def test_bytes_a_device_shrink_by_the_devices_that_share(found):
    numbers = {name: found["layouts"][name]["bytes"][0] for name in LAYOUTS}
    widths = [(16, 64), (64, 64), (64, 8)]
    biases, norm = 64 + 64 + 8, 2 * 64
    weights = sum(a * b for a, b in widths)
    assert numbers["data parallel"] == 4 * (weights + biases + norm)
    assert numbers["fully sharded"] == numbers["data parallel"] // 8
    assert numbers["tensor parallel"] == 4 * ((weights + biases) // 4 + norm)
    assert numbers["mixed"] < numbers["tensor parallel"] / 1.9


def test_the_program_sends_what_its_layout_needs(found):
    sent = {name: found["layouts"][name]["sent"] for name in LAYOUTS}
    kinds = {name: {kind for kind, _ in sent[name]} for name in LAYOUTS}
    assert "all-reduce" in kinds["data parallel"]  # the gradients' sum
    assert "all-gather" not in kinds["data parallel"]
    assert "all-gather" in kinds["fully sharded"]
    assert kinds["tensor parallel"] & {"all-reduce", "reduce-scatter"}


def test_fully_sharded_never_gathers_more_than_its_largest_weight(found):
    one = found["layouts"]["fully sharded"]
    gathered = [size for kind, sizes in one["sent"] if kind == "all-gather" for size in sizes]
    assert gathered
    assert max(gathered) <= one["largest"]


def test_a_gpt_divided_by_heads_exchanges_sums_alone(found):
    """Attention, feed-forward and embedding in parts, with gradients of two batches added up."""
    one, shares = found["gpt"], found["gpt"]["shares"]
    np.testing.assert_allclose(one["loss"][1], one["loss"][0], rtol=1e-5)
    assert one["sent"] == ["all-reduce"]
    assert shares["body/block_0/attention/q/w"] == [16, 4]
    assert shares["body/block_0/attention/out/w"] == [4, 16]
    assert shares["body/block_0/mlp/up/w"] == [16, 16]
    assert shares["table/w"] == [8, 16]


def test_a_sharded_fit_resumes_bit_for_bit_and_on_one_device_too(found):
    assert found["resumed"]
    np.testing.assert_allclose(found["on one device"], found["alone"], rtol=1e-5)


def test_what_eight_devices_cannot_share_is_told(found):
    batch, weight = found["refused"]
    assert batch.startswith("fit: a batch of 36 examples cannot be divided among the 8 devices")
    assert weight.startswith("shard: parameter 'dense_0/w': dimension 0 of shape (16, 64) cannot")


MESH = jax.make_mesh((1,), ("data",))


def test_rules_go_by_path_and_what_no_pattern_matches_goes_by_the_rest():
    rules = shard.by_path({"*/dense_0/w": PartitionSpec(None, "data")})
    assert rules.spec("body/dense_0/w", (3, 4), MESH, (None, None)) == (None, "data")
    assert rules.spec("body/dense_1/w", (3, 4), MESH, (None, None)) == (None, None)


def test_tensor_parallel_divides_outputs_of_dense_and_inputs_of_what_follows():
    spec = shard.tensor_parallel("data").spec
    assert spec("block/attention/q/w", (8, 4), MESH, (None, None)) == (None, "data")
    assert spec("block/attention/out/w", (4, 8), MESH, (None, None)) == ("data", None)
    assert spec("block/attention/out/b", (8,), MESH, (None,)) == (None,)
    assert spec("embed/w", (100, 8), MESH, (None, None)) == ("data", None)


NET = fnn.layers.dense(3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mesh": "eight"}, "fit: mesh must be a jax.sharding.Mesh, got str"),
        ({"sharding": shard.data_parallel()}, "fit: sharding needs a mesh; add mesh="),
        ({"mesh": MESH, "sharding": "fsdp"}, "fit: sharding must be rules of fnn.shard, got str"),
        (
            {"mesh": MESH, "sharding": shard.data_parallel("rows")},
            "axis 'rows' is not in the mesh, got a mesh with data=1",
        ),
        (
            {
                "mesh": MESH,
                "sharding": shard.by_path({"w": PartitionSpec("data", "data")}),
            },
            "parameter 'w': an axis divides two dimensions",
        ),
    ],
)
def test_a_layout_that_cannot_be_is_told(settings, said):
    with pytest.raises((TypeError, ValueError), match=said):
        fnn.fit(
            NET, jnp.ones((4, 2)), jnp.ones((4, 3)), loss=fnn.losses.squared_error, steps=1,
            batch_size=4, optimizer=fnn.optim.sgd(0.1), key=jax.random.key(0), progress=False,
            **settings,
        )  # fmt: skip


def test_a_spec_must_be_jaxs():
    with pytest.raises(TypeError, match=r"'w' must have a jax\.sharding\.PartitionSpec, got"):
        shard.by_path({"w": "data"})  # type: ignore[dict-item]
