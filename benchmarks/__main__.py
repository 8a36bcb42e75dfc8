"""``python -m benchmarks [--quick] [--list] [NAME…]``: run them all, or those named."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback

from benchmarks import sandbox
from benchmarks.table import Table, machine

# name → whether it needs nodes of its own, so root
BENCHMARKS = {
    "node_cost": True,
    "parse_rate": True,
    "ingest": True,
    "operator_cost": True,
    "delay": True,
    "probing": False,
    "screen": False,
    "recorded_hour": True,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="fewer cases and shorter rounds")
    parser.add_argument("--list", action="store_true", help="name the benchmarks")
    options = parser.parse_args()
    if options.list:
        print("\n".join(BENCHMARKS))
        return 0
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    names = options.names or list(BENCHMARKS)
    needy = [name for name in names if BENCHMARKS[name]]
    if needy and not sandbox.inside():
        if os.geteuid() != 0:
            print(f"these make network namespaces and need root: {', '.join(needy)}", file=sys.stderr)
            return 2
        return sandbox.enter(sys.argv[1:])
    about = machine()
    print(
        f"{about['cpus']} × {about['cpu']}, Linux {about['kernel']}, Python {about['python']}, "
        f"load average {about['load']:.1f}\n",
        flush=True,
    )
    failed, over = [], []
    for name in names:
        try:
            if _run(name, options.quick):
                over.append(name)
        except Exception:  # the others can still be told
            traceback.print_exc()
            failed.append(name)
    if over:
        print(f"over budget in: {', '.join(over)}")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0  # a missed budget does not fail the run: the machine may be a slow one


def _run(name: str, quick: bool) -> bool:
    """One benchmark; whether a figure of it is over its budget."""
    tables: list[Table] = importlib.import_module(f"benchmarks.{name}").measure(quick)
    for table in tables:
        table.save()
        print(f"{table.markdown()}\n", flush=True)
    return any(table.over for table in tables)


if __name__ == "__main__":
    sys.exit(main())
