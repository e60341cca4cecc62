"""`load(name)`: a data set with its split, what its columns mean, and where it comes from."""

import difflib
import inspect
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn import data
from fnn.datasets import generators


class Dataset(NamedTuple):
    """A data set in two parts, and what is known about it."""

    x_train: jax.Array
    y_train: jax.Array
    x_test: jax.Array
    y_test: jax.Array
    name: str
    task: str  # "classification" or "regression"
    classes: tuple[str, ...] = ()  # names of the classes by id; empty for regression
    features: tuple[str, ...] = ()  # names of the columns of x; empty for images
    description: str = ""
    source: str = ""
    licence: str = ""

    def __repr__(self) -> str:
        shape, kind = self.x_train.shape[1:], f"{len(self.classes)} classes"
        return (
            f"Dataset({self.name!r}: {self.task}, {len(self.x_train)} training and"
            f" {len(self.x_test)} test examples of shape {shape},"
            f" {kind if self.classes else 'numbers'})"
        )

    def standardized(self) -> "Dataset":
        """The same set, inputs scaled by mean and deviation of the training part (per feature).

        >>> line = load("linear").standardized()
        >>> abs(float(line.x_train.mean())) < 1e-6
        True
        """
        x_train, x_test = data.standardize(self.x_train, self.x_test)
        return self._replace(x_train=x_train, x_test=x_test)


# name: (task, what it is, source, licence) of what scikit-learn carries
_SKLEARN = {
    "digits": (
        "classification",
        "1,797 handwritten digits of 13 people, 8x8 pixels from 0 to 1",
        "Alpaydin & Kaynak 1998, https://doi.org/10.24432/C50P49",
        "CC BY 4.0",
    ),
    "iris": (
        "classification",
        "150 irises of three species: length and width of sepal and petal in cm",
        "Fisher 1936, https://doi.org/10.24432/C56C76",
        "CC BY 4.0",
    ),
    "wine": (
        "classification",
        "178 wines of three growers: 13 chemical measurements",
        "Aeberhard & Forina 1992, https://doi.org/10.24432/C5PC7J",
        "CC BY 4.0",
    ),
    "breast_cancer": (
        "classification",
        "569 tumours, malignant or benign: 30 measurements of cell nuclei",
        "Wolberg et al. 1993, https://doi.org/10.24432/C5DW2B",
        "CC BY 4.0",
    ),
    "diabetes": (
        "regression",
        "442 patients: ten measurements (centred and scaled) and the disease a year later",
        "Efron et al. 2004, https://doi.org/10.1214/009053604000000067",
        "not stated; distributed with scikit-learn",
    ),
}

_REGRESSION = ("linear", "sine", "quadratic")
_GENERATORS = (
    "xor", "spirals", "moons", "circles", "blobs", "checkerboard", *_REGRESSION,
)  # fmt: skip


def names() -> tuple[str, ...]:
    """The names that `load` knows.

    >>> names()[:3]
    ('mnist', 'digits', 'iris')
    """
    return ("mnist", *_SKLEARN, *_GENERATORS)


def load(name: str, *, key: jax.Array | None = None, **options: Any) -> Dataset:
    """A data set by name, split into a training and a test part; never needs the network.

    `mnist` is 10,000 true digits, (28, 28, 1) pixels from 0 to 1, of which the first 9,000 train
    and the last 1,000 test. This split is the package's own: compare no result with published ones.
    Of the sets that scikit-learn carries and of those made from a key a fifth of the examples test,
    drawn at random, evenly from each class. Inputs come as they are; `.standardized()` scales them.

    Args:
      name: one of `names()`.
      key: for a generator decides the examples and the split, for a set of scikit-learn's the
        split; None is `jax.random.key(0)`.
      **options: of a generator: n, noise and its own, see there.

    Returns:
      `Dataset`: x float32, y int32 class ids or float32 numbers.

    Raises:
      ValueError: if the name is unknown, or a key is given for `mnist`, whose split is fixed.
      TypeError: if an option is not the set's.
      ImportError: if a set of scikit-learn's is asked for and scikit-learn is missing.

    >>> load("moons", n=100, noise=0.2)
    Dataset('moons': classification, 80 training and 20 test examples of shape (2,), 2 classes)
    """
    if name not in names():
        near = difflib.get_close_matches(str(name), names(), 1, 0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(
            f"datasets.load: unknown data set {name!r}; {hint}there are {', '.join(names())};"
            " datasets.read(path) reads files"
        )
    known = {}
    if name in _GENERATORS:
        known = inspect.signature(getattr(generators, name)).parameters
    if strange := [option for option in options if option not in known or option == "key"]:
        told = f"its options are {', '.join(list(known)[1:])}" if known else "it has no options"
        raise TypeError(f"datasets.load: {name!r} has no option {strange[0]!r}; {told}")
    if name == "mnist":
        if key is not None:
            raise ValueError(
                "datasets.load: the split of 'mnist' is fixed and takes no key;"
                " for another use fnn.data.split"
            )
        return _mnist()
    key = jax.random.key(0) if key is None else key
    return _of_sklearn(name, key) if name in _SKLEARN else _made(name, key, options)


def _mnist() -> Dataset:
    with np.load(pathlib.Path(__file__).with_name("mnist_10k.npz")) as file:
        x = jnp.asarray(file["images"][..., None].astype(np.float32) / np.float32(255))
        y = jnp.asarray(file["labels"].astype(np.int32))
    return Dataset(
        x[:9000],
        y[:9000],
        x[9000:],
        y[9000:],
        name="mnist",
        task="classification",
        classes=tuple("0123456789"),
        description="10,000 handwritten digits of MNIST, 28x28 pixels from 0 to 1, shuffled once",
        source="LeCun, Cortes & Burges, http://yann.lecun.com/exdb/mnist/",
        licence="MIT, of the packaging that these 10,000 come from",
    )


def _of_sklearn(name: str, key: jax.Array) -> Dataset:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError(
            f"datasets.load: {name!r} is carried by scikit-learn, which is not installed;"
            " pip install 'fnn[datasets]' or pip install scikit-learn"
        ) from error
    task, description, source, licence = _SKLEARN[name]
    bunch = getattr(datasets, f"load_{name}")()
    regression = task == "regression"
    x = bunch.data.astype(np.float32)
    features = tuple(str(f) for f in bunch.feature_names)
    if name == "digits":
        x, features = x.reshape(-1, 8, 8, 1) / np.float32(16), ()
    y = bunch.target.astype(np.float32 if regression else np.int32)
    train, test = data.split(key, x, y, stratify=not regression)
    classes = () if regression else tuple(str(c) for c in bunch.target_names)
    return Dataset(
        *train, *test, name, task, classes, features, description, source, licence
    )  # fmt: skip


def _made(name: str, key: jax.Array, options: dict[str, Any]) -> Dataset:
    make = getattr(generators, name)
    x, y = make(key, **options)
    regression = name in _REGRESSION
    train, test = data.split(jax.random.fold_in(key, 1), x, y, stratify=not regression)
    classes = () if regression else tuple(str(c) for c in range(int(y.max()) + 1))
    return Dataset(
        *train,
        *test,
        name=name,
        task="regression" if regression else "classification",
        classes=classes,
        features=tuple(f"x{i}" for i in range(x.shape[1])),
        description=(make.__doc__ or "").partition("\n")[0],
        source=f"fnn.datasets.{name}",
        licence="made from a key",
    )
