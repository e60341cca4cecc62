"""Training by many workers, simulated on one machine: what averaging, delay and slack do to a path.

Each scheme is a pure pair `init(key, x) -> state` and `step(state, (x, y)) -> (state, info)`, the
batch with one part for each worker: (workers, batch, ...). The workers' arithmetic is done side by
side by `vmap`, and what they would send each other is counted, not timed: a simulation shows what a
scheme does to learning, not how fast a cluster is.
"""

from fnn.train.workers.averaging import elastic_averaging as elastic_averaging
from fnn.train.workers.averaging import local_sgd as local_sgd
from fnn.train.workers.averaging import synchronous as synchronous
from fnn.train.workers.base import Scheme as Scheme
from fnn.train.workers.base import Worker as Worker
from fnn.train.workers.base import WorkersInfo as WorkersInfo
from fnn.train.workers.base import WorkersState as WorkersState
from fnn.train.workers.delayed import delayed as delayed
from fnn.train.workers.run import WorkersTrace as WorkersTrace
from fnn.train.workers.run import run as run
