"""`fnn search`: which model suits a table, how sure that is, and the model itself."""

import argparse
import pathlib
from typing import Any

from fnn.cli.common import Mistake, keep_programs, positive, use_all_cores

DESCRIPTION = """\
Find the model that suits a table: the mean alone, a linear model, or a network, whichever predicts
rows best that it has not seen. A network is chosen only where it is better than the linear model
beyond chance.

The table is a CSV, TSV or Parquet file whose first line names the columns, or a data set of fnn's
(iris, wine, breast_cancer, digits, diabetes). Gaps are filled, words become categories, dates days;
what is left out is said. A part of the rows is set aside first and touched once, at the end.

It prints the verdict and the best models, and writes report.html, results.json and the folder
model/, which `fnn predict` uses."""

EPILOG = """\
examples:
  fnn search houses.csv --target price
  fnn search patients.csv --target sick --drop id,name --out sick
  fnn search iris --quick
  fnn predict search/model new.csv

Every finished piece of work is kept in progress/ at once: after Ctrl-C or a crash the same command
goes on where it stopped and finds the same table. Compiled programs are kept in ~/.cache/fnn, so
that the next search of such a size starts sooner; FNN_CACHE=off keeps none."""


def add_command(commands: Any) -> None:
    """Add `search` and its arguments to the parser's commands."""
    search = commands.add_parser(
        "search",
        help="find the model that suits a table, with an honest error",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    search.set_defaults(run=run)
    add = search.add_argument
    add("data", metavar="FILE", help="a .csv, .tsv or .parquet file, or a data set by name")
    add("--target", metavar="COLUMN", help="what to predict (default: the last column)")
    add(
        "--task",
        choices=("classification", "regression"),
        help="(default: found out by the target)",
    )
    add("--drop", metavar="A,B,...", help="columns that are not to be used")
    add("--test", type=positive, default=0.2, metavar="F", help="part of the rows to set aside"
        " (default: 0.2)")  # fmt: skip
    add("--seed", type=int, default=0, metavar="N", help="of folds and weights (default: 0)")
    add("--quick", action="store_true", help="fewer networks, shorter runs")
    add("--minutes", type=positive, metavar="M", help="how long to try networks (default: until all"
        " are tried)")  # fmt: skip
    add("--fresh", action="store_true", help="start over, whatever an earlier call has finished")
    add("--out", default="search", metavar="DIR", help="folder for the files (default: ./search)")


def run(options: argparse.Namespace) -> int:
    """Search, print the verdict and the best models, and say where the files are."""
    use_all_cores()
    keep_programs()
    from fnn.compare.files import check_folder
    from fnn.tables.search import found_text, search_table, table_of, write

    try:
        check_folder("search", options.out, ("report.html", "results.json"))
        table, target = table_of(options.data, options.target)
        kept = pathlib.Path(options.out, "progress")
        if options.fresh and kept.is_dir():
            for piece in kept.glob("*.safetensors"):
                piece.unlink()
        drop = [name.strip() for name in (options.drop or "").split(",") if name.strip()]
        found = search_table(
            table,
            target,
            task=options.task,
            drop=drop,
            test=options.test,
            quick=options.quick,
            minutes=options.minutes,
            seed=options.seed,
            folder=kept,
        )
        files = write(found, options.out)
    except (ValueError, ImportError, OSError) as error:
        raise Mistake(str(error)) from error
    print(found_text(found))
    print(f"\nwritten: {', '.join(files)} in {options.out}")
    return 0
