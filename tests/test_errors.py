"""The mistakes that users make, and what each is told: where, what came, what to do.

`docs/errors.md` is this table, written by `python docs/errors.py`.
"""

import functools
import importlib.util
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn

# what is mistaken: the code, and words that its message has
MISTAKES: dict[str, list[tuple[str, str]]] = {
    "Building a network": [
        ('dense("10")', "dense: features must be an int, got '10' of type str"),
        ("dense(0)", "dense: features must be at least 1, got 0"),
        ("dense(10.5)", "dense: features must be an int, got 10.5 of type float"),
        ("net(x)", "serial: a layer holds two functions and is not called itself"),
        ("serial(dense)", "serial: dense makes layers, so call it first: dense(...)"),
        ("serial([dense(4), dense(2)])", "of type list; put a star before it"),
        ('serial(dense(4), "relu")', "each part must be a layer or a function of x, got 'relu'"),
        ("serial(lstm_cell(3))", "fnn.layers.recurrent(cell) is the layer"),
        ('serial(**{"a/b": dense(3)})', "a child's name must be a word without slash, got 'a/b'"),
        ('frozen("dense")', "each part must be a layer or a function of x, got 'dense'"),
        ("repeat(dense(3), 0)", "repeat: n must be at least 1, got 0"),
        ("repeat(dense(5), 3).init(key, x)", "takes float32[32,3], gives float32[32,5]"),
        ('with_policy(dense(3), "float8")', "policy must be a Policy, got 'float8'"),
        ("dropout(1.0)", "rate is the probability to drop and must be in [0, 1), got 1.0"),
        ('dropout("half")', "dropout: rate must be one number, got 'half'"),
        ('conv(8, 3, padding="same")', "padding must be 'SAME', 'VALID'"),
        ("conv(8, 3, stride=0)", "conv: stride must be at least 1, got 0"),
        ("max_pool(0)", "max_pool: window must be at least 1, got 0"),
        ("attention(2, kv_heads=3)", "kv_heads must divide heads, got 3 and 2"),
        ("attention(2, cache=5)", "use attention(..., causal=True, cache=n)"),
        ("recurrent(dense(3))", "cell must be a cell such as lstm_cell(3), got the layer"),
        ("reshape(-1, -1)", "only one size may be -1"),
        ("models.mlp()", "give the width of each layer, such as mlp(128, 10); got none"),
        ("models.gpt(10, length=0)", "gpt: length must be at least 1, got 0"),
        ("models.resnet(7)", "resnet: depth must be at least 8, got 7"),
    ],
    "Making its parameters": [
        ("net.init(x, key)", "key must be one PRNG key such as jax.random.key(0), got float32"),
        ("net.init(0, x)", "key must be one PRNG key such as jax.random.key(0), got 0"),
        ("net.init(jax.random.split(key), x)", "for many keys at once use jax.vmap"),
        ('net.init(key, "x")', "x must be an array, a jax.ShapeDtypeStruct or a pytree"),
        ("net.init(key, [[1.0, 2.0]])", "got a list of numbers; use jnp.asarray(x)"),
        ("conv(8, 3).init(key, x)", "for x without a feature axis use x[..., None]"),
        ("conv(8, (3, 3, 3)).init(key, images)", "x must have shape (batch, depth, height, width"),
        ("conv(7, 3, groups=2).init(key, images)", "features must be divisible by groups, got 7"),
        ('conv(8, 40, padding="VALID").init(key, images)', "at least as large as the window"),
        ("embed(10, 4).init(key, x)", "x must hold integer ids in [0, 10), got float32[32,3]"),
        ("attention(2).init(key, x)", "x must be (batch, time, features), got float32[32,3]"),
        ("attention(3).init(key, words)", "x has 4 features, which 3 heads do not divide"),
        ('attention(2).init(key, {"x": words, "msk": 1})', "got the entries 'msk', 'x'"),
        (
            'attention(2).init(key, {"x": words, "mask": jnp.ones((2, 5))})',
            "mask must be boolean, True where a key is real, got float32[2,5]",
        ),
        ("recurrent(lstm_cell(3)).init(key, x)", "x must be (batch, time, features), got float32"),
        ("group_norm(3).init(key, words)", "x has 4 features, which 3 groups do not divide"),
        ("net.init(key)", "init(key, x) takes two things, got one; x is an example of the input"),
        ("net.init(key, None)", "x must be one array, got None; give numbers"),
    ],
    "Applying it": [
        (
            "net.apply(params, x)",
            "takes three things, got two; a network without state has state {}",
        ),
        ("net.apply(state, params, x)", "params must hold 'w', got {}; pass the params that init"),
        ("net.apply(params, state, jnp.ones((32, 5)))", "x has 5 features, expected 3"),
        ("net.apply(params, state, jnp.ones((32, 3), int))", "x must be floating point, got int32"),
        ("net.apply(params, state, x, key)", "takes three things, got 4; give key= and train= by"),
        ("net.apply((params, state), {}, x)", "params must be a dict such as init returns, got tu"),
        ("net.apply(params, state, x, train=1)", "train must be a Python bool, got int"),
        ("net.apply(params, state, frame)", "x must be one array, got DataFrame; give numbers"),
        ("serial(batch_norm()).apply({}, {}, x)", "must hold"),
        ("serial(dropout(0.5)).apply({}, {}, x, train=True)", "needs a key, got key=None"),
        (
            "fnn.interop.from_torch(net, Variables(params, state), {}, {'dense_0': 'fc1'})",
            "dense_0/b of dense is (4,) finds none; looked for fc1.bias",
        ),
    ],
    "Losses and metrics": [
        ("losses.squared_error(x[:, :1], x[:, 0])", "(32, 1) and target (32,) differ in shape"),
        ("losses.cross_entropy(x, x[:, 0])", "labels must be integer class ids, got float32[32]"),
        ("losses.cross_entropy(x, x)", "or soft_cross_entropy for probabilities and one-hot rows"),
        ("losses.binary_cross_entropy(x, y)", "logits (32, 3) and target (32,) differ in shape"),
        ("losses.huber(jnp.ones(3), jnp.ones(4))", "prediction (3,) and target (4,) differ"),
        ("metrics.accuracy(x, y[:31])", "prediction (32, 3) and labels (31,) do not fit"),
    ],
    "Optimizers": [
        ("optim.adam(-1.0)", "adam: learning_rate must be a finite number >= 0, got -1.0"),
        ("optim.adam(b1=1.0)", "adam: b1 must be in [0, 1), got 1.0"),
        ('optim.adam("1e-3")', "must be a number, an array or a schedule, got '1e-3'"),
        ('optim.find("adma")', "no 'adma'; did you mean 'ada"),
        ("optim.chain(optim.adam)", "link 0 must have init and update, got adam; call it first"),
        ('optim.sgd(0.1).init({"w": 1.0, "n": 2})', "floating point arrays, got 2 at 'n'"),
        ("optim.sgd(0.1).init({'w': y})", "got int32[32] at 'w'; keep what has no gradient out"),
        ("adam.update({'w': x}, adam.init({'w': x[:3]}))", "at 'w' has shape (32, 3), expected"),
        ("adam.update({'v': x}, adam.init({'w': x}))", "only in grads: v; only in state: w"),
        ("adamw.update(params, adamw.init(params))", "call update(grads, state, params)"),
        ("optim.with_hypers(adam.init(params), lr=0.1)", "no hyperparameter 'lr' in this state"),
        ("optim.schedules.cosine_decay(0.1, steps=0)", "cosine_decay: steps must be > 0, got 0"),
        ("optim.dynamic_loss_scale(optim.adam)", "must be an optimizer with init and update, got"),
        ('optim.dynamic_loss_scale(adam, initial_scale="big")', "a positive finite number, got 'b"),
        ("optim.dynamic_loss_scale(adam, every=0)", "every must be at least 1, got 0"),
        (
            "fit(optimizer=optim.chain(optim.dynamic_loss_scale(adam)))",
            "the loss was not scaled; make it the outermost optimizer",
        ),
    ],
    "Training": [
        ("fit(y=y[:31])", "the numbers of examples differ: x has 32, y has 31"),
        ("fit(x=x[:0], y=y[:0])", "there are no examples"),
        ("fit(x=[[1.0, 2.0], [3.0]], y=[0, 1])", "its rows differ in length or kind"),
        ('fit(x=np.array([["a", "b"]] * 32))', "x holds <U1, no numbers"),
        ("fit(x=x * jnp.nan)", "x has 96 values that are NaN or infinite, the first in row 0"),
        ("fit(batch_size=64)", "from 1 to the 32 examples there are, got 64; batch_size=None"),
        ('fit(batch_size="32")', "batch_size must be an int, got '32' of type str"),
        ("fit(steps=1.5)", "steps must be an int, got 1.5 of type float"),
        ("fit(check_every=0)", "fit: check_every must be at least 1, got 0"),
        ("fit(checkpoint=True)", "fit: the path must be a str or a pathlib.Path, got bool"),
        ("fit(penalty=0.1)", "fit: penalty must be a function, got 0.1 of type float"),
        ('fit(order="random")', "fit: order must be a function, got 'random' of type str"),
        ("fit(net=lambda x: x)", "net must be a layer, got a lambda; make it one by fnn.serial"),
        ("fit(loss=jnp.square)", "loss must take (prediction, y), but square does not take two"),
        ("fit(loss=lambda p, y: None)", "must give one floating number for each example, got None"),
        ('fit(metrics={"accuracy": "accuracy"})', "got a dict with 'accuracy': str"),
        ("fit(validation=(x, y[:3]))", "fit: validation: the numbers of examples differ: x has"),
        ("fit(x=x, y=['cat'] * 32)", "fit: y holds <U3, no numbers"),
        (
            "run(x=[[1.0], [2.0]])",
            "one number; its first axis must count the examples: of a list",
        ),
        ("run(steps=2.5)", "train: steps must be an int, got 2.5 of type float"),
        (
            'train.replay("nowhere", net, x, y, loss=losses.cross_entropy, optimizer=adam)',
            "is no record of a run (FileNotFoundError); give the folder that fit(checkpoint=",
        ),
        ("fit(batch_size=0)", "batch_size must be from 1 to the 32 examples there are, got 0"),
        ("fit(steps=0)", "steps must be at least 1, got 0"),
        ('fit(loss="cross_entropy")', "give the function itself, such as"),
        ('fit(optimizer="adam")', "optimizer must have init and update"),
        ("fit(optimizer=optim.adam)", "got the function adam; call it first: adam(...)"),
        ("fit(net=dense)", "net must be a layer, got the function dense; call it first"),
        ("fit(key=0)", "fit: key must be one PRNG key such as jax.random.key(0), got 0"),
        ("fit(stop=stop.loss)", "a quantity becomes a rule when it is compared with a number"),
        ("fit(stop=stop.until(stop.val_loss < 0.1))", "give validation=(x, y) for val_ quantities"),
        ('fit(monitor="val_loss")', "'val_loss' is to be watched, but only loss will be recorded"),
        ('fit(mode="minimum")', "mode must be 'min' or 'max', got 'minimum'"),
        ("fit(metrics=[metrics.accuracy])", "such as metrics={'accuracy': fnn.metrics.accuracy}"),
        ("fit(validation=x)", "validation must be a pair (x, y), got"),
        ('fit(on_nonfinite="ignore")', "on_nonfinite must be 'stop', 'skip' or 'reduce'"),
        ("fit(start=params)", "start must be a TrainState, such as another fit's last, got dict"),
    ],
    "Searching": [
        ("sweep([])", "sweep: needs at least one configuration, got none"),
        ('sweep({"rate": 0.1})', "configuration 0 must be a dict, got str; search.grid(space)"),
        ('sweep([{"rate": 0.1}, {"width": 3}])', "has the names width, the first rate; give all"),
        ('sweep([{"rat": 0.1}])', "build takes rate, but configurations have 'rat'"),
        ("sweep(build=dense)", "but configurations have 'rate'; give it arguments of these names"),
        ("sweep(build=lambda rate: None)", "build must return search.Candidate(net, optimizer)"),
        (
            "sweep(build=lambda rate: (dense(2 if rate > 0 else 3), optim.sgd(rate)))",
            "build decides by a number that varies within one compiled program (rate)",
        ),
        ('sweep([{"rate": 0.1, "seed": "a"}])', "a seed must be a whole number in [0, 2^32), got"),
        ("sweep(steps=2.5)", "sweep: steps must be an int, got 2.5 of type float"),
        ("sweep(checks=9)", "sweep: checks must be from 1 to steps = 2, got 9"),
        ("sweep(key=0)", "sweep: key must be one PRNG key such as jax.random.key(0), got 0"),
        ("sweep(batch_size=33)", "batch_size must be from 1 to the 32 examples there are, got 33"),
        ("sweep(y=y[:3])", "sweep: the numbers of examples differ: x has 32, y has 3"),
        ("sweep(validation=x)", "sweep: validation must be a pair (x, y), got"),
        ("sweep(rows=[[0.5, 1.0]])", "rows must be integers of shape (lanes, rows) for 1 lanes"),
        ('search.grid({"rate": []})', "grid: 'rate' has no values; give at least one"),
        ("search.log_uniform(0, 1)", "low must be above 0, got 0; take uniform for ranges at 0"),
        ("search.log_uniform(1, 0.1)", "log_uniform: needs finite low < high, got 1 and 0.1"),
        ("cross_validate([])", "cross_validate: needs at least one configuration, got none"),
        ("cross_validate(folds=1)", "k_fold: folds must be at least 2, got 1"),
        ("cross_validate(folds=33)", "folds must be at most the 32 rows there are, got 33"),
        ("cross_validate(groups=[1, 2])", "groups must be one label for each of the 32 rows, got"),
        ("cross_validate(key=0)", "cross_validate: key must be one PRNG key such as"),
        ("search.select(x[:, 0], y)", "X must be (rows, columns) and y (rows,), got (32,) and (32"),
        ("search.select([[1, 2], [3]], [0, 1])", "but rows differ in length"),
        ("search.select(x * jnp.nan, y)", "X must be finite numbers, got NaN or infinity; fill"),
        ("search.select(x, y)", "y is the same in all 32 rows, expected two values or more"),
        ('search.select(x, x[:, 0], task="classify")', "must be 'classification' or 'regression'"),
        (
            'search.select(x, jnp.arange(32), plan="quick")',
            "plan must be a search.plan.Plan or None",
        ),
        ("search.select(x, jnp.arange(32), folds=1)", "select: folds must be at least 2, got 1"),
        ("search.select(x, jnp.arange(32), key=0)", "select: key must be one PRNG key such as"),
        ("search.select(x, jnp.arange(32), test=x)", "test must be a share of the rows such as"),
        (
            "search.select(x, jnp.arange(32), test=(x[:, :1], jnp.arange(32)))",
            "test must be (x, y) with the 3 columns of X, got (32, 1) and (32,)",
        ),
        ("search.select(x, jnp.arange(32), test=0.9)", "fraction must be in (0, 0.5], got 0.9"),
    ],
    "Looking closer": [
        ("inspect.explain_recompile(net.apply)", "must be what jax.jit gave, got function; write"),
        ("diagnose.gradients(net, params, key=key)", "a layer takes params, state and x, got 1"),
        ("diagnose.gradients(net, params, state, x, key=0)", "key must be one PRNG key such as"),
        ("diagnose.gradients(jnp.sin, 3, key=key)", "no floating array is given to differentiate"),
        ("diagnose.gradients(jnp.argmax, x, key=key)", "must give floating arrays, got int"),
        ('diagnose.gradients("net", x, key=key)', "needs a layer or a function of arrays, got str"),
        ("diagnose.gradients(jnp.sin, x, key=key, entries=0)", "entries must be at least 1, got 0"),
        (
            "within_no_key_reuse(serial(body=serial(dropout(0.5), careless)))",
            "a key is used twice in layer 'body/careless_1'",
        ),
    ],
    "Estimators for scikit-learn": [
        ('FnnClassifier(hidden="64").fit(x, y)', "features must be an int, got '64' of type str"),
        ('FnnClassifier(activation="rellu").fit(x, y)', "'rellu' is none of fnn.activations or"),
        ('FnnClassifier(optimizer="adma").fit(x, y)', "optimizer must be a name in fnn.optim"),
        ("FnnClassifier(dropout=1.0).fit(x, y)", "dropout must be in [0, 1), got 1.0"),
        ("FnnClassifier(epochs=0).fit(x, y)", "FnnClassifier: epochs must be at least 1, got 0"),
        ("FnnClassifier(net=dense).fit(x, y)", "a function (n_features, n_outputs) -> Layer"),
        ("FnnClassifier(net=dense(7)).fit(x, y)", "net must give 1 numbers for each row of 3, got"),
        (
            "FnnClassifier(early_stopping=True, validation_fraction=2.0).fit(x, y)",
            "validation_fraction must be in (0, 1), got 2.0",
        ),
        ("FnnClassifier(members=2, early_stopping=True).fit(x, y)", "early_stopping must be False"),
    ],
    "Tables and exports": [
        ('tables.read_table("no.csv")', "no.csv is no file that there is; give the path of a .csv"),
        ('tables.read_table(".")', "is a folder; give the path of a .csv or .parquet"),
        ("tables.read_table(3)", "the path must be a str or a pathlib.Path, got int"),
        ('tables.load_model("nothing")', "there is no model.json in nothing; give the folder that"),
        (r'parse_csv(b"")', "is empty, expected a header and rows"),
        (r'parse_csv(b"a,b\n1\n")', "line 2 has 1 cells where the header has 2; put a cell"),
        (r'parse_csv(b"a,a\n1,2\n")', "names a column twice: a; rename one of the two"),
        (r'parse_csv(b"1,2\n3,4\n")', "has no header: its first line holds numbers (1, 2)"),
        (r'parse_csv(b"\xe9,b\n1,2\n")', "line 1 is not UTF-8 (byte 0xe9); save it as UTF-8"),
        (
            "fnn.export(dense, params, state, x)",
            "net must be a layer, got function; give the netwo",
        ),
        (
            'fnn.export(net, params, state, x, platforms="gpu")',
            "must be some of cpu, cuda, rocm, t",
        ),
        ("fnn.export(net, params, state, x, batch_size=2.5)", "batch_size must be an int, got 2.5"),
        (
            "fnn.export(net, params, state, 3.0)",
            "needs a batch axis, got one of shape (); give x[N",
        ),
    ],
    "Data, trees and files": [
        ('datasets.load("mnits")', "unknown data set 'mnits'; did you mean 'mnist'?"),
        ('compare.compare("iris", optimizers=["admm"])', "optimizer: no 'admm'; did you mean"),
        ('compare.compare("iris", rates=[0.0], peers=False)', "rates must be positive numbers"),
        ('compare.compare("iris", net=dense(2), peers=False)', "needs 3 outputs for each example"),
        ('trees.select(params, "*/kernel")', "no path matches '*/kernel'; there are dense_0/b"),
        ('trees.replace(params, {"dense_9/w": 1})', "no 'dense_9/w': at 'dense_9' there is dense"),
        ('checkpoint.load("no_such.safetensors")', "there is no file"),
        ("checkpoint.load(3)", "load: the path must be a str or a pathlib.Path, got int"),
        ("checkpoint.save(params, 'a.safetensors')", "save: the path must be a str or a pathlib."),
        ("checkpoint.save('.', params)", "save: . is a folder; give the name of a file in it"),
        ('checkpoint.load(".")', "is not a file; give the checkpoint itself"),
        ('checkpoint.save("a.safetensors", {"net": "mlp"})', "text belongs in note={...}"),
        ("fnn.random.batch_order(key, 0, n=5, batch_size=6)", "take batch_size=5 or less"),
    ],
}
CASES = [(code, words) for rows in MISTAKES.values() for code, words in rows]


