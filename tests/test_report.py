"""The report shows what was found, all of it, at two optimizers as at fifty."""

import dataclasses
import math
import re

import numpy as np
import pytest

from fnn.compare import compare
from fnn.compare.arena import Run
from fnn.compare.contestants import Contestant
from fnn.compare.files import PICTURES
from fnn.compare.findings import (
    budgets,
    chosen_loss,
    failures,
    one_a_name,
    paired,
    peers,
    ranking,
    sensitivity,
    settings_tried,
    time_to,
    verdict,
)
from fnn.compare.plan import look_steps
from fnn.compare.result import Comparison, Log, default_target, make_rows
from fnn.models import mlp
from fnn.optim import adam

RATES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
REFINE = (0.46, 2.2)
STEPS = 2000
NAMES = [
    "adamw", "nadamw", "adam", "soap", "muon", "adan", "ademamix", "schedule_free", "prodigy",
    "lion", "shampoo", "adopt", "lamb", "nadam", "amsgrad", "qhadam", "yogi", "radam", "adabelief",
    "novograd", "sophia", "adamax", "adafactor", "sm3", "rmsprop", "centered_rmsprop", "nesterov",
    "qhm", "aggmo", "momentum", "heavy_ball", "lars", "signum", "dog", "d_adaptation", "fromage",
    "asgd", "adagrad", "polyak_step", "sign_sgd", "gradient_centralised_sgd", "adadelta", "rprop",
    "sgd", "psgd",
]  # fmt: skip


def run(rng, rate, seed, best, noise, ends, *, diverges=False):
    """A run that might have been: an error that falls towards its floor."""
    ends = np.asarray(ends)
    floor = min(0.9, (1 - best) * math.exp(noise) * rng.lognormal(sigma=0.05))
    error = floor + (0.9 - floor) * np.exp(-6 * (ends / STEPS) ** 0.6)
    loss, val = 3 * error, 3.2 * error * rng.lognormal(sigma=0.03, size=len(ends))
    score, test = 1 - error, 1 - error * rng.lognormal(sigma=0.02, size=len(ends))
    if diverges:
        bad = ends > 0.4 * ends[-1]
        loss, val, score, test = (np.where(bad, np.nan, a) for a in (loss, val, score, test))
    return Run(rate, seed, ends, loss, val, score, test)


