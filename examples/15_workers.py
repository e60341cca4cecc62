"""Four workers learn one network: what a late gradient costs, and what local steps save.

Nothing here runs on a cluster: the workers are lanes of a `vmap`, and what they would send is
counted in vectors as long as the parameters. Every scheme has the same number of steps, and the
learning rate that suits it best out of five, tried side by side.
"""

import jax
import jax.numpy as jnp

import fnn
from fnn.layers import dense
from fnn.train import workers

STEPS, BATCH, SEEDS = 2000, 16, 3
RATES = jnp.array([0.01, 0.03, 0.1, 0.3, 1.0])

x, y = fnn.datasets.spirals(jax.random.key(0), n=768, noise=0.1, classes=3)
net = fnn.serial(dense(32), jnp.tanh, dense(32), jnp.tanh, dense(3))
settings = {"net": net, "loss": fnn.losses.cross_entropy}


def tried(make):
    """Final loss over all data by learning rate, mean of the seeds, and the vectors sent."""

    def final(rate, key):
        scheme = make(fnn.optim.sgd(rate))
        state, trace = workers.run(key, scheme, x, y, steps=STEPS, batch_size=BATCH)
        logits, _ = net.apply(state.centre.params, state.centre.state, x)
        return fnn.losses.cross_entropy(logits, y).mean(), trace.sent[-1]

    keys = jax.random.split(jax.random.key(1), SEEDS)
    by_seed = jax.vmap(jax.vmap(final, (None, 0)), (0, None))
    losses, sent = jax.jit(by_seed)(RATES, keys)
    mean = jnp.nan_to_num(losses.mean(1), nan=jnp.inf)
    best = int(jnp.argmin(mean))
    return float(mean[best]), float(RATES[best]), int(sent[best, 0])


def late(delay):
    return lambda sgd: workers.delayed(**settings, optimizer=sgd, delay=delay)


def local(steps):
    return lambda sgd: workers.local_sgd(**settings, optimizer=sgd, workers=4, local_steps=steps)


def elastic(period):
    return lambda sgd: workers.elastic_averaging(
        **settings, optimizer=sgd, workers=4, period=period
    )


def together(sgd):
    return workers.synchronous(**settings, optimizer=sgd, workers=4)


print(f"A gradient that comes late: a batch of {BATCH} a step, {STEPS} steps")
print("  steps late   loss   best rate")
lost = {}
for delay in (0, 1, 3, 15):
    lost[delay], rate, _ = tried(late(delay))
    print(f"  {delay:10d}  {lost[delay]:.3f}        {rate:.2f}")

print(f"Four workers, a batch of {BATCH} each, {STEPS} steps")
print("  scheme                   loss   best rate   vectors sent")
schemes = {"average at every step": together}
schemes |= {f"average every {steps} steps": local(steps) for steps in (16, 64)}
schemes |= {"elastic, every 16 steps": elastic(16)}
found = {}
for name, scheme in schemes.items():
    found[name] = tried(scheme)
    loss, rate, sent = found[name]
    print(f"  {name:23s} {loss:.3f}        {rate:.2f}   {sent:12d}")

assert lost[0] < lost[3] < lost[15]
assert found["average every 16 steps"][0] < 1.2 * found["average at every step"][0]
