"""`search.select` finds what is true of sets whose truth is known, and leaks nothing into folds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import search
from fnn.search import climb
from fnn.search.bounded import bounded_mlp, freed
from fnn.search.linear import logistic_path, ridge_path
from fnn.search.plan import Config, Plan, grid
from fnn.search.problem import make_problem, scaling_of, task_of
from fnn.search.trials import linear_tables, network_table, network_tables, train_networks

SMALL = Plan(
    (Config(16, 1, "tanh", 1e-3, 0.02), Config(16, 2, "relu", 1e-3, 0.02)),
    steps=600,
    batch_size=32,
    checks=4,
)


@pytest.mark.parametrize("seed", range(3))
def test_on_linear_data_the_linear_model_is_chosen(seed):
    x, y = fnn.datasets.linear(jax.random.key(seed), n=100, features=3, noise=1.0)
    found = search.select(x, y, plan=SMALL, folds=4, repeats=1)
    assert found.kind == "linear"
    assert "A linear model suits" in found.verdict
    assert found.params["w"].shape == (3, 1)


@pytest.fixture(scope="module")
def xor():
    x, y = fnn.datasets.xor(jax.random.key(0), n=160, noise=0.1)
    labels = np.array(["no", "yes"])[np.asarray(y)]
    return search.select(x, labels, plan=SMALL, folds=4, repeats=1, test=0.25), x, labels


def test_on_xor_a_network_is_chosen_and_predicts_labels(xor):
    found, x, labels = xor
    assert found.kind == "network"
    assert (found.predict(x) == labels).mean() > 0.95
    assert found.predict_proba(x).shape == (160, 2)
    assert np.allclose(found.predict_proba(x).sum(1), 1, atol=1e-5)
    assert "A network suits" in repr(found)


def test_the_parts_of_a_selection_are_an_ordinary_network(xor):
    found, x, _ = xor
    logits, state = found.net.apply(found.params, found.state, jnp.asarray(found.scaling(x)))
    assert state == {}
    assert (found.classes[logits.argmax(1)] == found.predict(x)).all()
    assert set(found.params) == set(found.net.init(jax.random.key(0), x).params)


def test_a_test_fraction_is_scored_apart(xor):
    found, _, _ = xor
    assert found.test.low <= found.test.mean <= found.test.high
    assert found.test.mean > 0.9
    assert "On the test set" in found.verdict


def test_the_table_holds_every_model_by_rising_loss(xor):
    losses = [row["loss"] for row in xor[0].table]
    assert losses == sorted(losses)
    kinds = [row["model"] for row in xor[0].table]
    assert (kinds.count("null"), kinds.count("linear"), kinds.count("network")) == (1, 5, 2)


def test_where_nothing_predicts_the_null_model_is_chosen():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 2)), rng.normal(size=80)
    found = search.select(x, y, plan=SMALL, folds=4, repeats=1)
    assert found.kind == "null"
    assert found.predict(x) == pytest.approx(y.mean(), abs=1e-5)
    assert "No model predicts" in found.verdict


def test_nested_folds_score_what_choosing_gives():
    x, y = fnn.datasets.sine(jax.random.key(0), n=120, noise=0.1)
    found = search.select_nested(x, y, plan=SMALL, outer=3, folds=3)
    assert [choice.kind for choice in found.choices] == ["network"] * 3
    assert found.scores.shape == (3,)
    assert found.score.mean > 0.9
    assert found.errors.mean() == pytest.approx(
        float((1 - found.scores).mean() * y.var()), rel=1e-4
    )


def test_what_is_held_out_has_no_part_in_training():
    """Other inputs and targets in the held-out rows change its losses, not what was trained."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 2)), rng.normal(size=60)
    folds = search.k_fold(60, folds=3)
    _, kept = folds.of(0)
    spoiled = x.copy()
    spoiled[kept] = 1e3
    one = folds._replace(**{k: getattr(folds, k)[:1] for k in folds._fields})
    probe = one._replace(held_out=one.rows[:, :20], weight=np.ones((1, 20), np.float32))
    plan = SMALL._replace(steps=20, checks=1)
    tables = []
    for inputs in (x, spoiled):
        problem = make_problem(inputs, y)
        _, linear = linear_tables(problem, probe)
        tables.append((linear, network_table(problem, probe, plan, jax.random.key(0))))
    for a, b in zip(*tables, strict=True):
        np.testing.assert_allclose(a.loss, b.loss, rtol=1e-6)


