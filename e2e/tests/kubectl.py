"""kubectl as a person uses it, from a test: one namespace, a time limit, everything it printed."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from e2e.localcluster.cluster import LocalCluster

_TIME_LIMIT: Final = 30.0
"""Seconds for one call; the API server answers in milliseconds, kubectl starts in tenths of a second."""


@dataclass(frozen=True)
class Answer:
    """What a call of kubectl came to."""

    code: int
    out: str
    err: str


class KubectlError(AssertionError):
    """kubectl failed where a test needs it to succeed."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl against one cluster, in one namespace."""

    program: Path
    kubeconfig: Path
    namespace: str

    @classmethod
    def of(cls, cluster: LocalCluster, namespace: str) -> Self:
        """That of a local cluster."""
        return cls(cluster.layout.bin / "kubectl", cluster.kubeconfig, namespace)

    def try_(self, *arguments: str, stdin: object = None) -> Answer:
        """Run it; `stdin` (an object, sent as JSON) is for `-f -`. Raises TimeoutExpired after 30 s."""
        done = subprocess.run(
            [self.program, "--kubeconfig", self.kubeconfig, "--namespace", self.namespace, *arguments],
            input=None if stdin is None else json.dumps(stdin),
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIME_LIMIT,
            env={**os.environ, "KUBECTL_KUBERC": "false"},
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def __call__(self, *arguments: str, stdin: object = None) -> str:
        """Run it and give what it printed. Raises KubectlError where it fails."""
        answer = self.try_(*arguments, stdin=stdin)
        if answer.code != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {answer.err.strip()}")
        return answer.out

    def refused(self, *arguments: str, stdin: object = None) -> str:
        """Run what must fail, and give what it complained. Raises KubectlError where it succeeds."""
        answer = self.try_(*arguments, stdin=stdin)
        if answer.code == 0:
            raise KubectlError(f"kubectl {' '.join(arguments)} was not refused: {answer.out.strip()}")
        return answer.err

    def get(self, *arguments: str) -> dict[str, Any]:
        """The object, or the list, as JSON."""
        result: dict[str, Any] = json.loads(self("get", *arguments, "-o", "json"))
        return result