def setting():
    """What stands in the code of the mistakes: a small network, data and optimizers."""
    import pandas

    from fnn import (
        compare,
        datasets,
        diagnose,
        inspect,
        layers,
        losses,
        metrics,
        models,
        optim,
        search,
        stop,
        tables,
        train,
        trees,
    )
    from fnn.estimators import FnnClassifier
    from fnn.tables.read import parse_csv

    x, y, key = jnp.ones((32, 3)), jnp.zeros(32, int), jax.random.key(0)
    net = fnn.serial(layers.dense(4), jnp.tanh, layers.dense(2))
    params, state = net.init(key, x)
    usual = {"net": net, "x": x, "y": y, "loss": losses.cross_entropy, "key": key, "steps": 2}

    def fit(**changed):
        return fnn.fit(**{**usual, "optimizer": optim.sgd(0.1), "progress": False, **changed})

    def run(**changed):
        how = {"optimizer": optim.sgd(0.1), "batch_size": 8, **usual, **changed}
        return train.run(how.pop("key"), how.pop("net"), how.pop("x"), how.pop("y"), **how)

    def candidate(rate):
        return search.Candidate(layers.dense(2), optim.sgd(rate))

    def searching(search, configs=({"rate": 0.1},), **changed):
        how = {**usual, "build": candidate, "checks": 1, **changed}
        del how["net"]
        return search(how.pop("build"), configs, how.pop("x"), how.pop("y"), **how)

    def twice(params, state, x, *, key=None, train=False):
        return x + fnn.random.uniform(key) + fnn.random.uniform(key), state

    def within_no_key_reuse(net):
        with inspect.no_key_reuse():
            jax.jit(lambda key: net.apply({}, {}, x, key=key, train=True))(key)

    careless = fnn.Layer(lambda key, x: fnn.Variables({}, {}), twice, name="careless")
    rooms = {"search": search, "diagnose": diagnose, "inspect": inspect, "tables": tables}
    rooms |= {"train": train, "run": run, "careless": careless, "parse_csv": parse_csv}
    rooms |= {"within_no_key_reuse": within_no_key_reuse, "FnnClassifier": FnnClassifier}
    rooms |= {"sweep": functools.partial(searching, search.sweep)}
    rooms |= {"cross_validate": functools.partial(searching, search.cross_validate)}
    rooms |= {"frame": pandas.DataFrame(np.ones((32, 3)))}
    rooms |= {"compare": compare, "datasets": datasets, "losses": losses, "metrics": metrics}
    rooms |= {"models": models, "optim": optim, "stop": stop, "trees": trees}
    rooms |= {"fnn": fnn, "checkpoint": fnn.checkpoint, "jax": jax, "jnp": jnp, "np": np}
    names = ("serial", "frozen", "repeat", "with_policy", "Variables")
    return {
        **vars(layers), **{name: getattr(fnn, name) for name in names}, **rooms, "fit": fit,
        "x": x, "y": y, "key": key, "net": net, "params": params, "state": state,
        "images": jnp.ones((2, 28, 28, 1)), "words": jnp.ones((2, 5, 4)),
        "adam": optim.adam(1e-3), "adamw": optim.adamw(1e-3),
    }  # fmt: skip


