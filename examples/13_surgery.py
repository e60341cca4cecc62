"""Surgery: cut a net open, keep a part, give it another head, freeze the rest.

A net is a value and its params are a dict, so there is no special machinery: parts are taken by
name, and put together by the combinators that made them.
"""

import jax
import jax.numpy as jnp

import fnn
from fnn.layers import batch_norm, conv, dense, flatten

data = fnn.datasets.load("mnist")
x, y = data.x_train, data.y_train
x_test, y_test = data.x_test, data.y_test


def train(net, x, y, *, start=None, steps):
    return fnn.fit(
        net,
        x,
        y,
        loss=fnn.losses.cross_entropy,
        optimizer=fnn.optim.adam(2e-3),
        key=jax.random.key(1),
        start=start,
        steps=steps,
        batch_size=min(64, len(x)),
    )


def accuracy(net, params, state, x, y):
    return float(fnn.metrics.accuracy(fnn.predict(net, params, state, x), y))


# 1. A body is trained to tell the digits below five apart.
body = fnn.serial(
    conv(16, (5, 5), stride=2),
    jax.nn.relu,
    conv(32, (3, 3), stride=2),
    batch_norm(),
    jax.nn.relu,
    flatten(),
)
low = fnn.serial(body=body, head=dense(5))
small, small_test = y < 5, y_test < 5
trained = train(low, x[small], y[small], steps=400)
score = accuracy(low, trained.params, trained.state, x_test[small_test], y_test[small_test])
print(f"0 to 4: accuracy {score:.3f}")

# 2. A part of it is a net of its own: its layer, and its share of params and state.
part = low.children["body"]
features = fnn.predict(part, trained.params["body"], trained.state["body"], x_test)
print(f"the body alone gives {features.shape[1]} features of each of {len(features)} digits")

# 3. The other five digits, with 30 examples to learn from: a new head on the frozen body.
high = fnn.serial(body=fnn.frozen(body), head=dense(5))
few = jnp.flatnonzero(y >= 5)[:30]
large_test = y_test >= 5
start = fnn.train.init(high, fnn.optim.adam(2e-3), jax.random.key(2), x)
params = fnn.trees.replace(start.params, {"body/body": trained.params["body"]})
state = fnn.trees.replace(start.state, {"body/body": trained.state["body"]})
found = train(high, x[few], y[few] - 5, start=start._replace(params=params, state=state), steps=200)
alone = train(low, x[few], y[few] - 5, steps=200)

moved = fnn.trees.norm(
    jax.tree.map(jnp.subtract, found.params["body"]["body"], trained.params["body"])
)
scores = {
    "a new head on a frozen body": (high, found),
    "the same net, from nothing": (low, alone),
}
for name, (net, result) in scores.items():
    score = accuracy(net, result.params, result.state, x_test[large_test], y_test[large_test] - 5)
    scores[name] = score
    print(f"5 to 9 from 30 examples, {name}: accuracy {score:.3f}")
assert float(moved) == 0
assert scores["a new head on a frozen body"] > scores["the same net, from nothing"]

# 4. Trained weights into a net that is not quite the same: what fits is taken, the rest is told.
wider = fnn.serial(body=body, head=dense(10))
fresh = wider.init(jax.random.key(3), x[:1])
print("not taken over:", fnn.trees.differences(fresh.params, trained.params))
merged = fnn.trees.merge(fresh.params, trained.params)
assert (merged["body"]["conv_2"]["w"] == trained.params["body"]["conv_2"]["w"]).all()

# 5. A layer more reseeds no other: keys come from names, not from the order.
named = {"one": dense(8), "two": dense(8)}
before = fnn.serial(flatten(), **named).init(jax.random.key(0), x[:1]).params
more = {"one": dense(8), "between": fnn.layers.layer_norm(), "two": dense(8)}
after = fnn.serial(flatten(), **more).init(jax.random.key(0), x[:1]).params
assert (before["two"]["w"] == after["two"]["w"]).all()
print("a layer put between two others changed neither")
