"""The status of a pod as the API server is told it. Pure: from container states to the status object."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Waiting:
    reason: str = "ContainerCreating"
    message: str = ""


@dataclass(frozen=True)
class Running:
    started: datetime


@dataclass(frozen=True)
class Terminated:
    code: int
    """Exit status; 128 + n after signal n, as a container runtime reports it."""
    started: datetime
    finished: datetime
    reason: str = ""


State = Waiting | Running | Terminated


@dataclass(frozen=True)
class Container:
    """One container's place in its life."""

    name: str
    image: str
    state: State = Waiting()
    last: Terminated | None = None
    ready: bool = False
    restarts: int = 0
    final: bool = False
    """It ended and will not be started again."""

    def ended(self, end: Terminated) -> "Container":
        return replace(self, state=end, ready=False)


def phase(containers: Sequence[Container]) -> str:
    """Pending until every container has started once; then Running, until all have ended for good."""
    if all(one.final for one in containers):
        failed = any(isinstance(one.state, Terminated) and one.state.code for one in containers)
        return "Failed" if failed else "Succeeded"
    if any(isinstance(one.state, Waiting) and not one.restarts and one.last is None for one in containers):
        return "Pending"
    return "Running"


def conditions(
    containers: Sequence[Container], before: Mapping[str, Mapping[str, Any]], now: datetime
) -> list[dict[str, Any]]:
    """The five conditions; a transition time moves only with its status."""
    over = all(one.final for one in containers)
    unready = [one.name for one in containers if not one.ready]
    result = []
    for kind in CONDITIONS:
        item: dict[str, Any] = {"type": kind, "status": "True", "reason": None, "message": None}
        if kind in ("Ready", "ContainersReady") and unready:
            item["status"] = "False"
            item["reason"] = "PodCompleted" if over else "ContainersNotReady"
            item["message"] = None if over else f"containers with unready status: [{' '.join(unready)}]"
        old = before.get(kind)
        same = old is not None and old["status"] == item["status"]
        item["lastTransitionTime"] = old["lastTransitionTime"] if old and same else stamp(now)
        result.append(item)
    return result


def container_status(one: Container) -> dict[str, Any]:
    """One entry of containerStatuses. All three states are named, so that a patch clears the former one."""
    states: dict[str, Any] = {"waiting": None, "running": None, "terminated": None}
    last: dict[str, Any] = {"terminated": _terminated(one.last) if one.last else None}
    match one.state:
        case Waiting(reason, message):
            states["waiting"] = {"reason": reason, "message": message or None}
        case Running(started):
            states["running"] = {"startedAt": stamp(started)}
        case Terminated() as end:
            states["terminated"] = _terminated(end)
    return {
        "name": one.name,
        "image": one.image,
        "imageID": f"localcluster://{one.image}",
        "containerID": f"process://{one.name}-{one.restarts}",
        "ready": one.ready,
        "started": isinstance(one.state, Running),
        "restartCount": one.restarts,
        "state": states,
        "lastState": last,
    }


def _terminated(end: Terminated) -> dict[str, Any]:
    return {
        "exitCode": end.code,
        "reason": end.reason or ("Error" if end.code else "Completed"),
        "startedAt": stamp(end.started),
        "finishedAt": stamp(end.finished),
    }


def pod_status(
    containers: Sequence[Container],
    before: Mapping[str, Mapping[str, Any]],
    now: datetime,
    *,
    ip: str,
    host: str,
    started: datetime,
) -> dict[str, Any]:
    """The whole status, for a strategic-merge patch."""
    return {
        "phase": phase(containers),
        "hostIP": host,
        "hostIPs": [{"ip": host}],
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "startTime": stamp(started),
        "qosClass": "BestEffort",
        "conditions": conditions(containers, before, now),
        "containerStatuses": [container_status(one) for one in containers],
    }
