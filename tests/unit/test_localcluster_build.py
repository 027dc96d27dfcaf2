"""The cache of built programs, with a Go that is a shell script."""

import errno
import os
import threading
from pathlib import Path

import pytest

from e2e.localcluster import binaries, netns, toolchain
from e2e.localcluster.errors import LocalClusterError
from e2e.localcluster.layout import state_directory
from e2e.localcluster.progress import silent

FAKE_GO = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
case "$1" in
build) sleep 0.2; shift; while [ "$1" != -o ]; do shift; done; echo program > "$2"; {after} ;;
esac
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tools folder with one module, and a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    module = tmp_path / "tools" / "one"
    module.mkdir(parents=True)
    for name in ("go.mod", "go.sum", "tools.go"):
        (module / name).write_text(f"{name} 1\n")
    monkeypatch.setattr(binaries, "TOOLS", tmp_path / "tools")
    return module


def fake_go(folder: Path, after: str = "true") -> str:
    go = folder / "go"
    go.write_text(FAKE_GO.format(after=after))
    go.chmod(0o755)
    return str(go)


def calls(folder: Path) -> list[str]:
    path = folder / "calls"
    return path.read_text().splitlines() if path.exists() else []


PROGRAM = binaries.Program("one", "one", "example.org/one")


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "tools.go"])
def test_a_changed_pin_is_another_program(tools: Path, name: str) -> None:
    before = PROGRAM.path()
    (tools / name).write_text("changed\n")
    assert PROGRAM.path() != before


def test_changed_flags_are_another_program(tools: Path) -> None:
    other = binaries.Program("one", "one", "example.org/one", tags="small")
    assert other.path() != PROGRAM.path()


def test_two_builders_at_once_build_once(tools: Path, tmp_path: Path) -> None:
    go = fake_go(tmp_path)
    waited: list[str] = []
    threads = [
        threading.Thread(target=binaries._build, args=(go, PROGRAM, "one", waited.append)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(calls(tmp_path)) == 1
    assert PROGRAM.path().read_text() == "program\n"
    assert any("waiting for another process" in line for line in waited)


def test_a_failed_build_leaves_nothing_in_the_cache(tools: Path, tmp_path: Path) -> None:
    go = fake_go(tmp_path, after="echo 'one.go:1: syntax error' >&2; exit 1")
    with pytest.raises(LocalClusterError, match=r"could not build one: one\.go:1: syntax error"):
        binaries._build(go, PROGRAM, "one", silent)
    assert list(PROGRAM.path().parent.iterdir()) == []


def test_a_long_build_tells_that_it_goes_on(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "TICK", 0.05)
    said: list[str] = []
    binaries._build(fake_go(tmp_path), PROGRAM, "one (1 of 2)", said.append)
    assert said[0].startswith("building one (1 of 2)")
    assert any(line.startswith("still building one (1 of 2)") for line in said)
    assert said[-1].startswith("built one (1 of 2)")


@pytest.mark.parametrize(
    ("wrote", "says"),
    [
        (
            "compile: writing output: write x.a: no space left on device",
            "the disk is full while building x: free",
        ),
        ("write /c/x: disk quota exceeded", "the disk is full while building x: free"),
        ('Get "http://p/x.zip": dial tcp 127.0.0.1:9: connect: connection refused', "check the network"),
        ("dial tcp: lookup p: no such host", "set GOPROXY"),
        ("x.go:3:1: undefined: y", "could not build x: x.go:3:1: undefined: y"),
        ("", "could not build x: no output"),
    ],
)
def test_a_failed_build_says_what_to_do(wrote: str, says: str) -> None:
    assert says in binaries.explain("x", wrote)


@pytest.mark.parametrize(
    ("text", "good"),
    [("go1.26", True), ("go1.26.8", True), ("go1.25.9", False), ("go1.27rc1", False), ("devel +abc", False)],
)
def test_only_go_1_26_fits(text: str, good: bool) -> None:
    assert toolchain.fits(toolchain.parse_version(text)) is good


@pytest.mark.parametrize("name", ["", "-a", "A", "a/b", "..", "a" * 43])
def test_a_cluster_cannot_have_a_name_that_is_no_folder(name: str) -> None:
    with pytest.raises(LocalClusterError, match="cannot name a cluster"):
        state_directory(name)


def test_a_kernel_that_refuses_namespaces_is_told_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(result: int, what: str) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    class NoLibrary:
        def unshare(self, flags: int) -> int:
            return -1

    monkeypatch.setattr(netns, "_libc", NoLibrary())
    monkeypatch.setattr(netns, "_check", refuse)
    with pytest.raises(
        LocalClusterError, match=r"run as root, or allow unprivileged user namespaces"
    ) as caught:
        netns.unshare()
    assert "\n" not in str(caught.value)
