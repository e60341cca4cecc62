"""A generator learns to draw points from eight clouds on a ring, by trying to pass for true.

Two networks have opposite aims, so there is no loss to go down: the measure is where the points
fall. Half of the runs hold the discriminator's slope down (r1), half play the game as it was first
proposed; the seeds of a kind learn side by side, by `vmap`. Give the name of a file, gan.png, for
the picture.
"""

import functools
import sys

import jax
import jax.numpy as jnp

import fnn
from fnn.models import draw_examples, gan, make_gan_step

STEPS, BATCH, SEEDS, LOOKS = 3000, 256, 4, 6
angle = 2 * jnp.pi * jnp.arange(8) / 8
centres = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)


def truth(key, n):
    which, where = jax.random.split(key)
    spread = 0.05 * jax.random.normal(where, (n, 2))
    return centres[jax.random.randint(which, (n,), 0, 8)] + spread


pair = gan(8, shape=2, hidden=(64, 64))


@functools.partial(jax.jit, static_argnums=1)
def run(key, r1):
    """The points drawn at each of the looks, and the losses on the way there."""
    adam = fnn.optim.adam(1e-3, b1=0.5)
    start, step = make_gan_step(pair, adam, adam, r1=r1)

    def stretch(gan_state, keys):
        gan_state, losses = jax.lax.scan(
            lambda now, key: step(now, truth(key, BATCH)), gan_state, keys
        )
        return gan_state, (draw_examples(pair, gan_state, key, n=2000), losses)

    keys = jax.random.split(key, (LOOKS, STEPS // LOOKS))
    return jax.lax.scan(stretch, start(key, centres), keys)[1]


def measure(points):
    """The share within four deviations of a cloud, and how many clouds hold 2 % of all."""
    distance = jnp.linalg.norm(points[:, None] - centres, axis=-1)
    near = distance.min(1) < 0.2
    held = jnp.bincount(distance.argmin(1), near.astype(float), length=8) / len(points)
    return float(near.mean()), int((held > 0.02).sum())


print(f"after {STEPS} steps, {SEEDS} seeds each: clouds found, and points that lie in one")
found, drawn = {}, {}
for name, r1 in {"as first proposed": 0.0, "slope held down": 0.1}.items():
    points, losses = jax.vmap(run, (0, None))(jax.random.split(jax.random.key(0), SEEDS), r1)
    found[name], drawn[name] = [measure(last) for last in points[:, -1]], points[0]
    told = ", ".join(f"{clouds} ({near:.0%})" for near, clouds in found[name])
    print(
        f"  {name:18s} {told};  discriminator's loss {losses.discriminator[:, -1, -99:].mean():.2f}"
    )
print("  a discriminator that can tell nothing has the loss 2 log 2 = 1.39")
assert min(clouds for _, clouds in found["slope held down"]) == 8

if len(sys.argv) > 1:
    with fnn.draw.styled():
        figure, axes = fnn.draw.blank(2, LOOKS, (2.1 * LOOKS, 4.6))
        for row, (name, looks) in zip(axes, drawn.items(), strict=True):
            for i, (panel, points) in enumerate(zip(row, looks, strict=True), start=1):
                panel.scatter(*centres.T, s=90, c="#DDAA33", alpha=0.5)
                panel.scatter(*points[:600].T, s=1, c="#332288")
                panel.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), xticks=[], yticks=[], aspect=1)
                panel.set_title(f"step {i * STEPS // LOOKS}")
                panel.spines[:].set_visible(False)
            row[0].set_ylabel(name)
    figure.savefig(sys.argv[1], dpi=120)
    print(f"written: {sys.argv[1]}")
