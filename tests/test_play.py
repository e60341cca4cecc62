"""The page of `fnn play` trains as `fit` does, is served to this machine alone, and moves."""

import http.client
import itertools
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from browser import Browser, find_chromium

import fnn
from fnn import cli
from fnn.optim.names import NAMES
from fnn.play import Setting, frame, open_server, open_session, read_setting
from fnn.play.setting import DATA, FEATURES, choices, rate_of
from fnn.play.training import GRID, THIN, data_of, loss_of, net_of, penalty_of, shape_of

# one shape for all tests: to compile is what they cost
SMALL = Setting(hidden=(4,), optimizers=(("adam", 0.01), ("sgd", 0.1)), penalty="L2", strength=0.0)
ROOM = pathlib.Path(fnn.__file__).parent / "play"


@pytest.fixture(scope="module")
def server():
    server = open_server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def ask(server, method, name, body=None, *, path=None, host=None):
    """Status, headers and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    headers = {"Host": host or f"127.0.0.1:{server.server_port}"}
    path = f"/{server.token}/{name}" if path is None else path
    try:
        text = None if body is None else body if isinstance(body, bytes) else json.dumps(body)
        connection.request(method, path, text, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def read(data, setting=SMALL):
    """Steps, losses, weights, boundaries and neurons of a frame."""
    widths, lanes = shape_of(setting).widths, len(setting.optimizers)
    parameters = sum((a + 1) * b for a, b in itertools.pairwise(widths))
    neurons, small = sum(widths[:-1]), (GRID // THIN) ** 2
    parts = [("<i4", 1), ("<f4", 3 * lanes), ("<f4", parameters * lanes)]
    parts += [("u1", GRID**2 * lanes), ("u1", neurons * small * lanes)]
    found, at = [], 0
    for kind, count in parts:
        found.append(np.frombuffer(data, kind, count, at).reshape(lanes if found else 1, -1))
        at += found[-1].nbytes
    assert at == len(data)
    return int(found[0][0, 0]), *found[1:]


def flat(params):
    """Weights as a frame has them: w and then b, layer by layer."""
    return np.concatenate([np.ravel(layer[part]) for layer in params.values() for part in "wb"])


def test_the_losses_on_the_page_are_those_of_fit(server):
    status, _, body = ask(server, "POST", "start", SMALL._asdict())
    assert status == 200
    described = json.loads(body)
    wanted = {"session": described["session"], "steps": 30}
    _, headers, body = ask(server, "POST", "frame", wanted)
    assert headers["Content-Type"] == "application/octet-stream"
    step, losses, weights, *_ = read(body)
    assert step == 30
    data, n, shape = data_of(SMALL), SMALL.train_size, shape_of(SMALL)
    trained = fnn.fit(
        net_of(shape), data.x[:n], data.y[:n], validation=(data.x[n:], data.y[n:]),
        loss=loss_of(shape), optimizer=fnn.optim.adam(0.01), key=jax.random.key(SMALL.seed),
        steps=30, batch_size=SMALL.batch_size, progress=False,
    )  # fmt: skip
    np.testing.assert_allclose(losses[0, 1], trained.history["val_loss"][-1], rtol=1e-5)
    np.testing.assert_allclose(weights[0], flat(trained.last.params), rtol=1e-4, atol=1e-6)


def test_a_penalty_and_a_rate_chosen_now_are_those_of_a_run_with_them():
    session = open_session(SMALL)
    _, _, weights, *_ = read(frame(session, steps=20, rates=[0.03, 0.2], strength=0.1))
    data, n, shape = data_of(SMALL), SMALL.train_size, shape_of(SMALL)
    state, _ = fnn.train.run(
        jax.random.key(SMALL.seed), net_of(shape), data.x[:n], data.y[:n], loss=loss_of(shape),
        optimizer=fnn.optim.sgd(0.2), steps=20, batch_size=32, penalty=penalty_of(shape, 0.1),
    )  # fmt: skip
    np.testing.assert_allclose(weights[1], flat(state.params), rtol=1e-4, atol=1e-6)


def test_all_start_alike_and_frames_of_any_length_lead_to_the_same_place():
    one, other = open_session(SMALL), open_session(SMALL)
    _, losses, weights, *_ = read(frame(one, steps=0))
    np.testing.assert_array_equal(weights[0], weights[1])
    assert losses[0].tolist() == losses[1].tolist()
    for steps in (1, 3, 3):
        last = frame(one, steps=steps)
    assert last == frame(other, steps=7)
    assert read(last)[0] == 7
    assert not np.array_equal(*read(last)[2])


def test_the_pictures_are_of_the_network_from_the_top_left():
    session = open_session(SMALL)
    *_, output, neurons = read(frame(session, steps=50))
    net, state, half = net_of(shape_of(SMALL)), session.states[0], session.data.half
    corner = half * (1 - 1 / GRID)
    logit, _ = net.apply(state.params, state.state, jnp.array([[-corner, corner]]))
    assert abs(float(jax.nn.sigmoid(logit[0, 0])) - output[0, 0] / 255) < 0.003
    x1, x2 = neurons[0].reshape(-1, GRID // THIN, GRID // THIN)[:2].astype(int)
    assert (np.diff(x1, axis=1) > 0).all()  # x1 grows to the right
    assert (np.diff(x2, axis=0) < 0).all()  # x2 to the top


def test_a_run_that_diverges_is_a_frame_without_numbers():
    session = open_session(SMALL)
    for _ in range(3):
        data = frame(session, steps=300, rates=[0.01, 1000.0], strength=10.0)
    _, losses, weights, output, _ = read(data)
    assert not np.isfinite(losses[1, 0])
    assert not np.isfinite(weights[1]).all()
    assert np.isfinite(losses[0, :2]).all()  # its neighbour does not mind
    assert set(output[1]) == {128}


@pytest.mark.parametrize("name", DATA)
def test_every_data_set_has_two_classes_or_numbers_within_the_picture(name):
    data = data_of(Setting(data=name, features=tuple(FEATURES), noise=DATA[name].noise))
    assert data.x.shape == (400, len(FEATURES))
    assert np.isfinite(data.x).all()
    assert np.abs(data.points).max() < data.half < 6
    classes = set(np.unique(data.y).tolist())
    assert len(classes) > 50 if DATA[name].numbers else classes == {0.0, 1.0}
    assert 0.3 < float(jnp.mean(data.y > 0.5)) < 0.7 or DATA[name].numbers


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_has_a_rate_to_begin_with_and_to_turn(name):
    state = jax.eval_shape(NAMES[name](rate_of(name)).init, {"w": jnp.ones((2, 2))})
    assert state.learning_rate.shape == ()
    assert read_setting({"optimizers": [[name, rate_of(name)]]})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": "spiral"}, "no data set 'spiral'; did you mean 'spirals'?"),
        ({"hidden": [4] * 5}, "at most 4 hidden layers, got 5"),
        ({"hidden": [0]}, "from 1 to 32 neurons wide, got 0"),
        ({"hidden": 4}, "hidden must be a list, got int"),
        ({"features": []}, "features must be at least one"),
        ({"optimizers": [["adamm", 0.1]]}, "no optimizer 'adamm'; did you mean 'adam'?"),
        ({"optimizers": [["adam", -1]]}, "a learning rate must be above 0, at most 1000, got -1"),
        ({"optimizers": ["adam"]}, 'must be a pair such as ["adam", 0.01], got adam'),
        ({"optimizers": []}, "from 1 to 4 optimizers, got 0"),
        ({"examples": 50, "batch_size": 64}, "batch_size must be a whole number from 1 to 35"),
        ({"noise": float("nan")}, "noise must be a number from 0 to 1, got nan"),
        ({"width": 4}, "no setting 'width'; there are data, noise,"),
        ([], "a setting must be a JSON object, got list"),
        (b"{", "the request is no JSON"),
    ],
)
def test_a_setting_that_cannot_be_is_told_on_the_page(server, given, message):
    status, _, body = ask(server, "POST", "start", given)
    assert status == 400
    assert message in json.loads(body)["error"]


def test_a_frame_that_cannot_be_is_told_and_moves_nothing(server):
    number = json.loads(ask(server, "POST", "start", SMALL._asdict())[2])["session"]
    for wrong in ({"steps": -1}, {"steps": 10**6}, {"steps": 1, "rates": [0.1]}, {"steps": None}):
        status, _, body = ask(server, "POST", "frame", {"session": number, **wrong})
        assert status == 400, body
    status, _, body = ask(server, "POST", "frame", {"session": 999, "steps": 1})
    assert status == 404
    assert "no session 999 any more" in json.loads(body)["error"]
    assert read(ask(server, "POST", "frame", {"session": number, "steps": 0})[2])[0] == 0


def test_the_page_and_its_parts_need_nothing_from_outside(server):
    status, headers, body = ask(server, "GET", "")
    page = body.decode()
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"style=|<style|<script>|\bon\w+=", page)  # what the policy would forbid
    names = re.findall(r'(?:src|href)="([^"]+)"', page)
    names += re.findall(r'from "\./(\w+\.js)"', "".join(p.read_text() for p in ROOM.glob("*.js")))
    for name in {*names, "choices"}:
        status, _, body = ask(server, "GET", name)
        assert status == 200, name
        assert not re.search(
            r"(https?:)?//(?!www\.w3\.org/2000/svg)\w", re.sub("// ", "", body.decode())
        )
    assert json.loads(ask(server, "GET", "choices")[2]) == json.loads(json.dumps(choices()))


def test_only_this_machine_and_only_who_knows_the_token_is_answered(server):
    port, token = server.server_port, server.token
    assert server.server_address[0] == "127.0.0.1"
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}"):
        assert ask(server, "GET", "", host=host)[0] == 403
        assert ask(server, "POST", "start", {}, host=host)[0] == 403
    assert ask(server, "GET", "", host=f"localhost:{port}")[0] == 200
    for path in ("/", "/choices", f"/{token[:-1]}/", f"/{token.swapcase()}/choices", "//", "*"):
        assert ask(server, "GET", "", path=path)[0] == 404, path
    for path in (
        "../server.py",
        "..%2fserver.py",
        "server.py",
        "/etc/passwd",
        "./page.css",
        "x/../",
    ):
        assert ask(server, "GET", path)[0] == 404, path
    assert ask(server, "GET", "start")[0] == 404
    assert ask(server, "POST", "page.css", {})[0] == 404
    assert ask(server, "PUT", "start", {})[0] == 501
    assert ask(server, "POST", "start", b" " * 70_000)[0] == 413


def test_the_least_used_session_makes_room(server):
    data = json.dumps(SMALL._replace(examples=20, batch_size=4)._asdict()).encode()
    numbers = [json.loads(ask(server, "POST", "start", data)[2])["session"] for _ in range(9)]
    seen = [server.session(number) for number in numbers[1:]]
    assert len({id(one) for one in seen}) == 8
    with pytest.raises(LookupError, match="press Reset"):
        server.session(numbers[0])


def test_a_taken_port_and_a_wrong_one_are_told(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert cli.main(["play", "--no-browser", "--port", str(port)]) == 2
    assert f"fnn play: port {port} cannot be had: Address already in use" in capsys.readouterr().err
    for wrong in ("70000", "-1", "x"):
        with pytest.raises(SystemExit) as ended:
            cli.main(["play", "--port", wrong])
        assert ended.value.code == 2
        assert "--port" in capsys.readouterr().err


def test_ctrl_c_ends_it_cleanly_and_answers_what_was_asked():
    root = str(pathlib.Path(fnn.__file__).parents[1])
    command = [sys.executable, "-m", "fnn", "play", "--no-browser", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": root, "FNN_CACHE": "off"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout
        said = process.stdout.readline()
        found = re.fullmatch(r"fnn play: http://127\.0\.0\.1:(\d+)/([\w-]{20,})/\n", said)
        assert found
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=60)
        connection.request("POST", f"/{found[2]}/start", json.dumps(SMALL._asdict()))
        time.sleep(0.3)  # it is at work, and the connection stays open
        process.send_signal(signal.SIGINT)
        assert connection.getresponse().status == 200
        out, err = process.communicate(timeout=60)
        connection.close()
    assert process.returncode == 0
    assert "ended" in out
    assert not err


@pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium on the PATH")
def test_in_a_browser_the_loss_falls_and_the_boundary_moves(server):
    numbers = """[...document.querySelectorAll('.test')].map(
        e => Number(e.textContent.replace('−', '-')))"""
    boundary = "document.querySelector('.boundary').toDataURL()"
    with Browser() as browser:
        browser.open(server.url + "#" + json.dumps({**SMALL._asdict(), "data": "moons"}))
        ready = "document.getElementById('status').textContent == 'ready'"
        browser.wait(ready)
        browser.evaluate("""(() => {
            const data = document.getElementById('data');
            data.value = 'spirals';
            data.dispatchEvent(new Event('change', {bubbles: true})) })()""")
        browser.wait("location.hash.includes('spirals') && " + ready)
        before, picture = browser.evaluate(numbers), browser.evaluate(boundary)
        assert len(before) == 2
        browser.press(" ")  # the key that plays, as the focus is on the page
        browser.wait("Number(document.getElementById('steps').textContent.replace(',', '')) > 600")
        assert browser.evaluate("Number(document.getElementById('frames').textContent)") > 0
        browser.press(" ")
        browser.wait("document.getElementById('status').textContent.startsWith('paused')")
        after = browser.evaluate(numbers)
        assert all(a < 0.9 * b for a, b in zip(after, before, strict=True)), (before, after)
        assert browser.evaluate(boundary) != picture
        steps = "document.getElementById('steps').textContent"
        done = browser.evaluate(steps)
        browser.press("ArrowRight")
        browser.wait(f"{steps} != '{done}'")
        browser.press("Home")
        browser.wait(f"{steps} == '0'")
        roles = browser.named_roles()
        wanted = {"button", "combobox", "slider", "spinbutton", "checkbox", "image", "application"}
        assert wanted <= roles.keys()
        assert all(all(roles[role]) for role in wanted), "something has no name"
        browser.evaluate("document.querySelector('.network').focus()")
        browser.press("ArrowRight")
        browser.press("ArrowDown")
        note = browser.evaluate("document.querySelector('.note').textContent")
        assert note.startswith("hidden 1, neuron 2: bias 0")
        assert not browser.complaints
        assert all(url.startswith(server.url) for url in browser.requests)
