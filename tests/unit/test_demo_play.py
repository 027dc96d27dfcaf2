"""The block of commands that a demo prints which stays up."""

import subprocess
from pathlib import Path

import pytest

from e2e.demo.play import Places, commands
from e2e.demo.stage import FILES
from e2e.localcluster.layout import REPOSITORY
from rollout_controller.api import COMMANDS

PLACES = Places(
    kubeconfig=Path("/state/kubeconfig"),
    bin=Path("/state/bin"),
    log=Path("/logs/controller.log"),
    gateway="http://127.0.0.1:1",
    metrics="http://127.0.0.1:2/metrics",
)
LINES = commands(PLACES).splitlines()


def test_the_block_is_shell_as_a_whole() -> None:
    done = subprocess.run(["bash", "-n"], input=commands(PLACES), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("line", [line for line in LINES if line])
def test_every_line_is_a_command_that_ends_by_itself(line: str) -> None:
    assert line.split()[0] in {"export", "cd", "kubectl", "curl", "tail"}
    command = line.partition("  # ")[0].split()
    assert not {"-w", "--watch", "-f"} & set(command)


def test_comments_of_a_group_begin_in_one_column() -> None:
    for group in commands(PLACES).split("\n\n"):
        assert len({line.index("  # ") for line in group.splitlines() if "  # " in line}) <= 1


def test_there_is_one_for_every_command_of_a_rollout_and_every_strategy() -> None:
    text = commands(PLACES)
    assert all(f"--overwrite {name}=" in text for name in COMMANDS)
    for path in (FILES / "strategies").iterdir():
        assert f"--patch-file {path.relative_to(REPOSITORY)}" in text
    assert f"cd {REPOSITORY}\n" in text
