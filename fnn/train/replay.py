"""`replay`: do a recorded run again, and hold its end against the record."""

import os
from typing import Any

from fnn.core import Layer
from fnn.data import as_arrays
from fnn.optim import Optimizer
from fnn.train.fit import Fit, fit
from fnn.train.record import read_record, recorded_key, versions
from fnn.train.step import Loss
from fnn.trees import fingerprint


def replay(
    folder: str | os.PathLike[str],
    net: Layer,
    x: Any,
    y: Any,
    *,
    loss: Loss,
    optimizer: Optimizer,
    **others: Any,
) -> Fit:
    """Train again what `fit(..., checkpoint=folder)` trained, to the same parameters bit for bit.

    The folder's `run.json` holds the key, the number of steps, the settings, the versions, the
    hashes of the data and of the parameters at the end. What is code is given again. Nothing is
    written.

    Args:
      folder: of the run.
      net: the network, built as it was.
      x: the data.
      y: the targets.
      loss: as it was.
      optimizer: as it was.
      **others: what else `fit` was given: `validation`, `metrics`, `penalty`, `order`, `start`.

    Raises:
      ValueError: if there is no record of a finished run, if the network or the data are others, or
        if the parameters at the end are; then the versions that differ are named.
    """
    record = read_record(folder)
    there = {"network": record["run"]["network"], "data": record["run"]["data"]}
    here = {
        "network": " ".join(repr(net).split()),
        "data": fingerprint(as_arrays(x, y, where="replay")),
    }
    apart = [f"the {name} was {there[name]}, is {here[name]}" for name in there
             if there[name] != here[name]]  # fmt: skip
    if apart:
        raise ValueError(f"replay: {'; '.join(apart)}; give what the run was given")
    start = others.get("start")
    steps = record["end"]["steps"] - (0 if start is None else int(start.step))
    if steps < 1:
        raise ValueError("replay: the run ended before its first step; there is nothing to replay")
    settings = {"progress": False, **record["settings"], **others}
    key = recorded_key(record)
    done = fit(net, x, y, loss=loss, optimizer=optimizer, key=key, steps=steps, **settings)
    if fingerprint(done.last.params) != record["end"]["parameters"]:
        now, then = versions(), record["versions"]
        changed = [f"{name} was {then.get(name)}, is {now[name]}" for name in now
                   if then.get(name) != now[name]]  # fmt: skip
        raise ValueError(
            "replay: the parameters at the end are not those of the record;"
            f" {', '.join(changed) or 'versions agree: is the loss or the optimizer another?'}"
        )
    return done
