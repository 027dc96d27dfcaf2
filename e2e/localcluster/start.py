"""Bringing a cluster up and down, for callers without an event loop (the command line, pytest's hooks)."""

import contextlib
import errno
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.localcluster import binaries
from e2e.localcluster.errors import LocalClusterError
from e2e.localcluster.layout import REPOSITORY, Layout
from e2e.localcluster.locks import locked
from e2e.localcluster.progress import Say
from e2e.localcluster.settings import Launch, Settings, State, write_private

STATE_NEEDED = 400 << 20
"""Bytes: etcd's and Prometheus' logs take 200 MB at once, and grow."""


@dataclass(frozen=True)
class Running:
    """A cluster that is up."""

    layout: Layout
    state: State
    process: "subprocess.Popen[bytes] | None"
    """The launcher, where this process started it and it lives no longer than this process."""
    fresh: bool
    """False if it was up before we asked."""


def up(layout: Layout, settings: Settings, say: Say, *, daemon: bool) -> Running:
    """Bring the cluster of `layout` up and wait until all parts are ready; one that is up is left as it is.

    A daemon stays when this process ends; otherwise the cluster ends with it, however it ends.
    """
    programs, crds = binaries.ensure(say)
    with locked(layout.lock, lambda: say("waiting for another process that brings this cluster up")):
        state = State.read(layout.state)
        if state is not None and alive(layout):
            if state.settings != settings:
                raise LocalClusterError(
                    f"the cluster in {layout.root} is up with other settings ({state.settings}): "
                    "take it down first, or name another one"
                )
            return Running(layout, state, None, fresh=False)
        if alive(layout):
            raise LocalClusterError(
                f"a launcher without a finished start runs in {layout.root}: take it down first"
            )
        try:
            _prepare(layout, settings, programs, crds)
        except OSError as error:
            raise LocalClusterError(
                f"cannot write the cluster's state to {layout.root} ({error.strerror or error}): "
                "free disk space there, or point XDG_STATE_HOME elsewhere"
            ) from error
        process = _launch(layout, say, daemon)
        state = State.read(layout.state)
        assert state is not None, "the launcher said ready before it wrote its state"
        return Running(layout, state, None if daemon else process, fresh=True)


def down(layout: Layout, timeout: float = 30.0) -> bool:
    """Stop the cluster and remove its files; False where there was none. A launcher that hangs is killed."""
    state = State.read(layout.state)
    was_up = alive(layout)
    if was_up:
        with contextlib.suppress(OSError):
            _shout(layout, {"do": "shutdown"})
    deadline = time.monotonic() + timeout
    while alive(layout):
        if time.monotonic() > deadline and state is not None:
            os.kill(state.launcher, signal.SIGKILL)
            deadline += 5
        time.sleep(0.05)
    shutil.rmtree(layout.root, ignore_errors=True)
    return was_up


def stop(running: Running, timeout: float = 30.0) -> None:
    """Take down a cluster that `up` started; one that was up before stays."""
    if not running.fresh:
        return
    down(running.layout, timeout)
    if running.process is not None:
        assert running.process.stdin is not None
        running.process.stdin.close()
        running.process.wait(timeout)


def alive(layout: Layout) -> bool:
    """Whether a launcher answers for this directory; a dead one's socket refuses."""
    try:
        _shout(layout, None)
    except OSError:
        return False
    return True


def _shout(layout: Layout, question: dict[str, Any] | None) -> None:
    directory = os.open(layout.root, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.settimeout(5)
            door.connect(f"/proc/self/fd/{directory}/{layout.control.name}")
            if question is not None:
                door.sendall(json.dumps(question).encode() + b"\n")
                door.recv(4096)
    finally:
        os.close(directory)


def _prepare(layout: Layout, settings: Settings, programs: dict[str, str], crds: Path) -> None:
    shutil.rmtree(layout.root, ignore_errors=True)
    layout.make()
    if shutil.disk_usage(layout.root).free < STATE_NEEDED:
        raise OSError(errno.ENOSPC, f"less than {STATE_NEEDED >> 20} MB are free")
    for name, path in programs.items():
        (layout.bin / name).symlink_to(path)
    write_private(layout.token, secrets.token_urlsafe(24))
    subprocess.run(
        [
            programs["generate-cert"],
            "-ca",
            "-host=127.0.0.1,localhost",
            "-ecdsa-curve=P256",
            "-duration=87600h",
        ],
        cwd=layout.root,
        check=True,
        capture_output=True,
        timeout=30,
    )
    Launch(settings, programs, crds.read_text()).write(layout.launch)


def _launch(layout: Layout, say: Say, daemon: bool) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "e2e.localcluster.launcher", str(layout.root)]
    with layout.log("launcher").open("ab") as log:
        process = subprocess.Popen(
            command + (["--daemon"] if daemon else []),
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL if daemon else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    try:
        ready = _follow(process, say)
    except BaseException:  # an interrupt too: a cluster that nobody waits for must not come up
        _abandon(layout, process)
        raise
    if ready:
        if daemon:
            process.wait()  # the half outside the namespace, gone since it forked
        return process
    _abandon(layout, process)
    tail = layout.log("launcher").read_text(errors="replace").strip().splitlines()[-3:]
    raise LocalClusterError(
        f"the launcher ended before the cluster was ready; {layout.log('launcher')} says: {' / '.join(tail)}"
    )


def _follow(process: "subprocess.Popen[bytes]", say: Say) -> bool:
    """Pass on the launcher's progress; False if it ended without being ready."""
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            event = json.loads(line)
            if event.get("ready"):
                return True
            if "error" in event:
                raise LocalClusterError(event["error"])
            if "started" in event:
                say(f"{event['started']} is ready")
    return False


def _abandon(layout: Layout, process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(OSError):
        _shout(layout, {"do": "shutdown"})
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
