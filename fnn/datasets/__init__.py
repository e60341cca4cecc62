"""Data sets: true digits in the package, scikit-learn's small tables, and sets made from a key.

`load(name)` gives a `Dataset` with a fixed split into training and test part; `names()` lists them.
The generators are functions of their own, `moons(key, n=200, noise=0.1) -> (x, y)`; `read(path)`
reads IDX, CSV, npy and npz files; `text(name)` is a text, `sunspots()` a series. Nothing here needs
the network.
"""

from fnn.datasets.files import read as read
from fnn.datasets.generators import blobs as blobs
from fnn.datasets.generators import checkerboard as checkerboard
from fnn.datasets.generators import circles as circles
from fnn.datasets.generators import linear as linear
from fnn.datasets.generators import moons as moons
from fnn.datasets.generators import quadratic as quadratic
from fnn.datasets.generators import sine as sine
from fnn.datasets.generators import spirals as spirals
from fnn.datasets.generators import xor as xor
from fnn.datasets.series import sunspots as sunspots
from fnn.datasets.sets import Dataset as Dataset
from fnn.datasets.sets import load as load
from fnn.datasets.sets import names as names
from fnn.datasets.texts import text as text
