"""`python -m benchmarks NAME | all | list | report [--check] | same COMMIT | pace COMMIT`"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch

from benchmarks import FAMILIES, NAMES, rows
from benchmarks.pace import pace
from benchmarks.same import same
from pofx.errors import UserError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [*NAMES, "all", "list", "report", "same", "pace"]
    parser.add_argument("name", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("commit", nargs="?", help="with same and pace: the code to compare the working tree with; any git revision")
    parser.add_argument("--only", default="", metavar="TEXT", help="with same: models and run folders with this in their name")
    parser.add_argument("--data", action="store_true", help="with same: measure kept runs on rows of their own data, too, in $POFX_DATA")
    parser.add_argument("--check", action="store_true", help="with report: exit 1 and name the rows that are missing or fall short")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default 1); a stopped training goes on exactly under as many")
    options = parser.parse_args()
    if (options.name in ("same", "pace")) is not (options.commit is not None):
        parser.error("a commit is for `same COMMIT` and `pace COMMIT`, which need one")
    if options.name == "pace":
        return pace(options.commit)
    if options.name == "same":
        return same(options.commit, real=options.data, only=options.only)
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in NAMES}
    promised = {name: module.ROWS for name, module in modules.items()}
    if options.name == "list":
        for name, module in modules.items():
            print(f"{name:18} {(module.__doc__ or '').splitlines()[0]}")
        return 0
    if options.name == "report":
        print(rows.report(FAMILIES, promised))
        problems = rows.check(promised) if options.check else []
        print(*problems, sep="\n", file=sys.stderr)
        return int(bool(problems))
    torch.set_num_threads(options.threads)
    for name in NAMES if options.name == "all" else [options.name]:
        if options.name != "all" or any(not row.optional for row in promised[name]):
            measure(name, modules[name].measure, promised[name])
    return 0


def measure(name: str, measured: Callable[[], Iterable[tuple[str, float, dict[str, Any]]]], promised: list[rows.Row]) -> None:
    """Run one benchmark, and keep its rows as they come; until then those stay that were measured before.

    The seconds of a training that was continued are those of all its parts.
    """
    declared = {row.what: row for row in promised}
    kept = rows.read(name)
    began = time.monotonic()
    for what, value, protocol in measured():
        seconds = time.monotonic() - began
        if "training_seconds" in protocol:
            seconds = protocol["training_seconds"] + protocol.get("evaluation_seconds", 0.0)
        kept[what] = declared[what].measured(value, protocol, seconds)
        file = rows.write(name, [kept[what] for what in declared if what in kept])
        print(f"{what}: {value:.4f} {declared[what].unit} -> {file}", flush=True)
        began = time.monotonic()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"benchmarks: {error}")
