"""Past one device: which part of each array lies where; `fnn.fit(..., mesh=mesh)` does the rest.

The engine is JAX's: a mesh of devices with named axes (`jax.make_mesh`), a partition spec for each
array, and one program over whole arrays, which XLA divides. Rules say the specs by parameter path.
"""

from fnn.shard.join import Joined as Joined
from fnn.shard.join import join as join
from fnn.shard.launch import Ended as Ended
from fnn.shard.launch import launch as launch
from fnn.shard.layout import Layout as Layout
from fnn.shard.layout import layout as layout
from fnn.shard.layout import place as place
from fnn.shard.layout import shardings as shardings
from fnn.shard.rows import Divided as Divided
from fnn.shard.rows import joined as joined
from fnn.shard.rows import own_rows as own_rows
from fnn.shard.rows import undivided as undivided
from fnn.shard.rules import Rules as Rules
from fnn.shard.rules import by_path as by_path
from fnn.shard.rules import data_parallel as data_parallel
from fnn.shard.rules import fully_sharded as fully_sharded
from fnn.shard.rules import mixed as mixed
from fnn.shard.rules import tensor_parallel as tensor_parallel
from fnn.shard.sizes import bytes_per_device as bytes_per_device
from fnn.shard.sizes import collectives as collectives
from fnn.shard.watchdog import watchdog as watchdog
