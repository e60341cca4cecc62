"""`select(X, y)`: which model suits this data set, how sure that is, and the model itself."""

import os
from typing import Any, NamedTuple

import jax
import numpy as np

from fnn.checks import check_count, check_given_key
from fnn.core import Layer, key_for
from fnn.search.climb import climb, climb_each
from fnn.search.decide import Choice, decide, rows_of, words
from fnn.search.folds import Folds, holdout, k_fold
from fnn.search.models import Model, errors_of, given, scored, train_chosen
from fnn.search.pieces import Pieces
from fnn.search.plan import Plan, make_plan
from fnn.search.problem import Problem, Scaling, make_problem
from fnn.search.resampled import Estimate, corrected_interval
from fnn.trees import fingerprint


class Selection(NamedTuple):
    """What `select` found.

    Attributes:
      kind: "null", "linear" or "network".
      net, params, state: the model, trained on all rows but the test set's; a linear model is a
        dense layer. `net.apply(params, state, scaling(x))`.
      scaling: what the inputs are standardised by, and in regression the target.
      classes: the labels by index of the net's outputs; None in regression.
      score: of the kind that was chosen, on rows held out in choosing: accuracy or R squared.
      test: the same on the test set, None without one.
      table: a dict a model, by rising held-out loss.
      choice: the best of each kind and the tests between them.
      verdict: all of it in words.
    """

    kind: str
    net: Layer
    params: Any
    state: Any
    scaling: Scaling
    classes: np.ndarray | None
    score: Estimate
    test: Estimate | None
    table: list[dict[str, Any]]
    choice: Choice
    verdict: str

    def outputs(self, x: Any) -> np.ndarray:
        """Logits (n, classes), or numbers (n, 1) in the units of the target."""
        return Model(*self[:5]).outputs(x)

    def predict(self, x: Any) -> np.ndarray:
        """The most likely label of each row, or its number."""
        out = self.outputs(x)
        return out[:, 0] if self.classes is None else self.classes[out.argmax(1)]

    def predict_proba(self, x: Any) -> np.ndarray:
        """(n, classes) the probability of each class, in the order of `classes`."""
        if self.classes is None:
            raise ValueError("predict_proba: this is a regression; use predict")
        return np.asarray(jax.nn.softmax(self.outputs(x)))

    def __repr__(self) -> str:
        return f"Selection({self.kind!r}, {self.net!r})\n{self.verdict}"


class Nested(NamedTuple):
    """What choosing and training gives on rows that had no part in either.

    Attributes:
      scores: (splits,) accuracy or R squared of the model chosen for each outer split.
      errors: (splits,) the share of wrong classes, or the mean squared error in the target's units.
      score: their mean with its corrected interval.
      choices: what was chosen for each.
      folds: the outer splits.
    """

    scores: np.ndarray
    errors: np.ndarray
    score: Estimate
    choices: list[Choice]
    folds: Folds


