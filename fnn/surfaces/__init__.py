"""Surfaces: functions of two numbers with known minima, to watch optimizers on.

>>> from fnn import surfaces
>>> beale = surfaces.beale()
>>> beale.minima, beale.lowest
(((3.0, 0.5),), 0.0)
"""

from fnn.surfaces.base import Surface as Surface
from fnn.surfaces.many import himmelblau as himmelblau
from fnn.surfaces.many import rastrigin as rastrigin
from fnn.surfaces.many import styblinski_tang as styblinski_tang
from fnn.surfaces.names import find as find
from fnn.surfaces.saddles import monkey_saddle as monkey_saddle
from fnn.surfaces.saddles import saddle as saddle
from fnn.surfaces.saddles import two_wells as two_wells
from fnn.surfaces.valleys import beale as beale
from fnn.surfaces.valleys import quadratic as quadratic
from fnn.surfaces.valleys import rosenbrock as rosenbrock
