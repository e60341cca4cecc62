"""`search.select` on sets of known truth, and beside scikit-learn on its small tables.

    python benchmarks/search.py [--part linear|networks|tables] [--tables NAME ...] [--full]

Three parts, each under its name in results/search.json:

- linear: 100 sets that are truly linear, regression and classes: how often is linear chosen?
  `--full` selects with the default settings, else with `quick=True`.
- networks: XOR, sine and spirals: the held-out error of what is chosen, beside the least of
  exhaustive separate runs, one `train.run` of the plain network for each configuration.
- tables: iris, wine, breast_cancer, digits, diabetes: the score on outer folds of `select`, of
  scikit-learn's MLP under `GridSearchCV(n_jobs=2)` with as many configurations on as many inner
  folds, of gradient boosting and of logistic or ridge regression; wall times, compilation included.
"""

import argparse
import functools
import json
import time
import warnings

import harness
import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn import search
from fnn.search.plan import ACTIVATIONS, grid, make_plan
from fnn.search.problem import make_problem, scaling_of

SEEDS = 3  # sets of each generator in `networks`


def linear_set(seed):
    """One truly linear set: (kind, x, y); sizes, strength of the signal and task go round."""
    key = jax.random.key(1000 + seed)
    n, d = [(100, 1), (100, 4), (200, 4), (200, 10)][seed % 4]
    if seed % 3 < 2:
        spread = np.sqrt(sum((i + 1) ** 2 for i in range(d)) / 3)  # of what is explained
        noise = float(spread * [0.1, 0.5, 1.0][seed // 4 % 3])
        return "regression", *fnn.datasets.linear(key, n=n, features=d, noise=noise)
    inputs, toss, weigh = jax.random.split(key, 3)
    x = jax.random.normal(inputs, (n, d))
    weights = jax.random.normal(weigh, (d,))
    logits = [2.0, 4.0][seed // 4 % 2] * x @ weights / jnp.linalg.norm(weights)
    return (
        "classification",
        x,
        (jax.random.uniform(toss, (n,)) < jax.nn.sigmoid(logits)).astype(int),
    )


def linear(full, sets=100):
    """How often the linear model is chosen where it is the truth."""
    found, begun = [], time.perf_counter()
    for seed in range(sets):
        task, x, y = linear_set(seed)
        chosen = search.select(x, y, task=task, quick=not full)
        found.append({"seed": seed, "task": task, "shape": list(x.shape), "kind": chosen.kind,
                      "p_network": chosen.choice.network_gain.p,
                      "p_linear": chosen.choice.linear_gain.p})  # fmt: skip
        if chosen.kind != "linear":
            print(f"  set {seed} ({task} {x.shape}): {chosen.verdict}", flush=True)
    share = sum(row["kind"] == "linear" for row in found) / sets
    seconds = time.perf_counter() - begun
    print(f"linear chosen in {share:.0%} of {sets} linear sets, {seconds:.0f} s")
    return {"full": full, "share": share, "seconds": seconds, "sets": found}


def held_out_error(name, outputs, y):
    """The share of wrong classes, or the mean squared error."""
    if name == "sine":
        return float(np.mean((outputs[:, 0] - y) ** 2))
    return float(np.mean(outputs.argmax(1) != y))


@functools.cache
def separate(shape, task, plan):
    """A jitted separate run of a plain network: (decay, rate, key, x, y) -> params."""
    width, depth, activation, outputs = shape
    net = fnn.models.mlp(*[width] * depth, outputs, activation=ACTIVATIONS[activation])
    loss = fnn.losses.squared_error if task == "regression" else fnn.losses.cross_entropy

    def train(decay, rate, key, x, y):
        schedule = fnn.optim.schedules.cosine_decay(rate, steps=plan.steps)
        optimizer = fnn.optim.adamw(schedule, weight_decay=decay)
        end, _ = fnn.train.run(key, net, x, y, loss=loss, optimizer=optimizer, steps=plan.steps,
                               batch_size=plan.batch_size)  # fmt: skip
        return end.params

    return net, jax.jit(train)


def exhaustive(name, x, y, tests, *, chosen):
    """The errors of every configuration on each test set, each trained by a run of its own.

    Runs are on all rows, and as long as that of the chosen network: the rung of successive halving
    that it is from.
    """
    problem = make_problem(x, y)
    scaling, plan = scaling_of(problem.x), make_plan(*problem.x.shape)
    while plan.steps < chosen.choice.steps:
        plan = plan._replace(steps=plan.longer * plan.steps)
    inputs = jnp.asarray(scaling(problem.x))
    targets = problem.y[:, None] if problem.classes is None else problem.y
    errors = np.empty((len(tests), len(plan.configs)))
    for i, config in enumerate(plan.configs):
        shape = (*config[:3], problem.outputs)
        net, train = separate(shape, problem.task, plan._replace(configs=()))
        params = train(config.decay, config.rate, jax.random.key(0), inputs, jnp.asarray(targets))
        for t, (x_test, y_test) in enumerate(tests):
            out = np.asarray(net.apply(params, {}, jnp.asarray(scaling(x_test)))[0])
            errors[t, i] = held_out_error(name, out * problem.unit + problem.mean, y_test)
    return errors, plan


SETS = [
    *[("xor", {}), ("sine", {}), ("spirals", {})],
    *[("xor", {"n": 1000, "noise": 0.3}), ("sine", {"n": 1000})],
    ("spirals", {"n": 1000, "noise": 0.1}),
]


def networks(sizes=(20_000, 200_000)):
    """Whether a network is chosen, and how near it is to the best of all separate runs.

    The best of many is best by luck, too: it is found on one test set and measured on another.
    Small sets with errors near 0 come first, as the generators make them, then larger and noisier
    ones, where a cross-validation has errors to tell configurations by.
    """
    rows = []
    for name, settings in SETS:
        make = functools.partial(getattr(fnn.datasets, name), **settings)
        tests = [
            tuple(np.asarray(a) for a in make(jax.random.key(99 + i), n=n))
            for i, n in enumerate(sizes)
        ]
        for seed in range(SEEDS):
            x, y = make(jax.random.key(seed))
            begun = time.perf_counter()
            chosen = search.select(x, y)
            seconds = time.perf_counter() - begun
            first, second = (held_out_error(name, chosen.outputs(u), v) for u, v in tests)
            errors, plan = exhaustive(name, x, y, tests, chosen=chosen)
            place = int(np.argmin(errors[0]))
            rows.append({"set": name, "settings": settings, "seed": seed, "kind": chosen.kind,
                         "error": second,
                         "best_error": errors[1, place],
                         "best_config": plan.configs[place]._asdict(), "steps": plan.steps,
                         "median_error": float(np.median(errors[1])), "seconds": seconds,
                         "ratio": second / max(errors[1, place], 1e-12),
                         "on_the_set_the_best_was_found_on": {
                             "error": first, "best_error": errors[0, place]},
                         "rows_of_test_sets": list(sizes)})  # fmt: skip
            print(f"{name} {settings or ''} {seed}: {chosen.kind} {second:.5f}, best separate run"
                  f" {errors[1, place]:.5f} (found on another set: {first:.5f},"
                  f" {errors[0, place]:.5f}), median {np.median(errors[1]):.5f};"
                  f" {seconds:.1f} s", flush=True)  # fmt: skip
    return rows


TABLES = {  # outer folds, inner folds, part of the grid of 32
    "iris": (10, 5, 1),
    "wine": (10, 5, 1),
    "breast_cancer": (5, 5, 1),
    "diabetes": (5, 5, 1),
    "digits": (3, 3, 2),
}


def peers(task, widths, part, inner):
    """scikit-learn's estimators, the MLP with as many configurations as ours, in the same grid."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV
    from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classify = task == "classification"
    cv = (StratifiedKFold if classify else KFold)(inner, shuffle=True, random_state=0)
    mlp = (MLPClassifier if classify else MLPRegressor)(random_state=0)
    to = f"{type(mlp).__name__.lower()}__"
    settings = [
        {f"{to}hidden_layer_sizes": [[c.width] * c.depth],
         f"{to}activation": [c.activation],
         f"{to}alpha": [1e-4 if c.decay < 0.01 else 0.1],
         f"{to}learning_rate_init": [0.001 if c.rate < 0.01 else 0.01]}
        for c in grid(widths=widths, part=part)
    ]  # fmt: skip
    searched = GridSearchCV(make_pipeline(StandardScaler(), mlp), settings, cv=cv, n_jobs=2)
    plain = (
        LogisticRegressionCV(max_iter=2000, n_jobs=2)
        if classify
        else RidgeCV(np.logspace(-3, 4, 15))
    )
    trees = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
    return {
        "MLP, GridSearchCV": searched,
        "gradient boosting": trees(random_state=0),
        "logistic or ridge": make_pipeline(StandardScaler(), plain),
    }


def table(name):
    """One data set: scores on the same outer folds and wall times."""
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    outer, inner, part = TABLES[name]
    problem = make_problem(x, y)
    folds = search.k_fold(len(y), folds=outer, stratify=problem.y)
    plan = make_plan(folds.rows.shape[1] * (inner - 1) // inner, x.shape[1])
    widths = sorted({config.width for config in plan.configs})
    plan = plan._replace(configs=grid(widths=widths, part=part))
    begun = time.perf_counter()
    ours = search.select_nested(x, y, outer=folds, folds=inner, plan=plan)
    found = {"fnn, search.select": (ours.scores, time.perf_counter() - begun)}
    for title, model in peers(problem.task, widths, part, inner).items():
        scores, begun = [], time.perf_counter()
        for split in range(outer):
            rows, kept = folds.of(split)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                predicted = model.fit(x[rows], y[rows]).predict(x[kept])
            if problem.classes is None:
                scores.append(1 - np.mean((predicted - y[kept]) ** 2) / np.var(y))
            else:
                scores.append(np.mean(predicted == y[kept]))
        found[title] = (np.asarray(scores), time.perf_counter() - begun)
    theirs, their_seconds = found["MLP, GridSearchCV"]
    row = {
        "set": name, "rows": len(y), "columns": x.shape[1], "task": problem.task,
        "outer": outer, "inner": inner, "configurations": len(plan.configs),
        "chosen": [choice.kind for choice in ours.choices], "models": {},
        "difference": search.corrected_interval(ours.scores - theirs, ratio=folds.ratio)._asdict(),
        "times_faster": their_seconds / found["fnn, search.select"][1],
    }  # fmt: skip
    for title, (scores, seconds) in found.items():
        interval = search.corrected_interval(scores, ratio=folds.ratio)
        row["models"][title] = {"scores": list(map(float, scores)), "seconds": seconds,
                                **interval._asdict()}  # fmt: skip
    print(row["set"], row["chosen"], f"{row['times_faster']:.1f} times faster", flush=True)
    return row


def show(rows):
    """The tables as one Markdown table."""
    titles = list(rows[0]["models"])
    lines = [["data set", *titles, "less than the MLP's, 95 %", "times faster"]]
    for row in rows:
        cells = []
        for title in titles:
            m = row["models"][title]
            cells.append(f"{m['mean']:.3f} ± {m['mean'] - m['low']:.3f}, {m['seconds']:.1f} s")
        d = row["difference"]
        gap = f"{d['mean']:+.3f} ({d['low']:+.3f} to {d['high']:+.3f})"
        lines.append([row["set"], *cells, gap, f"{row['times_faster']:.1f}"])
    print(harness.table(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=["linear", "networks", "tables"])
    parser.add_argument("--full", action="store_true", help="linear sets with default settings")
    parser.add_argument("--sets", type=int, default=100, help="how many linear sets")
    parser.add_argument("--tables", nargs="+", default=list(TABLES), help="which data sets")
    arguments = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", 2)  # a lane a core
    path = harness.RESULTS / "search.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results.pop("environment", None)
    begun = time.perf_counter()
    if arguments.part in (None, "tables"):
        rows = {row["set"]: row for row in results.get("tables", [])}
        for name in arguments.tables:
            rows[name] = table(name)
            results["tables"] = [rows[name] for name in TABLES if name in rows]
            harness.save("search", results)
        show(results["tables"])
    if arguments.part in (None, "networks"):
        results["networks"] = networks()
        harness.save("search", results)
    if arguments.part in (None, "linear"):
        name = "linear_full" if arguments.full else "linear"
        results[name] = linear(arguments.full, arguments.sets)
        harness.save("search", results)
    print(f"all in {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
