"""`python -m e2e.demo [--keep] [--scene NAME] [--pace DURATION]`: see the package."""

import argparse
import asyncio
import shutil
import signal
import sys
from collections.abc import Sequence

from rich.console import Console

from e2e.demo import summary
from e2e.demo.controller import ControllerError, tail
from e2e.demo.play import Places, commands
from e2e.demo.record import OTHER_WAYS, RELEASES, scenes
from e2e.demo.screen import open_screen
from e2e.demo.setting import Setting, new_logs, set_up
from e2e.demo.stage import HOST, DemoError
from e2e.demo.story import Story
from e2e.localcluster import LocalClusterError
from e2e.localcluster.kube import KubeError
from e2e.localcluster.layout import REPOSITORY

FAILURES = (DemoError, ControllerError, LocalClusterError, KubeError, TimeoutError, OSError)
"""What may go wrong around the releases: told in a sentence, not as a traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the demo; the exit status: 0 if all was as it should be, 1 if not, 130 if interrupted before."""
    parsed = _parser().parse_args(arguments)
    console = Console(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 160)
    try:
        return asyncio.run(_play(parsed, console))
    except KeyboardInterrupt:
        print("interrupted; everything is down", file=sys.stderr)
        return 128 + signal.SIGINT
    except asyncio.CancelledError:
        print("told to stop; everything is down", file=sys.stderr)
        return 128 + signal.SIGTERM


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make demo",
        description="A good release promoted, two bad ones reverted, and back to the version before, on a"
        " real API server, istiod, Envoy and Prometheus, with 100 requests/s. Takes about four minutes once"
        " the programs are built.",
    )
    parser.add_argument(
        "--keep", action="store_true", help="stay up afterwards, for releases by hand (make demo KEEP=1)"
    )
    parser.add_argument(
        "--scene",
        action="append",
        default=[],
        choices=[release.scene for release in RELEASES + OTHER_WAYS],
        help="only this release (make demo SCENE=bluegreen), may be given again; the way back comes after a"
        " good one",
    )
    parser.add_argument(
        "--pace",
        metavar="DURATION",
        help="how long a step lasts at least, such as 5s (make demo PACE=5s); default: what demo/rollout.yaml"
        " says",
    )
    return parser


async def _play(parsed: argparse.Namespace, console: Console) -> int:
    task = asyncio.current_task()
    assert task is not None
    # As Ctrl-C, so that everything is taken down in order.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    story, logs = Story(open_screen()), new_logs()
    releases = scenes(parsed.scene)
    told = False
    try:
        async with set_up(story.screen, logs, parsed.pace) as setting:
            await story.tell(setting, releases)
            if parsed.keep:
                told = True
                summary.show(console, story.records, story.rests, story.problems())
                await _keep(console, story, setting)
            story.screen.say("taking everything down")
        late = setting.controller.ending_problems()
    except asyncio.CancelledError:
        shutil.rmtree(logs, ignore_errors=True)
        raise
    except FAILURES as error:
        late = [str(error) or type(error).__name__]
    problems = story.problems() + late
    if not told:
        summary.show(console, story.records, story.rests, problems)
    elif late:
        summary.show(console, [], [], late)
    if not problems:
        shutil.rmtree(logs)
        console.print("the logs of controller and cluster are deleted", highlight=False)
        return 0
    last = tail(logs / "controller.log")
    if last:
        console.print(
            f"\nthe controller's log ends so:\n{last}\n", highlight=False, markup=False, soft_wrap=True
        )
    console.print(
        f"the logs of controller and cluster are in {logs.relative_to(REPOSITORY)}/", highlight=False
    )
    return 1


async def _keep(console: Console, story: Story, setting: Setting) -> None:
    """Watch what a person does, until Ctrl-C."""
    said = f"The cluster stays up, with {HOST} under load, until Ctrl-C here. In another terminal:"
    console.print(
        f"\n{said}\n\n{commands(_places(setting))}\n", highlight=False, markup=False, soft_wrap=True
    )
    task = asyncio.current_task()
    try:
        await story.follow(setting)
    except asyncio.CancelledError:
        if task is not None:
            task.uncancel()


def _places(setting: Setting) -> Places:
    cluster, controller = setting.cluster, setting.controller
    return Places(
        cluster.kubeconfig, cluster.layout.bin, controller.log, cluster.gateway_url, controller.metrics_url
    )


if __name__ == "__main__":
    sys.exit(main())
