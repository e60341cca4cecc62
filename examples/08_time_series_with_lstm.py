"""Sunspots of the next year, by an LSTM that reads all years before it.

    python examples/08_time_series_with_lstm.py [picture.png]

The years before 1931 train; those from 1931 on are looked at once, at the end. Two rivals that need
no network stand beside it: next year as this year, and a weighted sum of the last nine years. The
settings below were chosen on the years 1891 to 1930 with nets trained on those before.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn.layers import dense, lstm_cell, recurrent

FIRST_TEST_YEAR, WINDOW, WARM_UP, NETS, STEPS = 1931, 44, 10, 8, 300

year, number = fnn.datasets.sunspots()

# Counts vary in proportion to their root, so roots vary evenly: what a squared error likes.
series = jnp.sqrt(number) / 10

# Every window of 44 years and, one year on, what it should say after each of them. The first years
# of a window have too little past to be judged by.
starts = jnp.arange(len(series) - WINDOW)
windows = series[starts[:, None] + jnp.arange(WINDOW + 1)]  # (windows, years)
train = windows[year[WINDOW:] < FIRST_TEST_YEAR, :, None]
x, y = train[:, :-1], train[:, 1:]

net = fnn.serial(recurrent(lstm_cell(16)), dense(1))


def loss(prediction, target):
    return fnn.losses.squared_error(prediction[:, WARM_UP:], target[:, WARM_UP:])


def forecast(key):
    """Train a net, then let it read the whole series: what it said one year ahead of each."""
    rate = fnn.optim.schedules.one_cycle(1e-2, steps=STEPS)
    trained, _ = fnn.train.run(
        key, net, x, y, loss=loss, optimizer=fnn.optim.adam(rate), steps=STEPS, batch_size=32
    )
    said = fnn.predict(net, trained.params, trained.state, series[None, :-1, None])[0, :, 0]
    return jnp.maximum(said * 10, 0) ** 2


# A training run is a pure function of its key: vmap trains eight nets side by side.
forecasts = np.asarray(jax.jit(jax.vmap(forecast))(jax.random.split(jax.random.key(0), NETS)))

year, number = np.asarray(year)[1:], np.asarray(number)  # the first year has no forecast
past = np.stack([number[8 - lag : -1 - lag] for lag in range(9)], 1)  # the nine years before
past = np.concatenate([past, np.ones((len(past), 1))], 1)
known = year[8:] < FIRST_TEST_YEAR
weights = np.linalg.lstsq(past[known], number[9:][known], rcond=None)[0]
told = {
    "as this year": number[:-1],
    "nine years, least squares": np.concatenate([np.full(8, np.nan), past @ weights]),
    "one LSTM (mean of 8)": forecasts,
    "eight LSTMs, averaged": forecasts.mean(0),
}

test = year >= FIRST_TEST_YEAR
print(f"root mean squared error in sunspots, {FIRST_TEST_YEAR} to {year[-1]}, one year ahead")
errors = {}
for name, values in told.items():
    squares = np.square(values[..., test] - number[1:][test])
    errors[name] = np.sqrt(squares.mean(-1)).mean()
    print(f"  {name:26s} {errors[name]:5.1f}")
print("(230 years are few: a straight line through nine of them is a strong rival)")
assert errors["eight LSTMs, averaged"] < 0.7 * errors["as this year"]

if len(sys.argv) > 1:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 3.5), layout="constrained")
    axes.plot(year[test], number[1:][test], "k.-", label="counted")
    axes.fill_between(
        year[test],
        forecasts.min(0)[test],
        forecasts.max(0)[test],
        alpha=0.3,
        label="eight LSTMs, least to greatest",
    )
    axes.plot(year[test], told["eight LSTMs, averaged"][test], label="their mean")
    axes.plot(year[test], told["nine years, least squares"][test], ":", label="nine years")
    axes.set(xlabel="year", ylabel="sunspots", title="One year ahead, in years never trained on")
    axes.set_ylim(0, 230)  # room for the legend
    axes.legend(fontsize="small", ncols=4, loc="upper center")
    figure.savefig(sys.argv[1], dpi=120)
    print(f"written: {sys.argv[1]}")
