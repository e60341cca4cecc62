"""`fnn train`: a network on a named data set, in one process or in several that share the run."""

import argparse
import json
import os
import pathlib
import sys
from typing import Any

from fnn.cli.common import Mistake, count, keep_programs, positive
from fnn.cli.launch import add_restarts

DESCRIPTION = """\
Train a network on a data set, in as many processes as wanted: each loads its share of the data, all
take the same steps, and their checkpoints are written together. The loss is that of one process but
for rounding; a run that was stopped, killed or lost a process goes on where it was, to the same
parameters bit for bit if it has as many processes as before.

Under Slurm, MPI or Kubernetes start this command once a process, without --processes: it finds the
others by itself."""

EPILOG = """\
examples:
  fnn train --data digits --steps 2000 --out digits
  fnn train --data mnist --processes 2 --steps 1000 --out run
  srun --ntasks 4 fnn train --data mnist --sharding full --steps 1000 --out run

Written into the folder: checkpoints/ while it runs, and at the end params.safetensors and
result.json."""


RECORDED = ("loss", "val_loss", "seconds")  # of the history; empty if it ended before a check


def add_command(commands: Any) -> None:
    """Add `train` and its arguments to the parser's commands."""
    train = commands.add_parser(
        "train",
        help="train a network on a data set, in one process or several",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.set_defaults(run=run)
    add = train.add_argument
    add("--data", default="digits", metavar="NAME", help="a data set of fnn (default: digits)")
    add("--net", choices=("mlp", "cnn", "linear"), default="mlp", help="(default: mlp)")
    add("--width", type=count, metavar="N", help="neurons a hidden layer, or first channels")
    add("--depth", type=count, metavar="N", help="hidden layers, or convolutions")
    add("--optimizer", default="adam", metavar="NAME", help="of fnn.optim (default: adam)")
    add("--rate", type=positive, default=1e-3, metavar="R", help="learning rate (default: 0.001)")
    add("--batch-size", type=count, default=32, metavar="N", help="(default: 32)")
    add("--steps", type=count, default=1000, metavar="S", help="(default: 1000)")
    add("--seed", type=int, default=0, metavar="N", help="of weights and order (default: 0)")
    add("--out", default="train", metavar="DIR", help="folder for the files (default: ./train)")
    add("--processes", type=count, metavar="N", help="start so many on this machine (default: this"
        " one, or those of the cluster)")  # fmt: skip
    add("--sharding", choices=("data", "full"), default="data", help="data: every device holds all"
        " parameters; full: each holds its share (default: data)")  # fmt: skip
    add("--save-seconds", type=positive, default=30.0, metavar="T", help="between checkpoints"
        " (default: 30)")  # fmt: skip
    add_restarts(add)


def run(options: argparse.Namespace) -> int:
    """Train here, or start the processes that do."""
    from fnn.shard.join import INDEX
    from fnn.shard.launch import launch

    if options.processes is None or INDEX in os.environ:
        return _train(options)
    ended = launch(
        [sys.executable, "-m", "fnn", *sys.argv[1:]],
        processes=options.processes,
        restarts=options.restarts,
        at_least=options.at_least,
        tell=lambda text: print(f"fnn train: {text}", file=sys.stderr, flush=True),
    )
    return ended.code


def _train(options: argparse.Namespace) -> int:
    """Be one of the processes, or the only one."""
    import fnn
    from fnn.shard.join import is_loss

    keep_programs()
    joined = fnn.shard.join()
    try:
        done = _fit(options, joined.index == 0)
    except (ValueError, ImportError, OSError) as error:
        if joined.count == 1:
            raise Mistake(str(error)) from error
        if is_loss(error):
            raise
        print(f"fnn train: {error}", file=sys.stderr, flush=True)
        os._exit(2)  # an ordinary exit would wait for the others
    if joined.index == 0:
        print(done)
    return 0


def _fit(options: argparse.Namespace, reports: bool) -> str:
    """Train, and say what came of it."""
    import jax

    import fnn
    from fnn import checkpoint, processes
    from fnn.compare.nets import make_net
    from fnn.compare.task import make_task

    task = make_task(options.data)
    net = make_net(options.net, task, width=options.width, depth=options.depth)
    x, y = task.data.x_train, task.data.y_train
    n, devices, mesh, rules = len(y), jax.device_count(), None, None
    if devices > 1:
        mesh = jax.make_mesh((devices,), ("data",))
        rules = fnn.shard.fully_sharded() if options.sharding == "full" else None
        own = fnn.shard.own_rows(n, mesh)
        x, y = (fnn.shard.joined(part[own], n, mesh) for part in (x, y))
    if reports:
        print(f"{net!r} on {n} rows of {task.name}, in {_counted(jax.process_count(), devices)}",
              flush=True)  # fmt: skip
    folder = pathlib.Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    done = fnn.fit(
        net, x, y,
        validation=(task.data.x_val, task.data.y_val),
        metrics={task.score_name: task.score},
        loss=task.loss,
        optimizer=fnn.optim.find(options.optimizer)(options.rate),
        key=jax.random.key(options.seed),
        steps=options.steps,
        batch_size=options.batch_size,
        check_every=max(1, min(options.steps, 100)),
        checkpoint=folder / "checkpoints",
        save_seconds=options.save_seconds,
        mesh=mesh,
        sharding=rules,
    )  # fmt: skip
    best = processes.whole(done.best)
    last = fnn.trees.fingerprint(processes.whole(done.last.params))
    if not reports:
        return ""
    params = fnn.optim.eval_params(best.opt_state, best.params)
    found = fnn.train.evaluate(
        net, params, best.state, task.data.x_test, task.data.y_test,
        loss=task.loss, metrics={"score": task.score},
    )  # fmt: skip
    result = {
        "network": repr(net),
        "data": task.name,
        "steps": int(done.last.step),
        "best_step": done.best_step,
        "stopped": done.stopped,
        **{name: [float(v) for v in done.history.get(name, [])] for name in RECORDED},
        f"test_{task.score_name}": float(found["score"]),
        "test_loss": float(found["loss"]),
        "parameters": last,
        "processes": jax.process_count(),
        "devices": devices,
    }
    note = {"network": repr(net), "data": task.name, "step": done.best_step}
    checkpoint.save(
        folder / "params.safetensors", {"params": params, "state": best.state}, note=note
    )
    text = json.dumps(result, indent=2) + "\n"
    checkpoint.write_atomically(folder / "result.json", text)
    return (
        f"{done.stopped}; best at step {done.best_step}: test {task.score_name}"
        f" {float(found['score']):.4f}, loss {float(found['loss']):.4f}\n"
        f"written: params.safetensors, result.json, checkpoints in {folder}"
    )


def _counted(processes: int, devices: int) -> str:
    here = "one process" if processes == 1 else f"{processes} processes"
    return f"{here} on {devices} devices" if devices > 1 else here
