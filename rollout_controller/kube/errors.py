"""From an HTTP status of the API server to the ports' tree of errors."""

from __future__ import annotations

from typing import Final

from rollout_controller.kube.rest import Answer
from rollout_controller.ports import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Kind,
    NotFound,
    Ref,
    Refused,
    Unavailable,
)

_LONGEST: Final = 600
"""Characters kept of the server's message: it may quote the whole object."""

_MOVED_ON: Final = (
    "the object is not as this write demands (a test of the patch failed or a path is not there)"
)


def error_of(kind: Kind, ref: Ref | str, verb: str, answer: Answer) -> ClusterError:
    """The error that an answer outside 2xx means; `kind` is what was asked for, `ref` the address of it."""
    code, body = answer.code, answer.body
    message = _message(answer)
    if code == 409:
        taken = body.get("reason") == "AlreadyExists"
        return AlreadyExists(ref, verb, message) if taken else Conflict(ref, verb, message)
    if code == 404:
        return NotFound(ref, verb, message if knows_kind(answer) else _unknown(kind))
    if code == 422 and _failed_patch(answer):
        return Conflict(ref, verb, _MOVED_ON)
    if code == 429 or code >= 500 or code < 400:
        return Unavailable(ref, verb, message)
    return Refused(ref, verb, message)


def knows_kind(answer: Answer) -> bool:
    """Whether a 404 speaks of the object: one about a resource that is not served is plain text."""
    return answer.body.get("kind") == "Status" and bool((answer.body.get("details") or {}).get("kind"))


def _unknown(kind: Kind) -> str:
    return (
        f"the API server does not know {kind.api_version} {kind.title}; install its CustomResourceDefinition"
    )


def _failed_patch(answer: Answer) -> bool:
    # Seen on 1.36: a patch that does not apply has empty details; what validation or a policy refuses names
    # the object or the causes there.
    return answer.body.get("reason") == "Invalid" and not answer.body.get("details")


def _message(answer: Answer) -> str:
    message = str(answer.body.get("message") or f"HTTP status {answer.code}")
    return message if len(message) <= _LONGEST else message[: _LONGEST - 1] + "…"
