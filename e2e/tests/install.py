"""Puts the CRD and the gate into a cluster and out of it, and waits until that is in force."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from e2e.tests.kubectl import Kubectl

ROOT: Final = Path(__file__).parents[2]
CRD: Final = ROOT / "crds" / "rollouts.yaml"
GATE: Final = ROOT / "deploy" / "gate"

_TIME_LIMIT: Final = 30.0
_PAUSE: Final = 0.1


def deployment(image: str = "web:1", *, name: str = "web") -> dict[str, Any]:
    """A Deployment that Rollout `shop` has adopted; without pods, which neither CRD nor gate needs."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {**labels, "rollout-controller.dev/rollout": "shop"}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "web", "image": image, "command": ["sleep", "600"]}]},
            },
        },
    }


def install_crd(kubectl: Kubectl) -> None:
    """Apply the CRD and wait until Rollouts are served."""
    _apply(kubectl, "-f", CRD)
    established(kubectl, "rollouts.rollout-controller.dev")
    until("Rollouts to be served", lambda: kubectl.try_("get", "rollouts").code == 0)


def established(kubectl: Kubectl, *definitions: str) -> None:
    """Wait until the API server has taken these CRDs up; `kubectl wait` fails on one without status yet."""
    wait = ("wait", "--for=condition=Established", *(f"crd/{name}" for name in definitions), "--timeout=20s")
    until(f"{', '.join(definitions)} to be established", lambda: kubectl.try_(*wait).code == 0)


def install_gate(kubectl: Kubectl) -> None:
    """Apply the gate and wait until both policies act on a Deployment made for the purpose.

    The Deployment is in the namespace of `kubectl`, and gone afterwards.
    """
    _apply(kubectl, "-k", GATE)
    name = f"gate-probe-{os.getpid()}"
    probe = deployment(name=name)
    kubectl("apply", "-f", "-", stdin=probe)
    try:
        change = ("set", "image", f"deployment/{name}", "web=web:2", "--dry-run=server", "-o", "json")
        until("a template change to come out paused", lambda: '"paused": true' in kubectl(*change))
        kubectl("set", "image", f"deployment/{name}", "web=web:2")
        resume = ("patch", f"deployment/{name}", "-p", '{"spec":{"paused":false}}', "--dry-run=server")
        until("un-pausing to be refused", lambda: kubectl.try_(*resume).code != 0)
    finally:
        kubectl("delete", f"deployment/{name}", "--wait=false")


def remove_keep(kubectl: Kubectl) -> None:
    """Delete the policy that keeps a held Deployment held, and wait until it acts no more."""
    kubectl("delete", "-f", str(GATE / "keep.yaml"))
    name = f"keep-probe-{os.getpid()}"
    kubectl("apply", "-f", "-", stdin=deployment(name=name))
    try:
        kubectl("set", "image", f"deployment/{name}", "web=web:2")
        resume = ("patch", f"deployment/{name}", "-p", '{"spec":{"paused":false}}', "--dry-run=server")
        until("un-pausing not to be refused", lambda: kubectl.try_(*resume).code == 0)
    finally:
        kubectl("delete", f"deployment/{name}", "--wait=false")


def remove_crd(kubectl: Kubectl) -> None:
    """Delete the CRD and wait until Rollouts are no longer served."""
    kubectl("delete", "-f", str(CRD), "--ignore-not-found")
    until("Rollouts not to be served", lambda: kubectl.try_("get", "rollouts").code != 0)


def remove_gate(kubectl: Kubectl) -> None:
    """Delete the gate; it goes on acting for about a second."""
    kubectl("delete", "-k", str(GATE), "--ignore-not-found")


def until(what: str, holds: Callable[[], bool]) -> None:
    """Wait until something holds. AssertionError with `what` was waited for after 30 s."""
    deadline = time.monotonic() + _TIME_LIMIT
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {_TIME_LIMIT:.0f} s for {what}")
        time.sleep(_PAUSE)


def _apply(kubectl: Kubectl, how: str, path: Path) -> None:
    # Tests in several processes may install at the same time: the loser of a race has nothing left to do.
    until(f"kubectl apply {how} {path.name}", lambda: kubectl.try_("apply", how, str(path)).code == 0)
