"""What the classifier and the regressor share: training, keeping, predicting."""

import json
import math
import os
import warnings
from typing import Any, Self

import jax
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from fnn import checkpoint, stop
from fnn.checks import check_count
from fnn.estimators import parts, state
from fnn.estimators.state import Learned
from fnn.train.ensemble import ensemble
from fnn.train.fit import fit

_KEPT = ("n_features_in_", "n_outputs_", "n_iter_", "loss_curve_", "validation_loss_curve_")


class FnnEstimator(BaseEstimator):
    """Settings, training and files of both estimators; not to be used by itself."""

    n_features_in_: int

    def __init__(
        self,
        hidden: tuple[int, ...] = (64,),
        *,
        activation: Any = "relu",
        dropout: float = 0.0,
        net: Any = None,
        optimizer: Any = "adam",
        learning_rate: float = 3e-3,
        epochs: int = 100,
        batch_size: int | None = 32,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        standardise: bool = True,
        members: int = 1,
        random_state: Any = None,
    ):
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout
        self.net = net
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.standardise = standardise
        self.members = members
        self.random_state = random_state

    # what a subclass says: its loss, the network's outputs, and whether targets are standardised
    def _loss(self) -> Any:
        raise NotImplementedError

    def _outputs(self) -> int:
        raise NotImplementedError

    def _parts(self) -> tuple[Any, Any]:
        where = type(self).__name__
        net = parts.network(
            where,
            self.net,
            tuple(np.atleast_1d(self.hidden).tolist()),
            self.activation,
            self.dropout,
            self.n_features_in_,
            self._outputs(),
        )
        return net, parts.optimizer_of(where, self.optimizer, self.learning_rate)

    def _train(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray, strata: Any = None) -> Self:
        """Train anew; y is (n,) labels or (n, targets) numbers, in their own units."""
        where = type(self).__name__
        check_count(where, "members", self.members)
        check_count(where, "epochs", self.epochs)
        if self.early_stopping and not 0 < self.validation_fraction < 1:
            raise ValueError(
                f"{where}: validation_fraction must be in (0, 1), got"
                f" {self.validation_fraction!r}; 0.1 holds out a tenth of the rows"
            )
        if self.early_stopping and self.members > 1:
            raise ValueError(
                f"{where}: members={self.members} train in one program for all epochs;"
                " early_stopping must be False"
            )
        random = check_random_state(self.random_state)
        key = jax.random.key(random.randint(2**31 - 1))
        used = weight > 0  # a row without weight is no row
        x, y, weight = x[used], y[used], weight[used]
        self._learned = Learned({}, {}, {}, self._scaling(x, y, weight))
        rows, held_out = np.arange(len(x)), None
        if self.early_stopping:
            strata = _strata(strata[used], self.validation_fraction) if strata is not None else None
            rows, others = train_test_split(
                rows, test_size=self.validation_fraction, random_state=random, stratify=strata
            )
            held_out = self._scaled(x[others], y[others], weight[others])
        data = self._scaled(x[rows], y[rows], weight[rows])
        if self.members > 1:
            return self._train_members(data, key)
        return self._advance(data, key, held_out, self.epochs)

    def _advance(
        self, data: Any, key: jax.Array, held_out: Any, epochs: int, start: Any = None
    ) -> Self:
        """Train by `fnn.fit`, from fresh parameters or from a train state."""
        net, optimizer = self._parts()
        done = fit(
            net,
            *data,
            loss=parts.weighted(self._loss()),
            optimizer=optimizer,
            key=key,
            epochs=epochs,
            batch_size=self._batch_size(len(data[0])),
            validation=held_out,
            stop=[] if held_out is None else stop.patience(self.patience),
            start=start,
            progress=False,
        )
        if "not finite" in done.stopped:
            warnings.warn(f"{type(self).__name__}: {done.stopped}", ConvergenceWarning, 3)
        if start is not None:
            self.loss_curve_ = [*self.loss_curve_, *done.history["loss"].tolist()]
        else:
            self.loss_curve_ = done.history["loss"].tolist()
            self.validation_loss_curve_ = done.history.get("val_loss", np.zeros(0)).tolist()
        self.n_iter_ = max(1, len(self.loss_curve_))
        learned = (done.params, done.state) if start is None else _last(done)
        self._learned = self._learned._replace(params=learned[0], state=learned[1], last=done.last)
        return self

    def _train_members(self, data: Any, key: jax.Array) -> Self:
        """Train an ensemble by `fnn.train.ensemble`."""
        net, optimizer = self._parts()
        n, batch = len(data[0]), self._batch_size(len(data[0]))
        found = ensemble(
            key,
            net,
            *data,
            loss=parts.weighted(self._loss()),
            optimizer=optimizer,
            members=self.members,
            steps=self.epochs * math.ceil(n / (batch or n)),
            batch_size=batch,
            checks=self.epochs,
        )
        self.loss_curve_ = np.asarray(found.losses).mean(0).tolist()
        self.validation_loss_curve_, self.n_iter_ = [], self.epochs
        self._learned = self._learned._replace(params=found.params, state=found.state)
        return self

    def _more(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray, fresh: bool) -> Self:
        """One pass over these rows, from where training stands; the first call's scaling stays."""
        if self.members > 1:
            raise ValueError(
                f"{type(self).__name__}: partial_fit trains one network, got"
                f" members={self.members}; use fit"
            )
        used = weight > 0
        x, y, weight = x[used], y[used], weight[used]
        key = jax.random.key(check_random_state(self.random_state).randint(2**31 - 1))
        if fresh:
            self._learned = Learned({}, {}, {}, self._scaling(x, y, weight))
        start = None if fresh else self._learned.last
        return self._advance(self._scaled(x, y, weight), key, None, 1, start)

    def _batch_size(self, n: int) -> int | None:
        return None if self.batch_size is None else min(self.batch_size, n)

    def _scaling(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
        targets = y.shape[1] if y.ndim == 2 else 1
        found = {"x_mean": np.zeros(x.shape[1]), "x_scale": np.ones(x.shape[1])}
        found |= {"y_mean": np.zeros(targets), "y_scale": np.ones(targets)}
        if self.standardise:
            found["x_mean"], found["x_scale"] = parts.weighted_scaling(x, weight)
            if y.ndim == 2:
                found["y_mean"], found["y_scale"] = parts.weighted_scaling(y, weight)
        return found

    def _scaled(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Any:
        """(x, (y, weight)) as the network sees them: standardised, and weights of mean 1."""
        scaling = self._learned.scaling
        if y.ndim == 2:
            y = ((y - scaling["y_mean"]) / scaling["y_scale"]).astype(np.float32)
        return self._inputs(x), (y, (weight / weight.mean()).astype(np.float32))

    def _inputs(self, x: np.ndarray) -> np.ndarray:
        scaling = self._learned.scaling
        return ((x - scaling["x_mean"]) / scaling["x_scale"]).astype(np.float32)

    def _predicted(self, X: Any) -> np.ndarray:
        """The network's outputs, (members, n, outputs) for one network, too."""
        check_is_fitted(self, "_learned")
        x: Any = validate_data(self, X, dtype=np.float64, reset=False)
        learned, many = self._learned, self.members > 1
        net = self._parts()[0]
        found = parts.predicted(net, learned.params, learned.state, self._inputs(x), many)
        return found if many else found[None]

    def _like(self) -> Learned:
        net, optimizer = self._parts()
        return state.like(net, optimizer, self.n_features_in_, self._targets(), self.members)

    def _targets(self) -> int:
        return 1

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_learned")

    def __getstate__(self) -> dict[str, Any]:
        found: dict[str, Any] = {**super().__getstate__()}  # type: ignore[dict-item]
        if "_learned" in found:
            found["_learned"] = state.to_bytes(found["_learned"])
        return found

    def __setstate__(self, found: dict[str, Any]) -> None:
        data = found.get("_learned")
        super().__setstate__({name: value for name, value in found.items() if name != "_learned"})
        if data is not None:
            self._learned = state.from_bytes(data, self._like())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator as one safetensors file: arrays and JSON, no code.

        Settings that JSON cannot hold, such as a network or a function, are left out; give them to
        `load` again.
        """
        check_is_fitted(self, "_learned")
        settings = {k: v for k, v in self.get_params(deep=False).items() if _is_json(v)}
        kept = {name: getattr(self, name) for name in _KEPT if hasattr(self, name)}
        arrays = {
            name: {"values": getattr(self, name).tolist(), "dtype": getattr(self, name).dtype.str}
            for name in ("classes_", "feature_names_in_")
            if hasattr(self, name)
        }
        note = {"kind": type(self).__name__, "settings": settings, "kept": kept, "arrays": arrays}
        flat = {"_flat_y": getattr(self, "_flat_y", True)}
        state.save(path, self._learned, {**note, "own": flat})

    @classmethod
    def load(cls, path: str | os.PathLike[str], **settings: Any) -> Self:
        """The estimator that `save` wrote.

        Args:
          path: the file.
          **settings: settings that the file could not hold: `net`, `optimizer`, functions.

        Raises:
          ValueError: if the file holds another kind of estimator.
          CheckpointError: if it is damaged, or the settings do not fit its arrays.
        """
        note = checkpoint.describe(path).note
        if note.get("kind") != cls.__name__:
            raise ValueError(
                f"{cls.__name__}.load: {path} holds {note.get('kind')!r};"
                " load it with the class that saved it"
            )
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in note["settings"].items()}
        found = cls(**{**given, **settings})
        for name, value in {**note["kept"], **note["own"]}.items():
            setattr(found, name, value)
        for name, array in note["arrays"].items():
            setattr(found, name, np.array(array["values"], np.dtype(array["dtype"])))
        found._learned = checkpoint.load(path, like=found._like())
        return found


def _last(done: Any) -> tuple[Any, Any]:
    from fnn.optim import eval_params

    return eval_params(done.last.opt_state, done.last.params), done.last.state


def _strata(labels: np.ndarray, fraction: float) -> Any:
    """The labels, if every class has rows enough for both parts; None otherwise."""
    counts = np.unique(labels, return_counts=True)[1]
    n, classes = len(labels), len(counts)
    part = math.ceil(n * fraction) if isinstance(fraction, float) else int(fraction)
    return labels if counts.min() >= 2 and classes <= part <= n - classes else None


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, dict) or all(isinstance(k, str) for k in value)
