"""64 learning rates, each a whole training run: one sweep beside the ways people do it.

    python benchmarks/sweep.py [--rounds 3] [--rates 64] [--epochs 5] [--quick]

An MLP 64-128-10 on the digits, batches of 32, Adam, all runs of a library from one set of weights
of its own, the whole work timed with compilation in it: `fnn.search.sweep` on all devices and on
one, the same runs one after another by PyTorch, `GridSearchCV` of scikit-learn's MLPClassifier on
two jobs (one fold, no refit; it keeps no losses), and the usual JAX loop, whose rate is a constant
of its step, so that each rate compiles anew. The best training loss of each way is compared: a
faster wrong answer does not count. The cost curve is the time of a sweep of 1, 8, 64 and 512 runs.
"""

import argparse
import random
import time
import warnings

import harness
import jax
import numpy as np

jax.config.update("jax_num_cpu_devices", len(__import__("os").sched_getaffinity(0)))

import optax  # noqa: E402
from mlp_peers import digits, orders  # noqa: E402

import fnn  # noqa: E402
from fnn import search  # noqa: E402

WIDTH, CLASSES, BATCH = 128, 10, 32


def by_fnn(rates, epochs, devices=None):
    """One sweep; the least training loss."""
    x, y = digits()

    def build(rate):
        return fnn.models.mlp(WIDTH, CLASSES), fnn.optim.adam(rate)

    found = search.sweep(
        build, [{"rate": float(rate)} for rate in rates], x, y, loss=fnn.losses.cross_entropy,
        steps=epochs * len(x) // BATCH, key=jax.random.key(0), batch_size=BATCH, checks=epochs,
        devices=devices,
    )  # fmt: skip
    by_fnn.run_seconds = found.seconds["run"]
    return float(found.losses.min())


def by_jax(rates, epochs):
    """A step with the rate in it, jitted anew for each: what a loop over rates usually does."""
    x, y = digits()
    net, best = fnn.models.mlp(WIDTH, CLASSES), np.inf
    for rate in rates:
        optimizer = optax.adam(float(rate))
        params, state = net.init(jax.random.key(0), x[:1])

        @jax.jit
        def step(params, opt_state, x, y, optimizer=optimizer, state=state):
            def loss(params):
                logits = net.apply(params, state, x)[0]
                return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

            value, grads = jax.value_and_grad(loss)(params)
            updates, opt_state = optimizer.update(grads, opt_state)
            return optax.apply_updates(params, updates), opt_state, value

        opt_state, losses = optimizer.init(params), []
        for index in orders(len(x), BATCH, epochs, 0):
            params, opt_state, value = step(params, opt_state, x[index], y[index])
            losses.append(value)
        best = min(best, float(np.mean(losses[-len(x) // BATCH :])))
    return best


def by_torch(rates, epochs):
    """One run after another, eager."""
    import torch

    x, y = (torch.from_numpy(a) for a in digits())
    best = np.inf
    for rate in rates:
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Linear(64, WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, CLASSES)
        )
        optimizer, losses = torch.optim.Adam(net.parameters(), lr=float(rate)), []
        for index in orders(len(x), BATCH, epochs, 0):
            index = torch.from_numpy(index)
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(x[index]), y[index].long())
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        best = min(best, float(np.mean(losses[-len(x) // BATCH :])))
    return best


def by_scikit_learn(rates, epochs):
    """`GridSearchCV` on two jobs; each run sees all rows, and a few are scored."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPClassifier

    x, y = digits()
    net = MLPClassifier(
        (WIDTH,), batch_size=BATCH, max_iter=epochs, alpha=0.0, tol=0.0, random_state=0,
        n_iter_no_change=epochs + 1,
    )  # fmt: skip
    every = [(np.arange(len(x)), np.arange(50))]
    grid = {"learning_rate_init": [float(rate) for rate in rates]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that so few passes do not converge
        search = GridSearchCV(net, grid, cv=every, n_jobs=2, refit=False)
        search.fit(x, y)


def timed(case, rates, epochs):
    """A case for the harness: all runs, and how many they were."""

    def call():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call.loss = case(rates, epochs)
        return len(rates)

    return call


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="8 rates, one round")
    options = parser.parse_args()
    many, rounds = (8, 1) if options.quick else (options.rates, options.rounds)
    rates = np.logspace(-4, -1, many)

    def by_torch_here():
        import torch  # noqa: F401 - so that a missing peer shows before anything is timed

        return timed(by_torch, rates, options.epochs)

    one = jax.devices()[:1]
    cases = harness.present(
        {
            "fnn.search.sweep": lambda: timed(by_fnn, rates, options.epochs),
            "fnn.search.sweep, one device": lambda: timed(
                lambda r, e: by_fnn(r, e, one), rates, options.epochs
            ),
            "JAX loop, compiled anew for each": lambda: timed(by_jax, rates, options.epochs),
            "PyTorch, one after another": by_torch_here,
            "scikit-learn GridSearchCV, 2 jobs": lambda: timed(
                by_scikit_learn, rates, options.epochs
            ),
        }
    )
    seconds = {name: [] for name in cases}
    running = {name: [] for name in cases if name.startswith("fnn")}
    order = list(cases)
    for turn in range(rounds):
        random.Random(turn).shuffle(order)
        for name in order:
            begun = time.perf_counter()
            cases[name]()
            seconds[name].append(time.perf_counter() - begun)
            if name in running:
                running[name].append(by_fnn.run_seconds)
    rows, found = [["", "seconds", "quartiles", "fnn is faster by", "best loss"]], {}
    for name, values in seconds.items():
        ours = seconds["fnn.search.sweep"]
        ratio = harness.quartiles([a / b for a, b in zip(values, ours, strict=True)])
        low, middle, high = harness.quartiles(values)
        found[name] = {"seconds": values, "fnn_is_faster_by": ratio, "best_loss": cases[name].loss}
        loss = "" if cases[name].loss is None else f"{cases[name].loss:.4f}"
        rows.append([name, f"{middle:.2f}", f"{low:.2f}-{high:.2f}", f"{ratio[1]:.1f}x", loss])
    print(harness.table(rows))
    one, all_of = running["fnn.search.sweep, one device"], running["fnn.search.sweep"]
    devices = [a / b for a, b in zip(one, all_of, strict=True)]
    print(f"without compilation, {len(jax.devices())} devices over one: {np.median(devices):.2f}x")
    curve = {}
    for count in (1, 8) if options.quick else (1, 8, 64, 512):
        begun = time.perf_counter()
        by_fnn(np.logspace(-4, -1, count), options.epochs)
        curve[count] = time.perf_counter() - begun
    rows = [["models", "seconds", "milliseconds a model"]]
    rows += [[str(n), f"{s:.2f}", f"{1e3 * s / n:.1f}"] for n, s in curve.items()]
    print(f"\n{harness.table(rows)}")
    results = {"rates": many, "epochs": options.epochs, "cases": found, "curve": curve}
    results |= {"devices_over_one_without_compilation": devices}
    print(f"written: {harness.save('sweep', results)}")


if __name__ == "__main__":
    main()
