"""A GPT reads plays letter by letter, and then writes one: attention instead of memory.

Four transformer blocks of 128 features see the last 64 characters. Training is one compiled
program; so is writing, in which each new character looks at the keys and values of those before,
kept in a cache, and costs one step of the network and not a whole passage. Losses are in nats a
character; divide by ln 2 for bits.
"""

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn.models import generate, gpt

LENGTH, STEPS = 64, 1200

text = fnn.datasets.text("shakespeare")
characters = fnn.data.characters(text)
read, unread = fnn.data.split_in_order(characters.encode(text))
x_test, y_test = fnn.data.windows(unread, LENGTH)

# A rival that only counts which character follows which, each pair once more than it was seen.
pairs = np.ones((characters.size, characters.size))
np.add.at(pairs, (read[:-1], read[1:]), 1)
by_pairs = -np.log(pairs / pairs.sum(1, keepdims=True))[unread[:-1], unread[1:]].mean()

sizes = {"length": LENGTH, "features": 128, "heads": 4, "blocks": 4}
net = gpt(characters.size, **sizes)
trained = fnn.fit(
    net,
    *fnn.data.windows(read, LENGTH),
    loss=fnn.losses.cross_entropy,
    optimizer=fnn.optim.adam(fnn.optim.schedules.one_cycle(3e-3, steps=STEPS)),
    key=jax.random.key(0),
    steps=STEPS,
    batch_size=32,
    check_every=STEPS // 6,
    validation=(x_test[:256], y_test[:256]),
)
print(f"{fnn.trees.count(trained.params)} parameters, {trained.history['seconds'][-1]:.0f} s")
for step, loss, val_loss in zip(
    *(trained.history[name] for name in ("step", "loss", "val_loss")), strict=True
):
    print(f"step {step:5.0f}  loss {loss:.3f}  on pages never read {val_loss:.3f}")

params = trained.last.params
found = fnn.train.evaluate(
    net, params, {}, x_test, y_test, loss=fnn.losses.cross_entropy, batch_size=64
)
loss = float(found["loss"])
print(f"\nsurprise at {y_test.size} characters never read, in nats a character")
print(f"  by the character before  {by_pairs:.3f}\n  by the GPT               {loss:.3f}")

# The net that writes has a cache and takes the same parameters. It has room for one passage.
writer = gpt(characters.size, **{**sizes, "cache": True})
prompt = jnp.asarray(characters.encode("\nKING RICHARD"))[None]
write = jax.jit(
    lambda params, key: generate(
        writer,
        params,
        jnp.repeat(prompt, 4, axis=0),
        steps=LENGTH - prompt.shape[1],
        key=key,
        temperature=0.7,
    )
)
print("\nat temperature 0.7 it goes on from KING RICHARD, four times:")
for ids in write(params, jax.random.key(1)):
    print("\nKING RICHARD" + characters.decode(ids))

assert loss < by_pairs - 0.6
