"""Whether an object in the cluster is what a file in git says: the whole spec, and nothing beside it.

Compared is the live object, as read just now, with the file's own text. What the API server fills in on its
own (defaults, revision numbers) is learned from itself: by a dry run of creating the same file afresh.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Object = Mapping[str, Any]

_NOTED_BY_TOOLS = ("kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision")
"""Annotations that kubectl and the Deployment controller leave on any object, Rollout or none."""


def differences(said: Object, found: Object, *, labels: Mapping[str, str] | None = None) -> list[str]:
    """What differs between the object that git says and the live one, a line per field; [] if nothing does.

    Compares spec, labels and annotations. `labels` are those which the live object has beyond git's.
    """
    wanted = _comparable(said)
    wanted["metadata"]["labels"] |= dict(labels or {})
    return list(_walk("", wanted, _comparable(found)))


def _comparable(item: Object) -> dict[str, Any]:
    metadata = item.get("metadata", {})
    annotations = metadata.get("annotations") or {}
    return {
        "metadata": {
            "labels": dict(metadata.get("labels") or {}),
            "annotations": {k: v for k, v in annotations.items() if k not in _NOTED_BY_TOOLS},
        },
        "spec": item.get("spec"),
    }


def _walk(path: str, said: Any, found: Any) -> Iterator[str]:
    if isinstance(said, Mapping) and isinstance(found, Mapping):
        for key in (*said, *(key for key in found if key not in said)):
            inner = f"{path}.{key}" if path else str(key)
            if key not in found:
                yield f"{inner}: git says {said[key]!r}, the cluster has none"
            elif key not in said:
                yield f"{inner}: git has none, the cluster says {found[key]!r}"
            else:
                yield from _walk(inner, said[key], found[key])
    elif isinstance(said, list) and isinstance(found, list) and len(said) == len(found):
        for index, (one, other) in enumerate(zip(said, found, strict=True)):
            yield from _walk(f"{path}[{index}]", one, other)
    elif said != found:
        yield f"{path}: git says {said!r}, the cluster says {found!r}"