def message_of(code, names):
    """What the user is told: the error with all the lines that say where it was."""
    try:
        eval(code, dict(names))
    except Exception as error:
        notes = [note for note in getattr(error, "__notes__", []) if "JAX has removed" not in note]
        text = error.args[0] if isinstance(error, KeyError) else str(error)
        return "\n".join([f"{type(error).__name__}: {text}", *notes])
    return "no error"


@pytest.fixture(scope="module")
def names():
    return setting()


def test_there_are_at_least_sixty_mistakes_each_of_its_own():
    codes = [code for code, _ in CASES]
    assert len(codes) == len(set(codes)) >= 60


@pytest.mark.parametrize(("code", "words"), CASES, ids=[code for code, _ in CASES])
def test_a_mistake_is_told(code, words, names):
    assert words in message_of(code, names)


def test_an_error_inside_a_network_says_in_which_layer(names):
    code = "serial(body=serial(dense(4), out=dense(2))).init(key, jnp.ones((3, 2), int))"
    assert "body/dense_0" in message_of(code, names)


def test_the_page_of_errors_is_what_is_told(names):
    page = pathlib.Path(__file__).parents[1] / "docs" / "errors.md"
    spec = importlib.util.spec_from_file_location("errors_page", page.with_suffix(".py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert page.read_text(encoding="utf-8") == module.page(MISTAKES, names, message_of)
