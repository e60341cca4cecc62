"""`run.json`: what it takes to do a training run again, and to know that it came out the same."""

import json
import pathlib
import platform
import sys
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn import processes
from fnn.checkpoint import write_atomically
from fnn.checks import check_path
from fnn.trees import fingerprint

NAME = "run.json"
# of a record, what `fit` is given again
SETTINGS = ("batch_size", "check_every", "monitor", "mode", "on_nonfinite")


def write_record(
    folder: Any, run: dict[str, Any], key: jax.Array, settings: dict[str, Any], end: Any
) -> None:
    """Write a run's record into its folder.

    Args:
      folder: of the checkpoints.
      run: the run's identity, as in `fnn.train.resume`: network, hyperparameters, data hashes.
      key: of the run.
      settings: those of `SETTINGS`.
      end: where it ended, of `ended`, or None while it runs.
    """
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    record = {
        "run": run,
        "key_kind": str(jax.random.key_impl(key)) if typed else None,
        "settings": settings,
        "versions": versions(),
        "end": end,
    }
    if not processes.is_first():
        return
    text = json.dumps(record, indent=2, allow_nan=False, default=str) + "\n"
    path = pathlib.Path(folder) / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())


def ended(steps: int, stopped: str, params: Any) -> dict[str, Any]:
    """Where a run ended: its steps, the reason, and the hash of its last parameters."""
    return {"steps": steps, "stopped": stopped, "parameters": fingerprint(processes.whole(params))}


def read_record(folder: Any) -> dict[str, Any]:
    """The record of a finished run.

    Raises:
      ValueError: if there is none, it cannot be read, or the run has not ended.
    """
    path = check_path("replay", folder) / NAME
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        parts = [record[name] for name in ("run", "key_kind", "settings", "versions", "end")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"replay: {path} is no record of a run ({type(error).__name__});"
            " give the folder that fit(checkpoint=folder) saved into"
        ) from None
    if parts[-1] is None:
        raise ValueError(f"replay: the run of {path} has not ended; call the same fit again first")
    return record


def recorded_key(record: dict[str, Any]) -> jax.Array:
    """The key of a recorded run."""
    data = jnp.asarray(np.asarray(record["run"]["key"], np.uint32))
    kind = record["key_kind"]
    return data if kind is None else jax.random.wrap_key_data(data, impl=kind)


def versions() -> dict[str, str]:
    """Of all that the numbers depend on beside the program."""
    return {
        "fnn": sys.modules["fnn"].__version__,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": metadata.version("jaxlib"),
        "numpy": np.__version__,
        "backend": jax.default_backend(),
        "machine": platform.machine(),
    }
