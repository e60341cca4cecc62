"""What networks a selection tries, and how it trains them."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# rows fewer than these are trained on in batches of so many
BATCHES = ((1_000, 32), (4_000, 64), (20_000, 128), (float("inf"), 256))
ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh}


class Config(NamedTuple):
    """A network to try: hidden layers `depth` of `width` neurons, and how it is trained."""

    width: int
    depth: int
    activation: str
    decay: float
    rate: float


class Plan(NamedTuple):
    """How networks are trained: the same for all.

    Attributes:
      configs: what is tried.
      steps: the length of a run; its learning rate falls along a cosine.
      batch_size: rows a step.
      checks: at how many evenly spread steps the held-out loss is measured; a run may end there.
      longer: where networks are promising and still improve at the end, train so many times longer,
        anew, the best of the configurations that are as many times fewer; 0 for never.
      deepest: hidden layers that the programs have arrays for; 0 for those of `configs`.
    """

    configs: tuple[Config, ...]
    steps: int
    batch_size: int
    checks: int
    longer: int = 0
    deepest: int = 0

    @property
    def depth(self) -> int:
        """The bound of the programs: equal for all rungs, so that they share these."""
        return self.deepest or max(config.depth for config in self.configs)

    def ends(self) -> np.ndarray:
        """After how many steps the checks are."""
        return np.linspace(0, self.steps, self.checks + 1).round().astype(np.int32)[1:]

    def next_rung(self, losses: np.ndarray) -> "Plan | None":
        """The plan of the best configurations for longer, for the same price; None after the last.

        Args:
          losses: (configurations, checks) the mean held-out losses of this plan's runs.

        Source: successive halving, Jamieson & Talwalkar 2016, figure 3, with each configuration's
          best check in place of its last, https://arxiv.org/abs/1502.07943

        >>> plan = Plan(grid(part=4), steps=100, batch_size=8, checks=1, longer=4)
        >>> following = plan.next_rung(np.array([[5, 6, 1, 7, 8, 2, 9, 9]]).T)
        >>> following.configs == (plan.configs[2], plan.configs[5]), following.steps
        (True, 400)
        """
        kept = len(self.configs) // self.longer if self.longer else 0
        if kept < 2:
            return None
        best = np.sort(np.argsort(losses.min(1), kind="stable")[:kept])
        configs = tuple(self.configs[i] for i in best)
        steps = self.longer * self.steps
        return self._replace(configs=configs, steps=steps, deepest=self.depth)


def grid(
    *,
    widths: Sequence[int] = (16, 64),
    depths: Sequence[int] = (1, 2),
    activations: Sequence[str] = ("relu", "tanh"),
    decays: Sequence[float] = (1e-3, 0.3),
    rates: Sequence[float] = (0.003, 0.02),
    part: int = 1,
) -> tuple[Config, ...]:
    """Every combination, or an evenly spread part of them.

    Args:
      widths: of the hidden layers.
      depths: how many hidden layers.
      activations: names in `ACTIVATIONS`.
      decays: weight decay, of AdamW.
      rates: the highest learning rate.
      part: 1 for all, 2 for those whose positions have an even sum, 4 for those of which the
        positions of width, depth and rate have one, too: each value stays as frequent as before.

    >>> len(grid()), len(grid(part=2)), len(grid(part=4))
    (32, 16, 8)
    """
    axes = [widths, depths, activations, decays, rates]
    found = []
    for places in product(*[range(len(axis)) for axis in axes]):
        if part > 1 and sum(places) % 2:
            continue
        if part > 2 and (places[0] + places[1] + places[4]) % 2:
            continue
        found.append(Config(*[axis[i] for axis, i in zip(axes, places, strict=True)]))
    return tuple(found)


def make_plan(rows: int, columns: int, *, quick: bool = False) -> Plan:
    """How networks are tried on so many training rows: shapes, steps and batches."""
    batch_size = next(b for limit, b in BATCHES if rows < limit)
    widths = (16, 64) if rows * columns < 40_000 else (32, 128)
    a_pass = -(-rows // batch_size)
    steps = max(200, 4 * a_pass, min(1000, 25 * a_pass))
    if quick:
        return Plan(grid(widths=widths, part=4), steps, batch_size, 10, longer=4)
    return Plan(grid(widths=widths), steps, batch_size, 20, longer=4)
