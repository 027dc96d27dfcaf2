"""The command line: `python -m e2e.localcluster up|down|status|exec|kubeconfig|logs`."""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

from e2e.localcluster import control, start
from e2e.localcluster.cluster import LocalCluster, read_log
from e2e.localcluster.enter import enter
from e2e.localcluster.errors import LocalClusterError
from e2e.localcluster.layout import Layout, state_directory
from e2e.localcluster.progress import Progress
from e2e.localcluster.settings import Settings

DESCRIPTION = """\
A Kubernetes control plane, istiod, an Envoy gateway and Prometheus as plain processes in one network
namespace: no containers and, where the kernel allows, no root."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        layout = Layout(parsed.state.absolute()) if parsed.state else Layout(state_directory(parsed.name))
        return int(parsed.run(layout, parsed) or 0)
    except LocalClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m e2e.localcluster", description=DESCRIPTION)
    parser.add_argument(
        "--name", default="default", help="which cluster; several may be up (default: %(default)s)"
    )
    parser.add_argument(
        "--state", type=Path, help="keep the cluster's state in this folder instead of a named one"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser(
        "up", help="bring the cluster up and wait until it is ready; fine if it is up already"
    )
    defaults = Settings()
    up.add_argument(
        "--debounce-after", default=defaults.debounce_after, help="istiod's (default: %(default)s)"
    )
    up.add_argument("--debounce-max", default=defaults.debounce_max, help="istiod's (default: %(default)s)")
    up.add_argument(
        "--scrape-interval", default=defaults.scrape_interval, help="Prometheus' (default: %(default)s)"
    )
    up.set_defaults(run=_up)
    commands.add_parser("down", help="stop the cluster and remove its files").set_defaults(run=_down)
    commands.add_parser("status", help="what runs, and where it listens").set_defaults(run=_status)
    exec_ = commands.add_parser("exec", help="run a command inside the namespace: exec -- CMD ARGS")
    exec_.add_argument("command", nargs="+")
    exec_.set_defaults(run=_exec)
    commands.add_parser("kubeconfig", help="print the path of the kubeconfig").set_defaults(run=_kubeconfig)
    logs = commands.add_parser("logs", help="print the log of a part, or of a pod as NAMESPACE/NAME")
    logs.add_argument("part", metavar="NAME")
    logs.set_defaults(run=_logs)
    return parser


def _up(layout: Layout, parsed: argparse.Namespace) -> None:
    settings = Settings(
        debounce_after=parsed.debounce_after,
        debounce_max=parsed.debounce_max,
        scrape_interval=parsed.scrape_interval,
    )
    progress = Progress()
    running = start.up(layout, settings, progress, daemon=True)
    progress("the cluster is ready" if running.fresh else "the cluster was up already")
    _print_addresses(layout)


def _down(layout: Layout, parsed: argparse.Namespace) -> None:
    print("the cluster is down" if start.down(layout) else "no cluster was up")


def _status(layout: Layout, parsed: argparse.Namespace) -> int:
    if not start.alive(layout):
        print("down")
        return 3
    parts = asyncio.run(control.ask(layout.control, do="status"))["parts"]
    for name, part in parts.items():
        print(f"{name:20} {part['state']}")
    _print_addresses(layout)
    return 0 if all(part["state"] == "running" for part in parts.values()) else 1


def _print_addresses(layout: Layout) -> None:
    cluster = LocalCluster.attach(layout.root)
    print(f"up for {time.time() - cluster.state.started:.0f} s, launcher {cluster.state.launcher}")
    print(f"API server   {cluster.api_url}")
    print(f"gateway      {cluster.gateway_url}")
    print(f"Prometheus   {cluster.prometheus_url}")
    print(f"Envoy admin  {cluster.envoy_admin_url}")
    print(f"istiod debug {cluster.istiod_debug_url}/debug/syncz")
    print(f"export KUBECONFIG={cluster.kubeconfig} PATH={layout.bin}:$PATH")


def _exec(layout: Layout, parsed: argparse.Namespace) -> int:
    status = enter(layout, parsed.command)
    return status if status >= 0 else 128 - status


def _kubeconfig(layout: Layout, parsed: argparse.Namespace) -> None:
    print(LocalCluster.attach(layout.root).kubeconfig)


def _logs(layout: Layout, parsed: argparse.Namespace) -> None:
    try:
        print(read_log(layout, parsed.part), end="")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # `logs | head` is no error
