"""A controller whose passes take as long as told: `python -m e2e.tests.slowpass SECONDS DIARY [FLAGS]`.

Everything but the work is the real thing. The diary gets a line when a pass begins, ends, or is cut.
"""

import asyncio
import sys
from pathlib import Path

from rollout_controller.app import logs, wiring
from rollout_controller.app.settings import load
from rollout_controller.app.work import Build, Parts, Work
from rollout_controller.controller.result import PassResult
from rollout_controller.ports import Key


def slow(seconds: float, diary: Path) -> Build:
    """Work that only takes time."""

    def note(line: str) -> None:
        with diary.open("a") as file:
            file.write(f"{line}\n")

    def build(parts: Parts) -> Work:
        async def run_pass(key: Key) -> PassResult:
            note(f"begin {key.name}")
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                note(f"cut {key.name}")
                raise
            note(f"end {key.name}")
            return PassResult(again=True)

        return Work(run_pass)

    return build


def main() -> None:
    seconds, diary, *flags = sys.argv[1:]
    given = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
    settings = load({name.replace("-", "_"): value for name, value in given.items()})
    logs.configure(settings.log_format, settings.log_level)
    asyncio.run(wiring.run(settings, slow(float(seconds), Path(diary))))


if __name__ == "__main__":
    main()
