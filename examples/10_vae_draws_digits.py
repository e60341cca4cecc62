"""A variational autoencoder learns to draw digits: from two numbers each.

The network is trained with the images as its targets. Its code is two numbers, so that the plane of
all codes can be looked at. Give the name of a file, vae.png, for the picture: test images and what
is left of them behind the code, digits drawn from nothing but noise, a walk over the plane.
"""

import sys

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

import fnn
from fnn.models import decode, elbo, negative_elbo, vae

STEPS = 4000
data = fnn.datasets.load("mnist")
x, unseen = data.x_train, data.x_test

net = vae(2, shape=(28, 28, 1), hidden=(256, 128))
trained = fnn.fit(
    net,
    x,
    x,
    loss=negative_elbo,
    optimizer=fnn.optim.adam(fnn.optim.schedules.one_cycle(2e-3, steps=STEPS)),
    key=jax.random.key(0),
    steps=STEPS,
    batch_size=128,
    progress=False,
)
params, state = trained.last.params, trained.last.state

# The bound on log p(x), grey being a share of white; and beside it, to see what it is worth, what
# one knows of an image by the average brightness of each pixel.
bound = elbo(net, params, state, unseen, key=jax.random.key(1), draws=16).mean()
brightness = jnp.clip(x.mean(0), 1e-3, 1 - 1e-3)
logits = jnp.broadcast_to(jnp.log(brightness / (1 - brightness)), unseen.shape)
of_pixels = -fnn.losses.binary_cross_entropy(logits, unseen).sum((1, 2, 3)).mean()
print(f"log-likelihood of {len(unseen)} images never seen, in nats an image")
print(f"  pixels by themselves   {of_pixels:7.1f}")
print(f"  the vae, at least      {bound:7.1f}")
assert bound > of_pixels + 40


def grid(logits, rows, columns):
    return jax.nn.sigmoid(logits).reshape(rows, columns, 28, 28)


if len(sys.argv) > 1:
    left = fnn.predict(net, params, state, unseen[:50])["logits"]
    pairs = jnp.stack([unseen[:50].reshape(5, 10, 28, 28), grid(left, 5, 10)], 1)
    noise = jax.random.normal(jax.random.key(2), (100, 2))
    # The walk goes from the 3rd to the 97th percentile of the codes, each way.
    places = norm.ppf(jnp.linspace(0.03, 0.97, 10))
    plane = jnp.stack(jnp.meshgrid(places, -places), -1).reshape(100, 2)
    panels = {
        "Test images, each above its decoding": pairs.reshape(10, 10, 28, 28),
        "Drawn from noise": grid(decode(net, params, state, noise), 10, 10),
        "A walk over the plane of codes": grid(decode(net, params, state, plane), 10, 10),
    }
    fnn.draw.images(panels).savefig(sys.argv[1], dpi=120)
    print(f"written: {sys.argv[1]}")
