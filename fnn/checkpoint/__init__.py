"""Pytrees in files that outlast a crash: whole or not at all, checked, free of code.

>>> import pathlib, tempfile
>>> import jax.numpy as jnp
>>> from fnn import checkpoint
>>> with tempfile.TemporaryDirectory() as folder:
...     path = pathlib.Path(folder, "weights.safetensors")
...     checkpoint.save(path, {"dense": {"w": jnp.ones(2)}}, note={"data": "mnist"})
...     print(checkpoint.load(path), checkpoint.describe(path).note)
{'dense': {'w': Array([1., 1.], dtype=float32)}} {'data': 'mnist'}
"""

from fnn.checkpoint.atomic import write_atomically as write_atomically
from fnn.checkpoint.files import describe as describe
from fnn.checkpoint.files import load as load
from fnn.checkpoint.files import save as save
from fnn.checkpoint.folder import Checkpoints as Checkpoints
from fnn.checkpoint.header import Description as Description
from fnn.checkpoint.leaves import CheckpointError as CheckpointError
