"""Series: numbers in the order of time, for networks that remember."""

import pathlib

import jax
import jax.numpy as jnp

from fnn.datasets.files import read


def sunspots() -> tuple[jax.Array, jax.Array]:
    """The mean number of sunspots in each year from 1700 to 2008.

    A cycle of about eleven years, of uneven length and height. Split it by time, never at random:
    its neighbours tell of a year.

    Returns:
      year: (309,) int32. number: (309,) float32, from 0 to 190.2; the international number in its
      first version, whose values are about 0.6 of those published since 2015.

    Source: WDC-SILSO, Royal Observatory of Belgium, by NOAA's National Geophysical Data Center,
      https://www.ngdc.noaa.gov/stp/solar/solarda3.html; public domain

    >>> year, number = sunspots()
    >>> print(year[number.argmax()], number.max())
    1957 190.2
    """
    columns = read(pathlib.Path(__file__).with_name("sunspots.csv"))
    return jnp.asarray(columns["year"], jnp.int32), jnp.asarray(columns["number"], jnp.float32)
