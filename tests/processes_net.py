"""What the processes of `test_processes` train: state, keys and rows that do not come out even."""

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn.layers import batch_norm, dense, dropout

X = np.asarray(jax.random.normal(jax.random.key(0), (97, 6)))
Y = np.arange(97) % 4
SETTINGS = {
    "net": fnn.serial(dense(16), batch_norm(), jnp.tanh, dropout(0.2), dense(4)),
    "loss": fnn.losses.cross_entropy,
    "optimizer": fnn.optim.adam(1e-2),
    "key": jax.random.key(1),
    "steps": 60,
    "batch_size": 16,
    "check_every": 6,
    "progress": False,
}


def swept():
    """A sweep of five lanes: its losses, the best lane, and that one's bias."""
    configs = [{"rate": rate} for rate in (1e-3, 1e-2, 0.1, 1.0, 1e9)]

    def build(rate):
        return fnn.search.Candidate(dense(4), fnn.optim.sgd(rate))

    found = fnn.search.sweep(
        build, configs, X, Y, loss=SETTINGS["loss"], steps=20, key=SETTINGS["key"], checks=2
    )
    return found.losses.tolist(), found.best, found.params["b"].tolist()