def test_a_lane_equals_its_separate_run():
    """A configuration among others has the loss of its network trained by `train.run`."""
    x, y = fnn.datasets.sine(jax.random.key(3), n=60)
    problem, folds = make_problem(x, y), search.k_fold(60, folds=3)
    plan = SMALL._replace(steps=50, checks=1)
    table = network_table(problem, folds, plan, jax.random.key(0))
    rows, kept = folds.of(1)
    units = scaling_of(problem.x[rows])
    mean, unit = problem.y[rows].mean(), problem.y[rows].std()
    net = bounded_mlp(1, max_width=16, max_depth=2, depth=1, activations=(jnp.tanh,))
    schedule = fnn.optim.schedules.cosine_decay(0.02, steps=50)
    end, _ = fnn.train.run(
        jax.random.fold_in(jax.random.key(0), 1), net, units(problem.x[rows]),
        ((problem.y[rows] - mean) / unit)[:, None], loss=fnn.losses.squared_error, steps=50,
        optimizer=fnn.optim.adamw(schedule, weight_decay=1e-3), batch_size=32,
    )  # fmt: skip
    out = fnn.predict(net, end.params, end.state, jnp.asarray(units(problem.x[kept])))
    loss = np.mean((out[:, 0] * unit + mean - problem.y[kept]) ** 2)
    assert table.loss[0, 1] == pytest.approx(float(loss), rel=1e-4)


def test_rungs_keep_the_best_quarter_and_end_with_two():
    plan = Plan(grid(), steps=10, batch_size=8, checks=2, longer=4)
    losses = np.arange(64.0)[::-1].reshape(32, 2)  # the later in the grid the better
    second = plan.next_rung(losses)
    assert (second.configs, second.steps) == (plan.configs[24:], 40)
    third = second.next_rung(np.array([[1.0, 0.0], *[[9.0] * 2] * 6, [0.0, 1.0]]))
    assert (third.configs, third.steps) == ((second.configs[0], second.configs[7]), 160)
    assert third.next_rung(losses[:2]) is None
    assert third.depth == plan.depth
    assert plan._replace(longer=0).next_rung(losses) is None


def test_within_a_time_a_quarter_is_tried_and_the_verdict_says_so(monkeypatch):
    """A clock that runs a minute at each look leaves time for two parts of four, and no rung."""
    x, y = fnn.datasets.xor(jax.random.key(0), n=60)
    plan = Plan(grid(widths=(2, 4))[:8], steps=20, batch_size=16, checks=2, longer=2)
    now = iter(range(0, 9999, 60))
    monkeypatch.setattr(climb.time, "perf_counter", lambda: float(next(now)))
    found = search.select(x, y, plan=plan, folds=3, repeats=1, minutes=3)
    tried = [row for row in found.table if row["model"] == "network"]
    assert len(tried) == 4
    assert "4 of 8 networks were tried" in found.verdict
    monkeypatch.setattr(climb.time, "perf_counter", lambda: 0.0)
    found = search.select(x, y, plan=plan, folds=3, repeats=1, minutes=4)
    assert len([row for row in found.table if row["model"] == "network"]) == 8
    assert "networks were tried" not in found.verdict
    with pytest.raises(ValueError, match="minutes must be above 0, got 0"):
        search.select(x, y, minutes=0)


def test_parts_of_the_grid_are_all_of_it_and_balanced():
    plan = Plan(grid(), steps=10, batch_size=8, checks=2)
    parts = climb.parts_of(plan)
    assert sorted(c for part in parts for c in part.configs) == sorted(plan.configs)
    for part in parts:
        for values in zip(*part.configs, strict=True):
            assert {values.count(v) for v in set(values)} == {4}


def test_each_block_of_nested_folds_climbs_as_if_it_were_alone():
    """Tables of plans trained together are those of each plan alone."""
    x, y = fnn.datasets.sine(jax.random.key(3), n=48)
    problem, folds = make_problem(x, y), search.k_fold(48, folds=4)
    plans = [SMALL._replace(configs=(c,), steps=20, checks=2, deepest=2) for c in SMALL.configs]
    together = network_tables(
        problem, folds, {plans[0]: [0, 1], plans[1]: [2, 3]}, jax.random.key(0)
    )
    for plan, splits in zip(plans, ([0, 1], [2, 3]), strict=True):
        alone = network_table(problem, folds, plan, jax.random.key(0)).of(splits)
        np.testing.assert_allclose(together[plan].loss, alone.loss, rtol=1e-5)


def test_rows_of_equal_settings_train_equally_whatever_their_neighbours():
    x, y = fnn.datasets.sine(jax.random.key(3), n=60)
    problem, rows = make_problem(x, y), np.tile(np.arange(60), (2, 1))
    one, two = SMALL.configs
    (alone, _), _ = train_networks(problem, rows, SMALL, [(one, 30), (one, 60)], jax.random.key(0))
    (beside, _), _ = train_networks(problem, rows, SMALL, [(one, 30), (two, 60)], jax.random.key(0))
    for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(beside), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("width", "depth", "activation"), [(3, 1, 0), (5, 2, 1), (8, 2, 0)])
