"""Local minima against global ones: XOR from a thousand starts, with 2, 3, 4 and 8 hidden units.

With two units half of the starts end on a plateau. Its loss is no accident: two of the four points
are told apart, the other two get probability 1/2, and the mean cross-entropy of that is 2/4 ln 2.
Once in fifty starts three points are one to the network: they get their mean, 1/3, which costs
3/4 H(1/3). With more units than it takes there is a way around, from nearly everywhere.
"""

import math

import jax
import jax.numpy as jnp

import fnn

x = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = jnp.array([[0.0], [1.0], [1.0], [0.0]])
STARTS = 1000


def loss(logits, y):
    return fnn.losses.binary_cross_entropy(logits, y).mean(-1)


found = {}
for units in (2, 3, 4, 8):
    net = fnn.serial(fnn.layers.dense(units), jnp.tanh, fnn.layers.dense(1))
    found[units] = fnn.diagnose.minima(net, x, y, loss=loss, key=jax.random.key(0), starts=STARTS)
    print(f"\n{units} hidden units: {found[units].success} find the way")
    print(found[units])

two_points = 2 / 4 * math.log(2)
three_points = 3 / 4 * -(math.log(1 / 3) / 3 + math.log(2 / 3) * 2 / 3)
print(f"\ntwo points as one: {two_points:.4f}, three points as one: {three_points:.4f}")

losses = [level.loss for level in found[2].levels]
assert abs(losses[1] - two_points) < 1e-3
assert abs(losses[2] - three_points) < 1e-3
assert found[2].success.high < found[3].success.low < found[8].success.low
