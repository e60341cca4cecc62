"""A training session of one page, and its frames: steps are taken when the page asks for them."""

import threading
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from fnn.play.setting import Setting, check_frame, check_rates
from fnn.play.training import GRID, THIN, Data, Programs, data_of, programs, shape_of


@dataclass
class Session:
    """What a page trains: a setting, its data, and a train state for each optimizer."""

    setting: Setting
    data: Data
    programs: Programs
    states: Any
    lock: Any = field(default_factory=threading.Lock)  # frames of one session come one by one


def open_session(setting: Setting) -> Session:
    """A session at its start: every optimizer has the same weights and has seen nothing.

    >>> session = open_session(Setting(hidden=(2,), optimizers=(("sgd", 0.1),)))
    >>> session.data.x.shape
    (400, 2)
    """
    made = programs(shape_of(setting))
    data = data_of(setting)
    rates = [rate for _, rate in setting.optimizers]
    states = made.start(jax.random.key(setting.seed), data.x, rates)
    return Session(setting, data, made, states)


def describe(session: Session) -> dict[str, Any]:
    """What the page must know to read this session's frames, as JSON can say it."""
    setting, data = session.setting, session.data
    shape = shape_of(setting)
    return {
        "setting": setting._asdict(),
        "widths": shape.widths,
        "numbers": shape.numbers,
        "grid": GRID,
        "small": GRID // THIN,
        "half": float(data.half),
        "train": setting.train_size,
        "points": np.asarray(data.points, np.float64).round(4).tolist(),
        "targets": np.asarray(data.y[:, 0], np.float64).round(4).tolist(),
    }


def frame(session: Session, *, steps: int, rates: Any = None, strength: Any = None) -> bytes:
    """Take steps and look: a page's frame as bytes.

    Args:
      session: what trains; its states move on.
      steps: how many, from 0 to 1000.
      rates: a learning rate for each optimizer, as it is now; those of the setting by default.
      strength: of the penalty, as it is now; that of the setting by default.

    Returns:
      Steps done as int32; then float32: for each optimizer three losses, for each its weights; then
      uint8: for each its output, for each its neurons. All little-endian, as in `training.Look`.

    Raises:
      ValueError: for steps, rates or a strength that cannot be.
    """
    setting = session.setting
    if rates is None:
        rates = [rate for _, rate in setting.optimizers]
    strength = setting.strength if strength is None else strength
    check_frame(steps, strength)
    rates = check_rates(rates, len(setting.optimizers))
    with session.lock:
        states, look = session.programs.advance(
            session.states, session.data, rates, float(strength), steps
        )
        session.states = states
        done = np.asarray(states[0].step, "<i4")
        pieces = [done, *(np.asarray(a, "<f4") for a in look[:2]), *map(np.asarray, look[2:])]
    return b"".join(piece.tobytes() for piece in pieces)