def test_a_bounded_network_is_the_plain_one_and_trains_like_it(width, depth, activation, key):
    """Its masked neurons neither speak nor learn: value and gradient are the small network's."""
    acts = (jax.nn.relu, jnp.tanh)
    bounds = {"max_width": 8, "max_depth": 2, "activations": acts}
    x = jax.random.normal(key, (7, 3))

    def value(params, width, depth, activation):
        net = bounded_mlp(2, **bounds, width=width, depth=depth, activation=activation)
        return (net.apply(params, {}, x)[0] ** 2).sum()

    traced = jax.jit(jax.value_and_grad(value))
    shape = {"width": width, "depth": depth, "activation": activation}
    params, _ = bounded_mlp(2, **bounds, **shape).init(key, x)
    loss, slope = traced(params, width, depth, activation)
    net, own = freed(params, width=width, depth=depth, activation=acts[activation])
    theirs = jax.value_and_grad(lambda p: (net.apply(p, {}, x)[0] ** 2).sum())(own)
    assert float(loss) == pytest.approx(float(theirs[0]), rel=1e-5)
    _, small = freed(slope, width=width, depth=depth, activation=acts[activation])
    for a, b in zip(jax.tree.leaves(small), jax.tree.leaves(theirs[1]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    total = sum(jnp.abs(a).sum() for a in jax.tree.leaves(slope))
    kept = sum(jnp.abs(a).sum() for a in jax.tree.leaves(small))
    assert float(total) == pytest.approx(float(kept), rel=1e-5)  # nothing behind the mask


def test_ridge_and_logistic_paths_are_scikit_learns():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 4))
    y = x @ [1.0, -2.0, 0.0, 0.5] + rng.normal(size=90)
    theirs = linear_model.Ridge(alpha=0.1 * 90).fit(x, y)
    ours = ridge_path(x, y, decays=(0.1,))[0, :, 0]
    np.testing.assert_allclose(ours, [*theirs.coef_, theirs.intercept_], rtol=1e-8)
    classes = (y > 1).astype(int) + (y > -1)
    theirs = linear_model.LogisticRegression(C=1 / (0.01 * 90), tol=1e-8, max_iter=999)
    theirs.fit(x, classes)
    ours = logistic_path(x, classes, classes=3, decays=(1.0, 0.01))[1]
    np.testing.assert_allclose(ours[:-1].T, theirs.coef_, atol=2e-3)


def test_parts_of_the_grid_hold_every_value_equally_often():
    for part in (2, 4):
        for values in zip(*grid(part=part), strict=True):
            assert {values.count(v) for v in set(values)} == {32 // part // 2}


def test_targets_are_told_apart():
    assert task_of(np.array([0.0, 1.0, 1.0])) == "classification"
    assert task_of(np.arange(30)) == "regression"
    assert task_of(np.array([1, 2, 3, 4])) == "regression"  # as many values as rows


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.ones((4, 2)), np.ones(3), "got \\(4, 2\\) and \\(3,\\)"),
        (np.array([[np.nan], [1.0]]), np.array([0, 1]), "NaN or infinity"),
        (np.array([["a"], ["b"]]), np.array([0, 1]), "encode text"),
        (np.ones((4, 1)), np.ones(4), "same in all 4 rows"),
    ],
)
def test_what_is_no_table_is_told(x, y, said):
    with pytest.raises(ValueError, match=said):
        search.select(x, y)


def test_a_selection_that_was_stopped_goes_on_to_the_same_table(tmp_path, monkeypatch):
    from fnn.search import pieces, trials

    x, y = fnn.datasets.xor(jax.random.key(0), n=60)
    plan = Plan(
        (Config(4, 1, "tanh", 1e-3, 0.02), Config(8, 1, "tanh", 1e-3, 0.02)),
        steps=20, batch_size=16, checks=2,
    )  # fmt: skip
    how = {"plan": plan, "folds": 3, "repeats": 1}
    whole = search.select(x, y, **how)
    made, save = [], pieces.checkpoint.save

    def saved_once(path, tree):
        if made:
            raise KeyboardInterrupt
        made.append(path.name)
        save(path, tree)

    monkeypatch.setattr(pieces.checkpoint, "save", saved_once)
    with pytest.raises(KeyboardInterrupt):
        search.select(x, y, **how, folder=tmp_path)
    monkeypatch.setattr(pieces.checkpoint, "save", save)
    computed, program = [], trials.trial_program

    def counted(shape):
        computed.append(shape.width)
        return program(shape)

    monkeypatch.setattr(trials, "trial_program", counted)
    (tmp_path / "0000-other.safetensors").write_bytes(b"not a piece of this search")
    again = search.select(x, y, **how, folder=tmp_path)
    assert len(computed) == 1  # the other width was kept
    assert again.table == whole.table
    computed.clear()
    kept = next(tmp_path.glob("*8-wide*"))
    kept.write_bytes(kept.read_bytes()[:-7])  # a damaged piece is made again
    assert search.select(x, y, **how, folder=tmp_path).table == whole.table
    assert computed == [8]
