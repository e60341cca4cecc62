"""Compare optimizers in a script: the same budget of tuning, the same seeds, the same batches.

Each optimizer, fnn's own and optax's, tries the same learning rates on a held-out part of the
training data; then each runs from several seeds at its best rate. One of your own may race as well:
give its name and a function from a learning rate to an optimizer.
"""

import fnn
from fnn.compare import compare

net = fnn.models.mlp(32, 10)
mine = {"clipped momentum": lambda rate: fnn.optim.chain(
    fnn.optim.clip_by_global_norm(1.0), fnn.optim.momentum(rate)
)}  # fmt: skip

result = compare(
    "digits",
    net=net,
    optimizers=["sgd", "momentum", "adam", "lion", mine],
    epochs=5,
    seeds=4,
    batch_size=64,
)
print(result)

scores = {row.name: row.score for row in result.rows if row.by == "fnn"}
print(f"best on the test digits: {max(scores, key=scores.get)}")
assert max(scores.values()) > 0.9
