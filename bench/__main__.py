"""`python -m bench [KEY ...]`: see the package."""

import argparse
import asyncio
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp

from bench import lab, report
from bench.errors import BenchError
from bench.figures import BY_NAME, KEYS, Figure
from bench.scenes import bad, bluegreen, good, idle, live, lost, revert
from e2e.localcluster import LocalClusterError
from e2e.localcluster.kube import KubeError
from e2e.localcluster.layout import REPOSITORY
from e2e.localcluster.progress import Progress

SCENES: Sequence[ModuleType] = (live, lost, revert, bad, idle, bluegreen, good)
"""The short ones first."""
QUICK = REPOSITORY / "build" / "bench-quick.json"
FAILURES = (BenchError, KubeError, LookupError, AssertionError, aiohttp.ClientError, OSError, TimeoutError)


async def run(keys: Collection[str], quick: bool, out: Path) -> bool:
    """Measure, print, write. Whether everything was measured and every target met."""
    say = Progress()
    figures: list[Figure] = []
    failed: list[str] = []
    async with lab.opened(say, quick) as opened:
        about = {"machine": report.machine(), "versions": report.versions()}
        for scene in SCENES:
            wanted = [name for name in scene.NAMES if name in keys]
            if not wanted:
                continue
            busy = os.getloadavg()[0]
            say(f"measuring {', '.join(wanted)} (load average {busy:.1f})")
            try:
                found: list[Figure] = await scene.measure(opened, wanted)
            except FAILURES as error:
                failed.append(f"{', '.join(wanted)}: {type(error).__name__}: {error}")
                say(f"not measured: {failed[-1]}")
                continue
            for figure in found:
                say(f"{figure.key.name}: {report.number(figure.measured)} ({figure.verdict})")
            figures += found
            entries: list[dict[str, Any]] = [report.entry(figure, busy) for figure in found]
            report.write(out, entries, about)
    order = [key.name for key in KEYS]
    figures.sort(key=lambda figure: order.index(figure.key.name))
    print(report.table(figures))
    for line in failed:
        print(f"not measured: {line}")
    print(f"written to {out.relative_to(REPOSITORY) if out.is_relative_to(REPOSITORY) else out}")
    return not failed and all(figure.verdict != "short" for figure in figures)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure on real parts what the controller is held to. Exit status 1: a target missed.",
        epilog="keys: " + ", ".join(BY_NAME),
    )
    parser.add_argument("keys", nargs="*", metavar="KEY", help="what to measure; all if none is given")
    parser.add_argument("--quick", action="store_true", help="fewer runs, into build/bench-quick.json")
    parser.add_argument("--out", type=Path, help="where the figures go (bench/results.json)")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.keys) - set(BY_NAME))
    if unknown:
        parser.error(f"no such key: {', '.join(unknown)}; there are {', '.join(BY_NAME)}")
    out = arguments.out or (QUICK if arguments.quick else report.RESULTS)
    try:
        met = asyncio.run(run(set(arguments.keys) or set(BY_NAME), arguments.quick, out.absolute()))
    except LocalClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
