"""A newcomer's path, timed: from a clone to a model of one's own CSV and one's own comparison.

    python benchmarks/newcomer.py [REPOSITORY]

In a new virtual environment and an empty folder it does what README and the tutorial say, as one
who copies their lines would: installs, trains on a CSV of its own by `fnn search` and by a program,
uses the model on new rows, and compares optimizers in a script. Timed is the machine's part; each
step must print what it promises. The aim is ten minutes for all of it.
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import time

import harness

HERE = pathlib.Path(__file__).parents[1]

CSV = """
import csv, random
random.seed(0)
with open("houses.csv", "w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["size", "rooms", "district", "year", "price"])
    for _ in range(600):
        size, rooms = random.uniform(30, 200), random.randint(1, 7)
        where = random.choice(["north", "south", "harbour"])
        year = random.choice([1950, 1975, 2000, 2020, ""])
        base = {"north": 2.0, "south": 1.5, "harbour": 4.0}[where]
        price = size * base + 10 * rooms + 0.01 * size**2 + random.gauss(0, 10)
        rows.writerow([round(size, 1), rooms, where, year, round(price, 1)])
with open("houses.csv") as file, open("new.csv", "w") as new:
    lines = file.readlines()
    new.writelines(line.rsplit(",", 1)[0] + "\\n" for line in lines[:6])
"""


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (HERE / page).read_text(encoding="utf-8"), re.S)


COMPARE = """
import jax, fnn
found = fnn.compare.compare("digits", optimizers=["sgd", "momentum", "adam"], seeds=3, epochs=4)
print(found)
"""


def main():
    repository = sys.argv[1] if len(sys.argv) > 1 else str(HERE)
    steps = []
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)

        def step(name, *command, promise=""):
            print(f"{name} ...", flush=True)
            begun = time.perf_counter()
            done = subprocess.run(command, cwd=work, capture_output=True, text=True)
            seconds = time.perf_counter() - begun
            if done.returncode or promise not in done.stdout:
                raise SystemExit(f"{name}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
            print(f"  {seconds:.1f} s")
            steps.append({"step": name, "seconds": seconds})

        step("clone", "git", "clone", "-q", repository, "fnn")
        step("new environment", sys.executable, "-m", "venv", "env")
        python, run = str(work / "env/bin/python"), str(work / "env/bin/fnn")
        step("install", str(work / "env/bin/pip"), "install", "-q", "./fnn[all]")
        step("a CSV of one's own", python, "-c", CSV)
        step("fnn search", run, "search", "houses.csv", "--target", "price", "--minutes", "1")
        step("fnn predict", run, "predict", "search/model", "new.csv")
        step("README's twenty lines", python, "-c", blocks("README.md")[0], promise="accuracy")
        step("the tutorial", python, "-c", "\n".join(blocks("docs/tutorial.md")), promise="dC/d")
        step("recipe 1, a program on a CSV", python, "-c", blocks("docs/recipes.md")[0])
        step("a comparison in a script", python, "-c", COMPARE, promise="adam")
    total = sum(one["seconds"] for one in steps)
    print(f"{total:.0f} s in all")
    print(f"written: {harness.save('newcomer', {'steps': steps, 'seconds': total})}")


if __name__ == "__main__":
    main()