def entry(rng, name, place, by="fnn", *, seeds=5, peer_of=None):
    """All runs of one contestant: the further back its place, the worse."""
    best = 0.975 - 0.0012 * place - (0.3 if place == len(NAMES) - 2 else 0)
    ideal = 10 ** rng.uniform(-3.2, -0.5)
    width = rng.uniform(0.5, 1.5)
    log = Log(Contestant(name, by, adam))
    log.compile_seconds, log.step_us = rng.uniform(1, 3), list(300 * rng.lognormal(0.4, 0.1, 9))
    tried = [*RATES, *(ideal * f for f in REFINE)]
    for rate in tried:
        off = (math.log10(rate / ideal) / width) ** 2
        for seed in range(2):
            over = rate > 30 * ideal and rng.random() < 0.8
            log.tuning.append(
                run(rng, rate, seed, best - 0.02, min(off, 3), [STEPS // 3], diverges=over)
            )
    log.rate = ideal * REFINE[1]
    if peer_of is not None:
        log.races, log.path_distance = list(peer_of.races), 3e-6
        log.rate = peer_of.rate
        return log
    shared = [np.random.default_rng(seed).normal(scale=0.06) for seed in range(seeds)]
    log.races = [
        run(rng, log.rate, 2 + seed, best, shared[seed], look_steps(STEPS),
            diverges=name == "psgd" or (name == "rprop" and seed == 1))
        for seed in range(seeds)
    ]  # fmt: skip
    return log


def made(names=NAMES, *, peers_of=("adamw", "adam", "lion", "sgd"), seeds=5, complete=True):
    """A comparison that nobody ran."""
    rng = np.random.default_rng(0)
    logs = []
    for place, name in enumerate(names):
        logs.append(entry(rng, name, place, seeds=seeds))
        logs[-1].param_bytes = 4 * 101_770
        logs[-1].state_bytes = 4 * 101_770 * int(rng.integers(0, 4))
        if name in peers_of:
            logs[-1].path_distance = 3e-6
            logs.append(entry(rng, name, place, "optax", peer_of=logs[-1]))
    target = default_target(logs)
    settings = {
        "data": "mnist", "examples": {"train": 54000, "val": 6000, "test": 10000},
        "score": "accuracy", "net": "serial(flatten(), dense(128), relu(), dense(10))",
        "key": [0, 0], "epochs": 4.7, "batch_size": 128, "steps": STEPS, "tune_steps": STEPS // 3,
        "seeds": seeds, "tune_seeds": 2, "rates": RATES, "refine": REFINE, "walk_steps": 20,
        "walk_rate": 0.1,
    }  # fmt: skip
    machine = {"fnn": "0.1", "jax": "0.10.2", "cores": 2, "platform": "cpu", "device": "cpu",
               "devices": 2}  # fmt: skip
    seconds = {"tune": 400.0, "race": 600.0}
    return Comparison(make_rows(logs, target), logs, target, settings, machine, seconds, complete)


@pytest.fixture(scope="module")
def many():
    return made()


@pytest.fixture(scope="module")
def written(many, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    many.write(out)
    return out


def log_of(found, name, by="fnn"):
    return next(log for log in found.logs if log.contestant[:2] == (name, by))


def row_of(found, name, by="fnn"):
    return next(row for row in found.rows if (row.name, row.by) == (name, by))


def with_scores(*scores):
    """A contestant whose races ended at these test scores."""
    log, one = Log(Contestant("mine", "yours", adam)), np.ones(1)
    log.races = [Run(0.1, seed, one, one, one, one, np.array([s])) for seed, s in enumerate(scores)]
    return log


def test_a_rule_that_raced_twice_ranks_once(many):
    names = [log.contestant.name for log in one_a_name(many.logs)]
    assert names == NAMES
    ranked = ranking(many.logs)
    assert ranked is not None
    assert sorted(ranked.names) == sorted(NAMES)
    assert ranked.seeds == 5
    np.testing.assert_allclose(np.mean(ranked.ranks), (len(NAMES) + 1) / 2)
    assert row_of(many, "adam").rank == dict(zip(ranked.names, ranked.ranks, strict=True))["adam"]
    assert math.isnan(row_of(many, "adam", "optax").rank)


def test_a_rule_that_only_optax_has_ranks_too(many):
    logs = [log_of(many, "adam"), log_of(many, "lion", "optax"), log_of(many, "sgd")]
    assert [log.contestant.label for log in one_a_name(logs)] == [
        "adam (fnn)",
        "lion (optax)",
        "sgd (fnn)",
    ]
    assert not any(math.isnan(row.rank) for row in make_rows(logs, 0.9))


def test_ranks_count_the_seeds_that_all_have_run(many):
    logs = [log_of(many, name) for name in ("adam", "lion", "sgd")]
    short = Log(Contestant("short", "yours", adam), races=logs[0].races[1:4])
    ranked = ranking([*logs, short])
    assert ranked is not None
    assert ranked.seeds == 3
    short.races = logs[0].races[:1]
    assert ranking([*logs, short]) is None
    assert ranking(logs[:1]) is None


def test_differences_pair_equal_seeds():
    ours, theirs = with_scores(0.9, 0.8, 0.7), with_scores(0.8, 0.7, 0.6)
    theirs.races = theirs.races[::-1]
    found = paired(ours, theirs)
    np.testing.assert_allclose(found[:3], 0.1)
    theirs.races = theirs.races[:2]  # two seeds in common
    np.testing.assert_allclose(found.mean, 0.1)


def test_how_far_behind_is_measured_from_the_best(many):
    assert many.rows[0].behind == 0
    for row in many.rows:
        if math.isfinite(row.score):
            np.testing.assert_allclose(row.behind, many.rows[0].score - row.score, atol=1e-12)
            assert row.behind_low <= row.behind <= row.behind_high


def test_one_optimizer_under_two_names_is_no_better_than_itself():
    """Raced on seeds of their own: 12 comparisons of 6 seeds each, of which few may see more."""
    rng = np.random.default_rng(0)
    y = np.arange(300) % 2
    x = (rng.normal(size=(300, 3)) + y[:, None]).astype(np.float32)
    found = compare(
        (x, y), net=mlp(3, 2), optimizers=[{"one": adam, "other": adam}], peers=False, seeds=144,
        rates=(0.1,), refine=(), tune_seeds=1, epochs=0.5, batch_size=16, progress=False,
    )  # fmt: skip
    one, other = found.logs
    scores = [log.races[0].test_score[-1] for log in found.logs]
    assert scores[0] == scores[1]  # on equal seeds they are one run
    covered = 0
    for group in range(12):
        places = [12 * group + 2 * pair for pair in range(6)]
        left = Log(one.contestant, races=[one.races[i]._replace(seed=i) for i in places])
        right = Log(other.contestant, races=[other.races[i + 1]._replace(seed=i) for i in places])
        gap = paired(left, right)
        assert gap.low < gap.high
        covered += gap.low <= 0 <= gap.high
    assert covered >= 9  # fewer of 12, each 95 %, is one chance in 2000


def test_what_the_race_notes_of_failures_and_knobs_is_told(tmp_path):
    found = made(("adam", "broken"), peers_of=())
    log = found.logs[1]
    log.tuning, log.races = [], []
    log.failures = [("compile", "TypeError: no such knob")]
    found.logs[0].knobs = {"b1": 0.95, "b2": 0.99}
    found = Comparison(
        make_rows(found.logs, 0.9), found.logs, 0.9, dict(found.settings) | {"trials": 4},
        found.machine, found.seconds, complete=True,
    )  # fmt: skip
    found.write(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<td>compile</td><td>TypeError: no such knob</td>" in page
    assert "failed: compile" in page
    assert ">b1=0.95 b2=0.99</td>" in page
    assert "12 settings" in page
    assert "failed: compile" in str(found)


def test_sensitivity_is_drawn_at_the_knobs_that_most_rates_were_tried_with():
    one, usual, other = np.ones(1), {"b1": 0.9}, {"b1": 0.5}
    runs = [
        Run(rate, 0, one, one, np.array([loss]), one, one, knobs)
        for rate, loss, knobs in ((0.1, 3.0, usual), (1.0, 2.0, usual), (1.0, 1.0, other))
    ]
    log = Log(Contestant("mine", "yours", adam), tuning=runs, rate=1.0, knobs=other)
    assert [(point.rate, point.loss) for point in sensitivity(log)] == [(0.1, 3.0), (1.0, 2.0)]
    assert chosen_loss(log) == 1.0


def test_sensitivity_counts_the_runs_that_diverged_and_averages_the_rest():
    log, one, nan = Log(Contestant("mine", "yours", adam)), np.ones(1), np.full(1, np.nan)
    for rate, losses in {1.0: (one, nan), 0.1: (one, 3 * one), 10.0: (nan, nan)}.items():
        for seed, loss in enumerate(losses):
            log.tuning.append(Run(rate, seed, one, one, loss, one, one))
    low, middle, high = sensitivity(log)
    assert low == (0.1, 2, 1, 3, 2, 0)
    assert middle == (1.0, 1, 1, 1, 2, 1)
    assert (high.rate, high.runs, high.diverged) == (10.0, 2, 2)
    assert math.isnan(high.loss)


def test_a_setting_that_diverged_counts_as_the_worst_that_anyone_found(many):
    found = budgets(many.logs)
    every = [s for log in one_a_name(many.logs) for s in settings_tried(log) if math.isfinite(s)]
    for log in one_a_name(many.logs):
        tried = [s if math.isfinite(s) else min(every) for s in settings_tried(log)]
        curve = found[log.contestant.name]
        assert len(curve) == len(RATES) + len(REFINE)
        np.testing.assert_allclose(curve[0], np.mean(tried))
        assert curve[-1] <= max(tried)


def test_time_to_the_target_is_that_of_each_seed(many):
    found, row = time_to(log_of(many, "rprop"), many.target), row_of(many, "rprop")
    assert len(found.steps) == row.seeds == 5
    assert row.reached == found.reached < 5
    assert row.steps_high == math.inf


def test_a_peer_with_equal_runs_differs_from_ours_in_nothing(many):
    found = peers(many.logs)
    assert [peer.name for peer in found] == ["adamw", "adam", "lion", "sgd"]
    assert {peer.words for peer in found} == {"no difference: equal scores on every seed"}
    assert all(peer.gap[:3] == (0, 0, 0) for peer in found)


@pytest.mark.parametrize(
    ("ours", "theirs", "path", "words"),
    [
        ([0.9, 0.8], [0.9, 0.8], 1e-6, "no difference: equal scores on every seed"),
        ([0.9, 0.8, 0.7], [0.9, 0.7, 0.8], 1e-6, "no difference beyond rounding"),
        ([0.9, 0.8, 0.7], [0.9, 0.7, 0.8], 0.5, "no difference found"),
        ([0.9, 0.8, 0.7], [0.8, 0.71, 0.6], 0.5, "they differ"),
        ([0.9, 0.8, 0.7], [0.8, 0.71, 0.6], 1e-6, "paths agree to rounding, scores differ"),
        ([0.9, math.nan], [0.9, 0.8], 1e-6, "a run diverged: scores cannot be compared"),
        ([0.9], [0.8], 0.5, "one seed says nothing"),
        ([], [], 1e-6, "paths agree to rounding; no races"),
        ([], [], math.nan, "not run"),
    ],
)
def test_the_verdict_on_a_peer_follows_scores_and_paths(ours, theirs, path, words):
    assert verdict(ours, theirs, path) == words


def test_failures_name_who_where_and_how_many(many):
    told = failures(many.logs, 6)
    assert ("rprop (fnn)", "race", "5 of 6 seeds were run") in told
    (seed,) = (what for who, _, what in told if who == "rprop (fnn)" and "seed 3" in what)
    step = int(seed.removeprefix("seed 3 diverged by step "))
    assert 0.4 * STEPS < step < 0.5 * STEPS
    assert sum("psgd" in who and what.startswith("seed") for who, _, what in told) == 5
    (tuning,) = (what for *who, what in told if who == ["lion (fnn)", "tuning"])
    diverged = [run.rate for run in log_of(many, "lion").tuning if run.diverged]
    assert tuning.startswith(f"{len(diverged)} of 16 runs diverged, at {min(diverged):.2g}")


def test_the_report_has_every_part_and_every_optimizer(many, written):
    page = (written / "report.html").read_text()
    assert re.findall("<h2>(.*?)</h2>", page) == [
        "Question", "Setting", "Results", "Curves", "Ranks", "Time to target",
        "Sensitivity to the learning rate", "Budget for tuning", "Cost", "Ours and optax&rsquo;s",
        "Failures", "How it was measured", "Limits", "Sources", "Machine",
    ]  # fmt: skip
    assert page.count("<svg") == page.count("</svg>") == len(PICTURES)
    for row in many.rows:
        assert page.count(f"<td>{row.name}</td>") >= 2  # in the results and in the costs
        assert page.count(f">{row.name}</text>") >= 4  # in pictures: scores, ranks, target, rates
    assert not re.search(r"\bnan\b", re.sub("<svg.*?</svg>", "", page, flags=re.DOTALL))


def test_the_page_follows_the_readers_colours_and_needs_nothing_else(written):
    page = (written / "report.html").read_text()
    assert "http" not in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    for drawing in re.findall("<svg.*?</svg>", page, flags=re.DOTALL):
        assert not re.search("#000000|#1a1a1a|#ffffff", drawing)
        ids = set(re.findall(' id="(.*?)"', drawing))
        assert set(re.findall(r'(?:href="|url\()#(.*?)["\)]', drawing)) <= ids
    every = re.findall(' id="(.*?)"', page)
    assert len(every) == len(set(every))


def test_equal_findings_make_equal_reports(tmp_path):
    pages = []
    for name in ("one", "other"):
        made(("adam", "sgd"), peers_of=()).write(tmp_path / name)
        pages.append((tmp_path / name / "report.html").read_text())
    assert pages[0] == pages[1]


def test_a_report_of_nothing_says_so(tmp_path):
    empty = made(("adam", "sgd"), peers_of=())
    for log in empty.logs:
        log.tuning, log.races, log.step_us = [], [], []
        log.rate = log.compile_seconds = math.nan
        log.state_bytes = math.nan
    nothing = Comparison(
        make_rows(empty.logs, math.nan), empty.logs, math.nan, empty.settings, empty.machine,
        empty.seconds, complete=False,
    )  # fmt: skip
    nothing.write(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "Nothing yet" in page
    assert "Interrupted" in page
    assert page.count("nothing was run") >= 5
    assert "0 of 5 seeds were run" in page


@pytest.mark.parametrize("names", [("adam",), ("adam", "sgd")])
def test_one_seed_gives_scores_without_intervals_or_ranks(tmp_path, names):
    found = made(names, peers_of=(), seeds=1)
    found.write(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "Ranks need two optimizers and two seeds." in page
    assert math.isnan(found.rows[0].score_low)
    assert f"<td>{100 * found.rows[0].score:.2f} %</td>" in page
    assert not re.search(r"\bnan\b", re.sub("<svg.*?</svg>", "", page, flags=re.DOTALL))


def test_r2_is_no_percentage(tmp_path):
    small = made(("adam", "sgd"), peers_of=("adam",))
    found = dataclasses.replace(small, settings=dict(small.settings) | {"score": "R2"})
    found.write(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert f"{found.rows[0].score:.4f}" in page
    told = re.sub("<svg.*?</svg>|<style.*?</style>", "", page, flags=re.DOTALL)
    assert set(re.findall(r"[\d.]+ %", told)) == {"95 %", "5 %"}  # of intervals and tests


def test_a_name_that_is_markup_stays_text(tmp_path):
    made(("<b>bold</b>&$x$", "sgd"), peers_of=()).write(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<b>bold" not in page
    assert "&lt;b&gt;bold&lt;/b&gt;&amp;$x$" in page
