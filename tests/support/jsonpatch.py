"""A JSON patch applier (RFC 6902) for tests: what the API server does with our patches.

`test`, `add`, `replace` and `remove` on plain JSON; all of a patch or nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from rollout_controller.core.patch import Json


class PatchError(Exception):
    """An operation does not fit the document: a missing member or parent, an index out of range."""


class FailedTest(PatchError):
    """A `test` found another value, or none."""


def apply(document: Json, ops: Sequence[Json]) -> Json:
    """The patched copy of a document, which itself stays as it is."""
    # A copy through text, because in JSON no two places are one object, as may be in a test's literals.
    holder: Json = {"": json.loads(json.dumps(document))}
    for op in ops:
        _apply(holder, op)
    result: Json = holder[""]
    return result


def _apply(holder: Json, op: Json) -> None:
    parent, key = _find(holder, op)
    match op["op"]:
        case "test":
            _test(parent, key, op)
        case "add":
            _add(parent, key, deepcopy(op["value"]))
        case "replace":
            _existing(parent, key, op)
            parent[key] = deepcopy(op["value"])
        case "remove":
            _existing(parent, key, op)
            del parent[key]
        case other:
            raise PatchError(f"no such operation here: {other}")


def _find(holder: Json, op: Json) -> tuple[Any, str | int]:
    """The container that a pointer ends in, and the key in it: a name, or an index (`-` is the end)."""
    path = op["path"]
    if path and not path.startswith("/"):
        raise PatchError(f"a pointer begins with a slash: {path}")
    segments = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")]
    at: Any = holder
    for segment in segments[:-1]:
        at = _existing(at, _key(at, segment, op), op)
    return at, _key(at, segments[-1], op)


def _key(at: Any, segment: str, op: Json) -> str | int:
    if isinstance(at, dict):
        return segment
    if not isinstance(at, list):
        raise PatchError(f"{op['path']} leads through a value without members")
    if segment == "-":
        return len(at)
    if not segment.isascii() or not segment.isdigit() or (segment != "0" and segment.startswith("0")):
        raise PatchError(f"{op['path']}: {segment} is not an index")
    return int(segment)


def _existing(at: Any, key: str | int, op: Json) -> Any:
    try:
        return at[key]
    except LookupError:
        failure = FailedTest if op["op"] == "test" else PatchError
        raise failure(f"{op['op']} {op['path']}: there is no {key}") from None


def _test(parent: Any, key: str | int, op: Json) -> None:
    found = _existing(parent, key, op)
    # As text, because in Python True equals 1, and in JSON it does not.
    if json.dumps(found, sort_keys=True) != json.dumps(op["value"], sort_keys=True):
        raise FailedTest(f"{op['path']} is {found!r}, not {op['value']!r}")


def _add(parent: Any, key: str | int, value: Any) -> None:
    if isinstance(key, str):
        parent[key] = value
    elif key <= len(parent):
        parent.insert(key, value)
    else:
        raise PatchError(f"index {key} is beyond the end")
