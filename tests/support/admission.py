"""The two policies of `deploy/gate`, as the API server applies them to a write of a Deployment."""

from __future__ import annotations

from rollout_controller.api import names
from rollout_controller.ports import Json


def admit(old: Json, new: Json, manager: str, *, keep: bool = True) -> Json:
    """The Deployment as it is stored; without `keep` only the first policy is there.

    Raises PermissionError with the words of the refusal.
    """
    if not (_label(old) or _label(new)):
        return new
    if new["spec"]["template"] != old["spec"]["template"]:
        new = _hold(new, _label(new) or _label(old) or "")
    held = old["spec"].get("paused", False) and names.HELD_BY in (old["metadata"].get("annotations") or {})
    if keep and held and manager != names.FIELD_MANAGER and not _stays_held(new):
        raise PermissionError(f"Deployment {new['metadata']['name']} is held by Rollout {_label(old)}")
    return new


def _label(deployment: Json) -> str | None:
    labels = deployment["metadata"].get("labels") or {}
    value: str | None = labels.get(names.LABEL)
    return value


def _hold(new: Json, rollout: str) -> Json:
    metadata = new["metadata"]
    return {
        **new,
        "metadata": {
            **metadata,
            "labels": {**(metadata.get("labels") or {}), names.LABEL: rollout},
            "annotations": {**(metadata.get("annotations") or {}), names.HELD_BY: rollout},
        },
        "spec": {**new["spec"], "paused": True},
    }


def _stays_held(new: Json) -> bool:
    annotations = new["metadata"].get("annotations") or {}
    return bool(new["spec"].get("paused", False)) and _label(new) is not None and names.HELD_BY in annotations
