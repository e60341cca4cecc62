"""Where the first NaN or infinity of a training step appears: in a layer, the loss, a gradient.

One batch goes through the step once more, with a probe at the input and the output of every layer
and at both of their gradients (see `fnn.inspect.probe`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from fnn import trees
from fnn.core import Layer, as_jax
from fnn.inspect.probe import Probe, Prober
from fnn.inspect.replay import Seen, replay
from fnn.inspect.summary import walk
from fnn.inspect.watch import Trace, Watched

_LARGE = 1e4  # from here on an input is called large: its square is beyond float16, its exp float32


@dataclass(frozen=True)
class Fault:
    """The first numbers of a training step that are not finite; `print` it for the sentence.

    Attributes:
      place: "given" (parameters, state or data, before anything ran), "forward", "loss", or
        "backward".
      path: of the layer, such as "body/dense_0", "" for the network itself; of the array if it was
        given; of the parameter if its gradient alone is bad.
      what: which numbers they are, in words.
      nans: how many are NaN.
      infs: how many are infinite.
      size: how many there are in all.
      low: the smallest finite number that went in: into the layer, or of the gradient that came to
        it from above; nan if none is known.
      high: the largest.
      cure: what to do.
    """

    place: str
    path: str
    what: str
    nans: int
    infs: int
    size: int
    low: float
    high: float
    cure: str

    def where(self) -> str:
        """Where it was and how many, without the cure."""
        kinds = ((self.nans, "NaN"), (self.infs, "infinite"))
        bad = " and ".join(f"{n} {kind}" for n, kind in kinds if n)
        noun = "a gradient" if self.place == "backward" else "input"
        span = f", from finite {noun} in [{self.low:.3g}, {self.high:.3g}]"
        return f"{self.what}: {bad} of {self.size} numbers{'' if self.low != self.low else span}"

    def __str__(self) -> str:
        return f"{self.where()}; {self.cure}"


def first_nonfinite(
    net: Layer,
    params: Any,
    state: Any,
    x: Any,
    y: Any,
    loss: Callable[[Any, Any], jax.Array],
    *,
    key: Any = None,
    train: bool = True,
    penalty: Callable[[Any], jax.Array] | None = None,
) -> Fault | None:
    r"""Say where the first NaN or infinity of a training step appears: which layer, and which way.

    The batch goes forward through the network and the loss, and its gradient backward,

    .. math:: J = \operatorname{mean}_i L(f_\theta(x_i), y_i) + R(\theta), \qquad \nabla_\theta J

    in one compiled program that is made for this call and shows the input, the output and both
    gradients of every layer.

    Args:
      net: the network.
      params: its parameters, as they were before the step.
      state: its state, likewise.
      x: the batch's inputs.
      y: its targets.
      loss: `loss(prediction, y)` -> one number per example; the mean is taken here.
      key: for what is random: `fold_in(key_for(train_state.key, "layers"), step)` in a train step.
      train: whether the network runs as it trains.
      penalty: R, a function of the parameters alone.

    Returns:
      The `Fault`, or None if every number is finite, gradients among them. Compiled otherwise than
      the step itself, it may miss what overflows by a hair.

    >>> from fnn import layers, losses, serial
    >>> net = serial(layers.dense(2), jnp.log, layers.dense(1))
    >>> x, y = jnp.zeros((3, 2)), jnp.zeros((3, 1))
    >>> params, state = net.init(jax.random.key(0), x)
    >>> fault = first_nonfinite(net, params, state, x, y, losses.squared_error)
    >>> fault.place, fault.path, fault.infs
    ('forward', 'log_1', 6)
    """
    x, y = as_jax(x), as_jax(y)
    given = {"params": params, "state": state, "x": x, "y": y}
    for path, a in trees.paths(given).items():
        if jnp.issubdtype(jnp.result_type(a), jnp.floating) and not bool(trees.all_finite(a)):
            return _given(path, jnp.asarray(a))
    prober: Any = Prober()

    def objective(params, state, x, y, key):
        y_hat, _ = net.apply(Watched(params, "", prober), state, x, key=key, train=train)
        losses = prober.probe(loss(y_hat, y), "", "loss")
        value = jnp.mean(losses, dtype=trees.wide(losses.dtype))
        return prober.probe(value if penalty is None else value + penalty(params), "", "mean loss")

    def step(*args):
        grads = jax.grad(objective)(*args)
        for path, g in trees.paths(grads).items():
            prober.probe(g, path, "gradient")
        return grads

    args = (params, state, x, y, key)
    trace = Trace(jax.make_jaxpr(step)(*args), [])
    seen = replay(trace, args, lambda number, a: _counted(a))
    kinds = {path: layer.name for path, _, layer in walk(net)}
    return _first(seen, prober.probes, kinds)


def _counted(a: jax.Array) -> dict[str, jax.Array]:
    good = jnp.isfinite(a)
    wide = a.astype(trees.wide(a.dtype))
    return {
        "nans": jnp.isnan(a).sum(),
        "infs": jnp.isinf(a).sum(),
        "size": jnp.asarray(a.size),
        "low": jnp.where(good, wide, jnp.inf).min(initial=jnp.inf),
        "high": jnp.where(good, wide, -jnp.inf).max(initial=-jnp.inf),
    }


def _given(path: str, a: jax.Array) -> Fault:
    """The fault of what was bad before anything ran."""
    kind, _, rest = path.partition("/")
    cure = {
        "params": "an earlier step made them so: look at the one before, or load a checkpoint",
        "state": "an earlier batch made it so: look at the one before, or load a checkpoint",
    }.get(kind, "clean the data: drop or fill these values")
    where = f"{kind} '{rest}'" if rest else kind
    return Fault("given", rest, f"{where}, before anything ran", **_numbers(a), cure=cure)


def _numbers(a: jax.Array) -> dict[str, Any]:
    found = {name: int(value) for name, value in list(_counted(a).items())[:3]}
    return {**found, "low": float("nan"), "high": float("nan")}


def _first(seen: list[Seen], probes: list[Probe], kinds: dict[str, str]) -> Fault | None:
    """The fault of the first probe, in the order of running, that saw one."""
    latest: dict[tuple[str, bool], Seen] = {}  # what last went into a layer, either way
    bad_gradient = None
    for one in seen:
        probe = probes[one.number]
        enters = probe.at == ("output" if probe.backward else "input")
        if enters:
            latest[probe.path, probe.backward] = one
        if not one.value["nans"] + one.value["infs"]:
            continue
        if probe.at == "gradient":  # a parameter's: they are computed all along, and seen last
            bad_gradient = bad_gradient or one
            continue
        return _fault(one, probe, latest.get((probe.path, probe.backward)), enters, kinds)
    if bad_gradient is None:
        return None
    probe = probes[bad_gradient.number]
    owner = max((p for p in kinds if p == "" or f"{probe.path}/".startswith(f"{p}/")), key=len)
    came = latest.get((owner, True))
    what = f"in the backward pass, the gradient of the parameter '{probe.path}'"
    cure = "the gradient of this parameter alone overflows: scale its layer's input or output down"
    return Fault("backward", probe.path, what, **_told(bad_gradient, came), cure=cure)


def _fault(
    one: Seen, probe: Probe, entered: Seen | None, enters: bool, kinds: dict[str, str]
) -> Fault:
    layer = f"'{probe.path}' ({kinds.get(probe.path, 'layer')})" if probe.path else "the network"
    turn = f", turn {one.turns[-1]} of its loop" if one.turns else ""
    place = "backward" if probe.backward else "forward"
    if "loss" in probe.at:
        place = "backward" if probe.backward else "loss"
        what = f"in the {'gradient of the ' if probe.backward else ''}{probe.at}"
        numbers = _told(one, None)
        return Fault(place, "", what, **numbers, cure=_LOSS_CURE)
    if enters and probe.backward:
        above = "the loss" if not probe.path else f"what follows {layer}"
        what = f"in the backward pass, the gradient that {above} gives{turn}"
        numbers, cure = _told(one, None), _LOSS_CURE if not probe.path else _SLOPE_CURE
    elif enters:
        what = f"in the forward pass, what {layer} is given by the layers around it{turn}"
        numbers, cure = _told(one, None), _LARGE_CURE
    else:
        side = "gradient at the input" if probe.backward else "output"
        what = f"in the {place} pass, the {side} of {layer}{turn}"
        numbers = _told(one, entered)
        large = max(abs(numbers["low"]), abs(numbers["high"])) >= _LARGE
        cure = _LARGE_CURE if large else _SLOPE_CURE if probe.backward else _FORMULA_CURE
    return Fault(place, probe.path, what, **numbers, cure=cure)


_LARGE_CURE = "numbers grew too large: take a smaller learning rate, clip gradients or add a norm"
_FORMULA_CURE = "look at its formula: a logarithm, a root or a division wants its input held off 0"
_SLOPE_CURE = (
    "look at its slope: sqrt, norm, log and where have none at 0; add a small number inside"
)
_LOSS_CURE = "look at the targets and the loss: does it take logits, and are labels in range"


def _told(one: Seen, entered: Seen | None) -> dict[str, Any]:
    found = {name: int(one.value[name]) for name in ("nans", "infs", "size")}
    if entered is None or not entered.value["low"] <= entered.value["high"]:
        return {**found, "low": float("nan"), "high": float("nan")}
    return {**found, **{name: float(entered.value[name]) for name in ("low", "high")}}
