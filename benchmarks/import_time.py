"""What `import fnn` costs over `import jax`: fresh processes, in turn.

    python benchmarks/import_time.py [--rounds 15]

Each round starts one process that imports jax and one that imports fnn, and takes the difference of
the times they measured inside themselves. Bytecode is compiled beforehand, by a first start that is
allowed to keep it, as an installed package has it.
"""

import argparse
import os
import subprocess
import sys

import harness

CODE = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def seconds(module):
    """Seconds that importing a module takes in a fresh interpreter."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", CODE.format(module)]
    out = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(out.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    seconds("jax"), seconds("fnn")
    pairs = [(seconds("jax"), seconds("fnn")) for _ in range(rounds)]
    jax, fnn = ([pair[i] for pair in pairs] for i in (0, 1))
    over = [b - a for a, b in pairs]
    rows = [["", "median ms", "quartiles"]]
    for name, values in (("import jax", jax), ("import fnn", fnn), ("fnn over jax", over)):
        low, middle, high = (1e3 * v for v in harness.quartiles(values))
        rows.append([name, f"{middle:.0f}", f"{low:.0f}-{high:.0f}"])
    print(harness.table(rows))
    results = {"rounds": rounds, "jax_seconds": jax, "fnn_seconds": fnn, "over_seconds": over}
    print(f"written: {harness.save('import_time', results)}")


if __name__ == "__main__":
    main()
