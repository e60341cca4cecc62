"""Second-order methods against Adam at equal seconds, and against SciPy's L-BFGS.

    python benchmarks/second_order.py [--rounds 5] [--seeds 3] [--seconds 0.3]

The sine: a 1-16-1 tanh net on 64 points of sin(x), its error after the seconds that
Levenberg-Marquardt with geodesic acceleration takes to reach a mean squared error of 1e-8, and
after `--seconds`. Every method is one compiled program, compiled before the clock starts; Adam runs
over all of the data with the best of five learning rates, chosen for each seed and each budget by
its result, and beside it with its customary rate. Methods that end sooner, because no step lowers
the error any more, are given back their seconds.

Logistic regression on MNIST's bundled 10,000 digits (7,850 parameters, float64): our L-BFGS and
SciPy's L-BFGS-B, which calls the same compiled value and gradient, from zero to a gradient whose
largest entry is below 1e-6; rounds interleaved.
"""

import argparse
import statistics
import time

import harness
import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn import optim

POINTS, HIDDEN, TARGET = 64, 16, 1e-8
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
FITTER = "levenberg_marquardt, geodesic"
METHODS = {
    "levenberg_marquardt": optim.levenberg_marquardt(),
    "levenberg_marquardt, geodesic": optim.levenberg_marquardt(
        solver="cholesky", acceleration="geodesic"
    ),
    "lbfgs": optim.lbfgs(),
    "bfgs": optim.bfgs(),
    "newton_cg": optim.newton_cg(),
    "newton_cg, gauss_newton": optim.newton_cg(curvature="gauss_newton"),
}


def sine(seed, dtype):
    """Net, data and fresh parameters."""
    x = jnp.linspace(-jnp.pi, jnp.pi, POINTS, dtype=dtype)[:, None]
    net = fnn.serial(fnn.layers.dense(HIDDEN), jnp.tanh, fnn.layers.dense(1))
    params, _ = net.init(jax.random.key(seed), x)
    return net, x, jnp.sin(x), fnn.trees.cast(params, dtype)


def seconds_of(run):
    """What the run returned and how long it took, its result waited for."""
    begun = time.perf_counter()
    found = jax.block_until_ready(run())
    return found, time.perf_counter() - begun


def within(run, seconds):
    """The result of `run(steps)` with as many steps as those seconds hold, and both.

    The cost of a step is measured on the way: each trial is scaled from the last, thrice.
    """
    run(1)
    steps = 50
    for _ in range(3):
        (value, done), took = seconds_of(lambda n=steps: run(n))
        if int(done) < steps and took <= seconds:  # it ended by itself
            break
        steps = max(1, int(steps * seconds / took))
    (value, done), took = seconds_of(lambda: run(steps))
    return {"mse": float(value), "steps": int(done), "seconds": took}


def minimizer(name, seed, dtype):
    """`run(steps) -> (mean squared error, steps done)` of one method."""
    net, x, y, params = sine(seed, dtype)
    if name.startswith("levenberg_marquardt"):
        fun, scale = fnn.train.residuals(net, x, y), 2 / POINTS
    else:
        fun, scale = fnn.train.objective(net, fnn.losses.squared_error, x, y), 1

    def run(steps):
        found = optim.minimize(fun, params, METHODS[name], steps=steps, tol=0.0)
        return found.value * scale, found.steps

    return run


def adam(rate, seed, dtype):
    """The same for Adam over all of the data, as one compiled loop."""
    net, x, y, params = sine(seed, dtype)
    optimizer = optim.adam(rate)
    objective = fnn.train.objective(net, fnn.losses.squared_error, x, y)

    @jax.jit
    def train(params, steps):
        def step(_, carry):
            params, opt_state = carry
            updates, opt_state = optimizer.update(jax.grad(objective)(params), opt_state, params)
            return optim.apply_updates(params, updates), opt_state

        end = jax.lax.fori_loop(0, steps, step, (params, optimizer.init(params)))
        return objective(end[0])

    return lambda steps: (train(params, steps), steps)


def time_to_target(seed, dtype):
    """Seconds and steps that Levenberg-Marquardt takes to the target; None if it never does."""
    net, x, y, params = sine(seed, dtype)
    fun, method = fnn.train.residuals(net, x, y), METHODS[FITTER]
    found = optim.minimize(fun, params, method, steps=1000, tol=0.0, history=True)
    errors = np.asarray(found.history.value) * 2 / POINTS
    reached = np.flatnonzero(errors <= TARGET)
    if not reached.size:
        return None
    run = minimizer(FITTER, seed, dtype)
    run(1)
    times = [seconds_of(lambda: run(int(reached[0])))[1] for _ in range(5)]
    return {"seconds": statistics.median(times), "steps": int(reached[0])}


def race(seed, dtype, seconds):
    """Every method and Adam's best rate, each with the same seconds."""
    found = {name: within(minimizer(name, seed, dtype), seconds) for name in METHODS}
    tried = {rate: within(adam(rate, seed, dtype), seconds) for rate in RATES}
    best = min(tried, key=lambda rate: tried[rate]["mse"])
    best_adam = {"learning_rate": best, **tried[best]}
    return {**found, "adam, best rate": best_adam, "adam, rate 0.001": tried[RATES[0]]}


