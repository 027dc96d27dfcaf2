"""JSON patches (RFC 6902): every write to somebody's object is one, as a list of plain dicts."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def pointer(*segments: str | int) -> str:
    """The JSON pointer (RFC 6901) to a member: `pointer("metadata", "labels", "a/b")`."""
    return "".join("/" + str(segment).replace("~", "~0").replace("/", "~1") for segment in segments)


def unchanged(obj: Json) -> Json:
    """The operation that lets a patch through only while the object is the one that was read."""
    return {"op": "test", "path": "/metadata/resourceVersion", "value": obj["metadata"]["resourceVersion"]}


def add(value: object, *segments: str | int) -> Json:
    """Put a member, whether or not there is one already. Its parent must exist."""
    return {"op": "add", "path": pointer(*segments), "value": value}


def remove(*segments: str | int) -> Json:
    """Take a member away. It must exist."""
    return {"op": "remove", "path": pointer(*segments)}
