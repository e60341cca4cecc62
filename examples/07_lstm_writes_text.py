"""An LSTM reads plays letter by letter, and then writes: what it expects next is what it knows.

Its surprise at pages never read is held against two counts: of how often each character comes, and
of how often it follows the one before. In nats a character; divide by ln 2 for bits.
"""

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn.layers import lstm_cell
from fnn.models import generate, rnn_lm

WINDOW, STEPS = 64, 600

text = fnn.datasets.text("shakespeare")
characters = fnn.data.characters(text)
read, unread = fnn.data.split_in_order(characters.encode(text))

# Two rivals that only count, each kind once more than it came, so that nothing is impossible.
pairs = np.ones((characters.size, characters.size))
np.add.at(pairs, (read[:-1], read[1:]), 1)
alone = pairs.sum(0) / pairs.sum()
after = pairs / pairs.sum(1, keepdims=True)
surprises = {
    "by how often each character comes": -np.log(alone[unread]).mean(),
    "by the character before": -np.log(after[unread[:-1], unread[1:]]).mean(),
}

net = rnn_lm(characters.size, lstm_cell(192), features=32)
trained = fnn.fit(
    net,
    *fnn.data.windows(read, WINDOW),
    loss=fnn.losses.cross_entropy,
    optimizer=fnn.optim.adam(fnn.optim.schedules.one_cycle(1e-2, steps=STEPS)),
    key=jax.random.key(0),
    steps=STEPS,
    batch_size=32,
)
params, state = trained.last.params, trained.last.state

# Each window is read from a blank memory: what came before it is not known to the net.
x, y = fnn.data.windows(unread, WINDOW)
logits = fnn.predict(net, params, state, x)
surprises["by the LSTM"] = float(fnn.losses.cross_entropy(logits, y).mean())
print(f"surprise at {len(unread):,} characters never read, in nats a character")
for name, surprise in surprises.items():
    print(f"  {name:34s} {surprise:.2f}")

# To write, the carry is kept: the state goes from one character to the next. The params fit both.
writer = rnn_lm(characters.size, lstm_cell(192), features=32, carry="kept")
prompt = jnp.asarray(characters.encode("\nKING"))[None]
written = generate(writer, params, prompt, steps=400, key=jax.random.key(1), temperature=0.7)
print("\nwhat comes after KING, at temperature 0.7:\n")
print("KING" + characters.decode(written[0]))

assert surprises["by the LSTM"] < surprises["by the character before"] - 0.5