def sines(seeds, seconds):
    results = []
    for dtype in ("float64", "float32"):
        for seed in range(seeds):
            target = time_to_target(seed, dtype)
            result = {"dtype": dtype, "seed": seed, "to_target": target}
            if target:
                result["at_target"] = race(seed, dtype, target["seconds"])
            result["at_seconds"] = race(seed, dtype, seconds)
            results.append(result)
            print(f"  sine, {dtype}, seed {seed}: target {target}")
    return results


def sine_table(results, seconds):
    rows = [["dtype", "method", "at LM's seconds to 1e-8", f"after {seconds:g} s", "steps then"]]
    for dtype in ("float64", "float32"):
        mine = [result for result in results if result["dtype"] == dtype]
        for name in [*METHODS, "adam, best rate", "adam, rate 0.001"]:
            cells = []
            for budget in ("at_target", "at_seconds"):
                errors = [r[budget][name]["mse"] for r in mine if budget in r]
                cells.append(f"{statistics.median(errors):.1e}" if errors else "not reached")
            steps = statistics.median(r["at_seconds"][name]["steps"] for r in mine)
            rows.append([dtype, name, *cells, f"{steps:.0f}"])
    return harness.table(rows)


def logistic(rounds):
    """Our L-BFGS and SciPy's on the same function, ours to the gradient that SciPy ends with."""
    import scipy.optimize

    data = fnn.datasets.load("mnist")
    x = jnp.asarray(data.x_train, jnp.float64).reshape(len(data.x_train), -1)
    net = fnn.layers.dense(10, w_init=fnn.initializers.zeros)
    params = fnn.trees.cast(net.init(jax.random.key(0), x[:1])[0], jnp.float64)
    vector, tree = jax.flatten_util.ravel_pytree(params)
    objective = fnn.train.objective(
        net, fnn.losses.cross_entropy, x, jnp.asarray(data.y_train), penalty=square_penalty
    )
    value_and_grad = jax.jit(jax.value_and_grad(lambda v, fun: fun(tree(v))))
    answers = {}

    def theirs():
        answers["scipy"] = scipy.optimize.minimize(
            lambda v: jax.device_get(value_and_grad(v, objective)),
            np.asarray(vector),
            jac=True,
            method="L-BFGS-B",
            options={"maxcor": 10, "ftol": 0, "gtol": 1e-6, "maxiter": 5000, "maxfun": 10_000},
        )
        return 1

    def ours():
        tol = float(np.linalg.norm(answers["scipy"].jac))
        found = optim.minimize(objective, params, optim.lbfgs(), tol=tol, steps=5000)
        answers["fnn"] = jax.block_until_ready(found)
        return 1

    times = harness.interleaved({"scipy": theirs, "fnn": ours}, rounds=rounds)
    a, b = answers["fnn"], answers["scipy"]
    ends = {
        "fnn": [float(a.value), float(a.grad_norm), int(a.steps), int(a.evaluations)],
        "scipy": [float(b.fun), float(np.linalg.norm(b.jac)), int(b.nit), int(b.nfev)],
    }
    names = ("value", "grad_norm", "steps", "evaluations")
    ends = {name: dict(zip(names, end, strict=True)) for name, end in ends.items()}
    far = jax.flatten_util.ravel_pytree(a.x)[0] - b.x
    return {
        "examples": len(x),
        "parameters": vector.size,
        "ends": ends,
        "largest_difference_of_a_parameter": float(jnp.abs(far).max()),
        "seconds": times,
        "fnn_times_faster": harness.ratios(times, "fnn", "scipy"),
    }


def square_penalty(params):
    """So that the minimum is one."""
    return 1e-3 * jnp.sum(params["w"] ** 2)


def logistic_table(found):
    rows = [["L-BFGS", "value", "gradient", "steps", "evaluations", "seconds"]]
    for name, end in found["ends"].items():
        seconds = statistics.median(found["seconds"][name]["seconds_per_unit"])
        counts = (str(end["steps"]), str(end["evaluations"]))
        rows.append(
            [name, f"{end['value']:.10f}", f"{end['grad_norm']:.1e}", *counts, f"{seconds:.2f}"]
        )
    return harness.table(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.3)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    regression = logistic(arguments.rounds)
    print(logistic_table(regression))
    results = sines(arguments.seeds, arguments.seconds)
    print(sine_table(results, arguments.seconds))
    sizes = {"points": POINTS, "hidden": HIDDEN, "target": TARGET, "adam_rates": RATES}
    path = harness.save(
        "second_order",
        {
            "sizes": sizes,
            "seconds": arguments.seconds,
            "rounds": arguments.rounds,
            "sine": results,
            "logistic": regression,
        },
    )
    print(f"written: {path}")


if __name__ == "__main__":
    main()
