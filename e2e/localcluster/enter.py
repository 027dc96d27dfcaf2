"""`python -m e2e.localcluster.enter ROOT COMMAND...`: run a command inside a cluster's namespace."""

import os
import sys
from pathlib import Path

from e2e.localcluster.errors import LocalClusterError
from e2e.localcluster.layout import Layout
from e2e.localcluster.netns import run_inside
from e2e.localcluster.settings import State


def enter(layout: Layout, command: list[str]) -> int:
    """Run the command with this process's input and output; returns its exit status."""
    state = State.read(layout.state)
    if state is None:
        raise LocalClusterError(f"no cluster is up in {layout.root}: bring it up first")
    environment = {
        **os.environ,
        "KUBECONFIG": str(layout.inner_kubeconfig),
        "PATH": f"{layout.bin}:{os.environ.get('PATH', os.defpath)}",
    }
    return run_inside(state.launcher, command, environment)


def main() -> None:
    try:
        status = enter(Layout(Path(sys.argv[1])), sys.argv[2:])
    except LocalClusterError as error:
        sys.exit(f"error: {error}")
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
