"""Surfaces by their names, for command lines."""

import difflib
from collections.abc import Callable, Mapping
from functools import partial

from fnn.surfaces.base import Surface
from fnn.surfaces.many import himmelblau, rastrigin, styblinski_tang
from fnn.surfaces.saddles import monkey_saddle, saddle, two_wells
from fnn.surfaces.valleys import beale, quadratic, rosenbrock

NAMES: Mapping[str, Callable[..., Surface]] = {
    "beale": beale,
    "rosenbrock": rosenbrock,
    "quadratic": quadratic,
    "rotated_quadratic": partial(quadratic, angle=30.0),
    "himmelblau": himmelblau,
    "rastrigin": rastrigin,
    "styblinski_tang": styblinski_tang,
    "saddle": saddle,
    "monkey_saddle": monkey_saddle,
    "two_wells": two_wells,
}


def find(name: str) -> Surface:
    """The surface of that name, with its defaults.

    Raises:
      ValueError: if there is none; the message has the nearest name and all of them.

    >>> find("beale").minima
    ((3.0, 0.5),)
    >>> find("bale")
    Traceback (most recent call last):
    ValueError: surface: no 'bale'; did you mean 'beale'? There are beale, rosenbrock, quadratic, \
rotated_quadratic, himmelblau, rastrigin, styblinski_tang, saddle, monkey_saddle, two_wells
    """
    if name in NAMES:
        return NAMES[name]()
    near = difflib.get_close_matches(str(name).lower(), NAMES, n=1, cutoff=0.4)
    hint = f" did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"surface: no {name!r};{hint} There are {', '.join(NAMES)}")
