"""Why a pod does not become ready, as the kubelet and the scheduler tell it, in words that stay the same.

A container that keeps ending, or that cannot be started, alternates between waiting, running and ended, and
one whose image is not there between two reasons: each is told in one way, or the status would be written at
every turn.
"""

from __future__ import annotations

from typing import Final

from rollout_controller.ports import Json

_NO_IMAGE: Final = frozenset({"ErrImagePull", "ImagePullBackOff"})
_ON_ITS_WAY: Final = frozenset({"", "ContainerCreating", "PodInitializing", "CrashLoopBackOff", "Completed"})
_LONGEST: Final = 160
"""Characters of a message that come from elsewhere."""


def trouble_of(pod: Json) -> str:
    """Why this pod is not ready: no node for it, no image, a container that keeps ending; "" if it is ready,
    ends, or is on its way as far as anybody knows."""
    status = pod.get("status") or {}
    if "deletionTimestamp" in pod["metadata"]:
        return ""
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return (
                f"no node takes the pod: {_short(condition.get('message') or condition.get('reason') or '')}"
            )
    listed = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return next(filter(None, (_of_container(one) for one in listed if not one.get("ready"))), "")


def _of_container(container: Json) -> str:
    name, state = container.get("name", ""), container.get("state") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated")
    reason = waiting.get("reason") or ""
    if reason in _NO_IMAGE:
        return f"container {name}: its image {container.get('image', '')} cannot be pulled"
    last = ended or (container.get("lastState") or {}).get("terminated")
    if last is None and reason not in _ON_ITS_WAY:
        return f"container {name}: {_short(': '.join(filter(None, (reason, waiting.get('message')))))}"
    if last is None or (last.get("exitCode") == 0 and last.get("reason") == "Completed"):
        return ""
    code, why = last.get("exitCode"), last.get("reason") or ""
    return f"container {name} ended with exit code {code}" + (f" ({why})" if why not in {"", "Error"} else "")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
