"""A table with its target, as training wants it: what is to be told, classes as numbers, units."""

from typing import Any, NamedTuple

import numpy as np

FEW = 20  # integers of at most so many values are classes


class Problem(NamedTuple):
    """A data set, checked.

    Attributes:
      x: (n, d) float32, as given.
      y: (n,) int32 classes from 0, or float32 numbers in units of their standard deviation.
      classes: the labels of the classes in order; None in regression.
      mean, unit: of y in regression, to go back by; 0 and 1 in classification.
    """

    x: np.ndarray
    y: np.ndarray
    classes: np.ndarray | None
    mean: float
    unit: float

    @property
    def outputs(self) -> int:
        """How many a network for it has."""
        return 1 if self.classes is None else len(self.classes)

    @property
    def task(self) -> str:
        """ "classification" or "regression"."""
        return "regression" if self.classes is None else "classification"


class Scaling(NamedTuple):
    """What is taken from each input and what it is divided by, from the rows a net trained on.

    Attributes:
      mean, scale: (d,) of the inputs; the scale of a column without variation is 1.
      y_mean, y_scale: of the target in regression; 0 and 1 in classification.
    """

    mean: Any
    scale: Any
    y_mean: Any = 0.0
    y_scale: Any = 1.0

    def __call__(self, x: Any) -> np.ndarray:
        """The inputs as the net wants them."""
        return ((np.asarray(x, np.float32) - self.mean) / self.scale).astype(np.float32)


def task_of(y: Any) -> str:
    """Whether a target is to be classified or regressed.

    Text and booleans are classes, and so are whole numbers (of an integer type) of at most 20
    values, fewer than half of the rows; any target of two values is.

    >>> task_of([0.5, 1.5, 2.0]), task_of(["a", "b"]), task_of([0, 1, 2] * 5)
    ('regression', 'classification', 'classification')
    """
    y = np.asarray(y)
    if y.dtype.kind not in "iuf":
        return "classification"
    values = len(np.unique(y))
    if values == 2 or (y.dtype.kind in "iu" and values <= FEW and 2 * values <= len(y)):
        return "classification"
    return "regression"


def make_problem(x: Any, y: Any, *, task: str | None = None, where: str = "select") -> Problem:
    """The problem of a table and its target.

    Args:
      x: (n, d) finite numbers.
      y: (n,) or (n, 1): labels of any kind, or finite numbers.
      task: "classification" or "regression"; None finds out by `task_of`.
      where: who asks, for the errors.

    Raises:
      ValueError: if shapes do not fit, something is missing, or y is the same everywhere.
    """
    try:
        x, y = np.asarray(x), np.asarray(y)
    except ValueError as error:
        raise ValueError(
            f"{where}: X and y must be tables of numbers, but rows differ in length ({error}); make"
            " each row as long as the others"
        ) from error
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if x.ndim != 2 or y.ndim != 1 or len(x) != len(y) or not x.size:
        raise ValueError(
            f"{where}: X must be (rows, columns) and y (rows,), got {x.shape} and {y.shape}; of one"
            " column make x[:, None], and select each target by itself"
        )
    if x.dtype.kind not in "biuf" or not np.isfinite(x).all():
        raise ValueError(
            f"{where}: X must be finite numbers, got {_trouble(x)}; fill what is missing and encode"
            " text first, such as by scikit-learn's SimpleImputer and OneHotEncoder"
        )
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{where}: y must not have NaN or infinity in it; drop those rows")
    task = task_of(y) if task is None else task
    if task not in ("classification", "regression"):
        raise ValueError(f"{where}: task must be 'classification' or 'regression', got {task!r}")
    if len(np.unique(y)) < 2:
        raise ValueError(
            f"{where}: y is the same in all {len(y)} rows, expected two values or"
            " more: there is nothing to learn; take another target"
        )
    x = x.astype(np.float32)
    if task == "classification":
        classes, index = np.unique(y, return_inverse=True)
        return Problem(x, index.reshape(-1).astype(np.int32), classes, 0.0, 1.0)
    if y.dtype.kind not in "biuf":
        raise ValueError(f"{where}: a target to regress must be numbers, got {y.dtype}")
    mean, unit = float(np.mean(y, dtype=float)), float(np.std(y, dtype=float))
    return Problem(x, ((y - mean) / unit).astype(np.float32), None, mean, unit)


def scaling_of(x: np.ndarray) -> Scaling:
    """The mean and standard deviation of each column, those of the rows given.

    >>> scaling_of(np.array([[1.0, 5.0], [3.0, 5.0]])).scale.tolist()
    [1.0, 1.0]
    """
    mean, scale = x.mean(0, dtype=float), x.std(0, dtype=float)
    scale = np.where(scale > 1e-7 * np.maximum(np.abs(mean), 1e-30), scale, 1.0)
    return Scaling(mean.astype(np.float32), scale.astype(np.float32))


def _trouble(x: np.ndarray) -> str:
    return f"values of {x.dtype}" if x.dtype.kind not in "biuf" else "NaN or infinity"
