"""Frames a second of `fnn play` in headless Chromium, for a 2-16-16-1 net and its neighbours.

    python benchmarks/play.py [--seconds 10] [--quick]

Each case opens the page with a setting in its address, presses the key that plays, and counts the
frames that the page has drawn in each second; the first second is left out. Beside it: how long the
program takes for a frame's steps and its look at the network, and how long a request for a frame
takes from end to end, one after another from a Python client. Chromium draws without a GPU, on the
same cores that train.
"""

import argparse
import http.client
import json
import pathlib
import sys
import threading
import time

import harness

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))

from browser import Browser, find_chromium

from fnn.play import Setting, frame, open_server, open_session

ADAM, SGD = ("adam", 0.01), ("sgd", 0.3)
FOUR = (ADAM, SGD, ("momentum", 0.03), ("rmsprop", 0.01))
CASES = {
    "2-16-16-1, one optimizer, 5 steps a frame": (Setting(optimizers=(ADAM,)), 5),
    "2-16-16-1, one optimizer, 50 steps a frame": (Setting(optimizers=(ADAM,)), 50),
    "2-16-16-1, two optimizers, 5 steps a frame": (Setting(optimizers=(ADAM, SGD)), 5),
    "2-16-16-1, four optimizers, 5 steps a frame": (Setting(optimizers=FOUR), 5),
    "2-32-32-32-32-1, four optimizers, 5 steps a frame": (
        Setting(hidden=(32, 32, 32, 32), optimizers=FOUR),
        5,
    ),
}


def program_seconds(setting, steps, rounds):
    """Seconds of the program for each of that many frames."""
    session, found = open_session(setting), []
    frame(session, steps=steps)
    for _ in range(rounds):
        begun = time.perf_counter()
        frame(session, steps=steps)
        found.append(time.perf_counter() - begun)
    return found


def request_seconds(server, setting, steps, rounds):
    """Seconds of each of that many requests, over one connection as the browser keeps it."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)

    def post(name, body):
        connection.request("POST", f"/{server.token}/{name}", json.dumps(body))
        return connection.getresponse().read()

    number, found = json.loads(post("start", setting._asdict()))["session"], []
    post("frame", {"session": number, "steps": steps})
    for _ in range(rounds):
        begun = time.perf_counter()
        post("frame", {"session": number, "steps": steps})
        found.append(time.perf_counter() - begun)
    connection.close()
    return found


def drawn_frames(server, setting, steps, seconds):
    """How many frames the page draws in each second after the first."""
    with Browser(width=1280, height=860) as browser:
        browser.open(f"{server.url}#{json.dumps(setting._asdict())}")
        browser.wait("document.getElementById('status').textContent == 'ready'")
        browser.evaluate(f"""(() => {{
            document.getElementById('speed').value = {steps};
            globalThis.seen = [];
            const watch = new MutationObserver(() => seen.push(performance.now()));
            watch.observe(document.getElementById('steps'), {{childList: true}}) }})()""")
        browser.press(" ")
        time.sleep(seconds + 1)
        times = browser.evaluate("seen")
        assert not browser.complaints, browser.complaints
    return [
        sum(1 for t in times if 1000 * k <= t - times[0] < 1000 * (k + 1))
        for k in range(1, seconds)
    ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if find_chromium() is None:
        sys.exit("play.py: there is no Chromium on the PATH; install one to measure frames")
    seconds, rounds = (3, 20) if options.quick else (options.seconds, 200)
    server = open_server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    results, rows = {}, [["", "frames/s (quartiles)", "program ms", "request ms"]]
    for name, (setting, steps) in CASES.items():
        program = program_seconds(setting, steps, rounds)
        request = request_seconds(server, setting, steps, rounds)
        frames = drawn_frames(server, setting, steps, seconds)
        results[name] = {
            "frames_per_second": frames,
            "program_seconds": program,
            "request_seconds": request,
        }
        low, middle, high = harness.quartiles([float(n) for n in frames])
        milliseconds = [f"{1e3 * harness.quartiles(part)[1]:.2f}" for part in (program, request)]
        rows.append([name, f"{middle:.0f} ({low:.0f}-{high:.0f})", *milliseconds])
        print(rows[-1], flush=True)
    server.shutdown()
    server.server_close()
    print(harness.table(rows))
    print("written:", harness.save("play", {"seconds": seconds, "cases": results}))


if __name__ == "__main__":
    main()