def select(
    x: Any,
    y: Any,
    *,
    task: str | None = None,
    test: float | tuple[Any, Any] | None = None,
    folds: int = 5,
    repeats: int | None = None,
    groups: Any = None,
    quick: bool = False,
    minutes: float | None = None,
    plan: Plan | None = None,
    key: jax.Array | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Selection:
    """The model that suits a table: the null model, a linear one or a network, and how sure.

    It measures, on the same folds, the null model, ridge or logistic regression over a path of
    penalties, and networks over width, depth, activation, decay, learning rate and the time to
    stop, all as lanes of a few compiled programs. Inputs are standardised within each fold by its
    training rows. A network is chosen only if its held-out loss is below the linear model's by the
    corrected resampled t-test at 5 %, and a linear model likewise over the null model. What was
    chosen is then trained on all rows.

    Where networks are promising and still improve at the end of their runs, the best quarter of
    them run anew, four times as long, and so on: successive halving.

    Args:
      x: (n, d) finite numbers.
      y: (n,) labels of any kind, or numbers.
      task: "classification" or "regression"; None finds out (`search.task_of`).
      test: a test set to touch once, at the very end: a pair (x, y), or the fraction of the rows to
        set aside for it, in (0, 0.5].
      folds: of the cross-validation; rarest classes of fewer rows lower it, to 2 at least.
      repeats: how often to cut folds anew; by default 2 of fewer than 500 rows, else 1.
      groups: (n,) labels; rows of one group are never on both sides of a split.
      quick: a quarter of the networks, and one repeat.
      minutes: how long to try networks, > 0: a quarter of them is always tried, the next only while
        as much time is left as the last took. The verdict says what was left out.
      plan: what networks to try and how; by default by the number of rows and columns.
      key: seeds folds and networks; by default `jax.random.key(0)`.
      folder: where to keep finished pieces, the networks of a width each: the same call goes on
        where an earlier one was stopped, to the same table. None keeps nothing.

    Returns:
      A `Selection`: print it for the verdict; `.predict(x)`, `.net`, `.params`, `.table`, `.score`.

    Raises:
      ValueError: if X or y is not what it must be, there are too few rows, or minutes is not above
        0.

    On a CPU every core works if `jax.config.update("jax_num_cpu_devices", cores)` comes first.

    Source: the test is Nadeau & Bengio's, https://doi.org/10.1023/A:1024068626366

    >>> import fnn
    >>> from fnn.search.plan import Config
    >>> x, y = fnn.datasets.linear(jax.random.key(0), n=60, features=2)
    >>> tiny = Plan((Config(4, 1, "tanh", 1e-3, 0.02),), steps=20, batch_size=16, checks=2)
    >>> found = select(x, y, plan=tiny, folds=3, repeats=1)
    >>> found.kind, found.net, found.predict(x[:2]).shape
    ('linear', dense(1), (2,))
    """
    key = jax.random.key(0) if key is None else key
    if minutes is not None and not 0 < minutes < float("inf"):
        raise ValueError(f"select: minutes must be above 0, got {minutes}; None is no limit")
    problem = make_problem(x, y, task=task)
    _check_choices("select", plan, folds, key)
    _check_test(problem, test)
    seed = int(jax.random.bits(key_for(key, "folds")) >> 1)
    used, kept, groups = _set_aside(problem, test, groups, seed)
    inner = _inner_folds(problem, used, folds, repeats, groups, seed, quick)
    plan = make_plan(*_size(problem, inner), quick=quick) if plan is None else plan
    seen = (problem.x, problem.y, *inner, key)
    pieces = Pieces(folder, fingerprint(repr(plan), str(problem.classes), *seen))
    climbed = climb(problem, inner, plan, key, pieces, minutes=minutes)
    plan, _ = climbed.rungs[-1]
    choice = decide(climbed.tables, plan, repeat=inner.repeat, ratio=inner.ratio)
    model = train_chosen(problem, used[None], plan, [choice], key)[0]
    verdict = words(choice, problem.task) + climbed.left_out
    test_score = None
    if test is not None:
        x_test, y_test = (
            test if isinstance(test, tuple) else (problem.x[kept], given(problem, kept))
        )
        test_score = scored(model, problem, x_test, y_test)
        low, high = test_score.low, min(test_score.high, 1.0)
        verdict += f" On the test set: {test_score.mean:.3f} ({low:.3f} to {high:.3f})."
    table = rows_of(*climbed.tables[:2], climbed.rungs)
    return Selection(
        *model, problem.classes, choice.scores[choice.kind], test_score, table, choice, verdict
    )


def select_nested(
    x: Any,
    y: Any,
    *,
    outer: int | Folds = 5,
    task: str | None = None,
    folds: int = 5,
    repeats: int = 1,
    quick: bool = False,
    plan: Plan | None = None,
    key: jax.Array | None = None,
) -> Nested:
    """What `select` is worth: choosing and training anew on each outer training part, then tested.

    All outer and inner folds of all models are lanes of the same programs.

    Args:
      x: (n, d) finite numbers.
      y: (n,) labels or numbers.
      outer: how many outer folds, or the folds themselves.
      task: as in `select`.
      folds: the inner ones, which choose.
      repeats: of these.
      quick: as in `select`.
      plan: as in `select`.
      key: as in `select`.

    Source: Varma & Simon 2006, https://doi.org/10.1186/1471-2105-7-91
    """
    key = jax.random.key(0) if key is None else key
    problem = make_problem(x, y, task=task, where="select_nested")
    _check_choices("select_nested", plan, folds, key)
    n, seed = len(problem.x), int(jax.random.bits(key_for(key, "folds")) >> 1)
    if not isinstance(outer, Folds):
        outer = k_fold(n, folds=outer, stratify=_strata(problem), seed=seed)
    folds = min(_folds_for(problem, rows, folds) for rows in outer.rows)
    blocks = [
        _inner_folds(problem, rows, folds, repeats, None, seed + 1 + i, quick)
        for i, rows in enumerate(outer.rows)
    ]
    splits, inner = blocks[0].splits, _joined(blocks)
    plan = make_plan(*_size(problem, inner), quick=quick) if plan is None else plan
    parts, plans = climb_each(problem, inner, plan, key, splits)
    choices = [
        decide(part, own, repeat=block.repeat, ratio=block.ratio)
        for part, own, block in zip(parts, plans, blocks, strict=True)
    ]
    models: list[Any] = [None] * len(blocks)
    for own in set(plans):
        of = [i for i, one in enumerate(plans) if one == own]
        trained = train_chosen(problem, outer.rows[of], own, [choices[i] for i in of], key)
        for i, model in zip(of, trained, strict=True):
            models[i] = model
    errors = []
    for split, model in enumerate(models):
        kept = outer.of(split)[1]
        errors.append(errors_of(model, problem, problem.x[kept], given(problem, kept)).mean())
    errors = np.asarray(errors)
    scale = 1.0 if problem.classes is not None else problem.unit**2
    scores = 1 - errors / scale
    return Nested(scores, errors, corrected_interval(scores, ratio=outer.ratio), choices, outer)


def _check_choices(where: str, plan: Any, folds: Any, key: Any) -> None:
    if plan is not None and not isinstance(plan, Plan):
        raise TypeError(
            f"{where}: plan must be a search.plan.Plan or None, got {plan!r}; quick=True is a short"
            " one"
        )
    check_count(where, "folds", folds, low=2)
    check_given_key(key, where)


def _check_test(problem: Problem, test: Any) -> None:
    """Raise unless the test set is a share of the rows, or rows like those of the problem."""
    if isinstance(test, tuple) and len(test) == 2:
        x, y = np.shape(test[0]), np.shape(test[1])
        if len(x) != 2 or x[1] != problem.x.shape[1] or y[:1] != x[:1]:
            raise ValueError(
                f"select: test must be (x, y) with the {problem.x.shape[1]} columns of X, got"
                f" {x} and {y}; give rows made as X was"
            )
    elif test is not None and not isinstance(test, float | int):
        raise TypeError(
            f"select: test must be a share of the rows such as 0.2, or a pair (x, y), got"
            f" {type(test).__name__}"
        )


def _set_aside(problem: Problem, test: Any, groups: Any, seed: int) -> tuple[Any, Any, Any]:
    """The rows to use, those of the test set, and the groups of the former."""
    everything = np.arange(len(problem.x))
    if test is None or isinstance(test, tuple):
        return everything, everything[:0], groups
    used, kept = holdout(
        len(problem.x), fraction=test, stratify=_strata(problem), groups=groups, seed=seed
    )
    return used, kept, None if groups is None else np.asarray(groups)[used]


def _strata(problem: Problem, rows: Any = slice(None)) -> Any:
    """What to stratify by: the classes if each has two rows, the target in regression."""
    y = problem.y[rows]
    return None if problem.classes is not None and _rarest(y) < 2 else y


def _rarest(y: np.ndarray) -> int:
    counts = np.bincount(y)
    return int(counts[counts > 0].min())


def _inner_folds(
    problem: Problem,
    rows: Any,
    folds: int,
    repeats: int | None,
    groups: Any,
    seed: int,
    quick: bool,
) -> Folds:
    """Folds of these rows, as rows of the problem."""
    n, strata = len(rows), _strata(problem, rows)
    folds = _folds_for(problem, rows, folds) if groups is None else folds
    if repeats is None:
        repeats = 2 if n < 500 and not quick else 1
    found = k_fold(n, folds=folds, repeats=repeats, stratify=strata, groups=groups, seed=seed)
    return found._replace(rows=rows[found.rows], held_out=rows[found.held_out])


def _size(problem: Problem, folds: Folds) -> tuple[int, int]:
    """Training rows and columns."""
    return folds.rows.shape[1], problem.x.shape[1]


def _folds_for(problem: Problem, rows: Any, folds: int) -> int:
    """As many folds as asked for, or as the rarest class of these rows has rows."""
    strata, folds = _strata(problem, rows), min(folds, len(rows))
    if strata is None or problem.classes is None:
        return folds
    return max(min(folds, _rarest(strata)), 2)


def _joined(blocks: list[Folds]) -> Folds:
    """The folds of many blocks as one, the blocks being alike."""
    return Folds(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))
