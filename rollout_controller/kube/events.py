"""Events on Rollouts, told at most once and never waited for. Implements ports.Notifier.

They are of core/v1, as those of events.k8s.io/v1 must not have the times by which `kubectl describe` sorts.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog

from rollout_controller.api.names import API_VERSION, FIELD_MANAGER, GROUP, KIND
from rollout_controller.kube.rest import NoAnswer, Request, Rest
from rollout_controller.ports import Json

_CONTROLLER: Final = f"{GROUP}/rollout-controller"
_LONGEST_NOTE: Final = 1024
"""Bytes that the API server takes as a note."""

log = structlog.get_logger(__name__)


class Events:
    """Queues Events and writes them one by one, in their order, by a task of its own.

    What does not fit into the queue and what the API server does not take is dropped; `count` is told
    `sent`, `failed` or `dropped` for each.
    """

    def __init__(self, rest: Rest, count: Callable[[str], None], *, size: int = 1000) -> None:
        self._rest = rest
        self._count = count
        self._queue: asyncio.Queue[Json] = asyncio.Queue(size)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._write_all(), name="events")

    async def stop(self, within: float) -> None:
        """Write what is queued, but for no longer than `within` seconds."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(within):
                await self._queue.join()
        except TimeoutError:
            log.warning("Events were left unwritten at the end", events=self._queue.qsize())
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def notify(self, rollout: Json, type_: str, reason: str, message: str) -> None:
        """See ports.Notifier."""
        try:
            self._queue.put_nowait(_event(rollout, type_, reason, message))
        except asyncio.QueueFull:
            self._count("dropped")

    async def _write_all(self) -> None:
        while True:
            event = await self._queue.get()
            try:
                self._count("sent" if await self._write(event) else "failed")
            finally:
                self._queue.task_done()

    async def _write(self, event: Json) -> bool:
        path = f"/api/v1/namespaces/{event['metadata']['namespace']}/events"
        request = Request("create", "events", "POST", path, {"fieldManager": FIELD_MANAGER}, event)
        try:
            answer = await self._rest.call(request)
        except NoAnswer as error:
            trouble = str(error)
        else:
            if answer.ok:
                return True
            trouble = str(answer.body.get("message") or f"HTTP status {answer.code}")
        log.warning("Event was not written", reason=event["reason"], note=event["message"], error=trouble)
        return False


def _event(rollout: Json, type_: str, reason: str, message: str) -> Json:
    metadata = rollout["metadata"]
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{metadata['name'][:200]}.{secrets.token_hex(8)}",
            "namespace": metadata["namespace"],
        },
        "eventTime": now,
        "firstTimestamp": now[:-8] + "Z",
        "lastTimestamp": now[:-8] + "Z",
        "count": 1,
        "type": type_,
        "reason": reason,
        "action": reason,
        "message": _clipped(message),
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
        "reportingComponent": _CONTROLLER,
        "reportingInstance": socket.gethostname()[:128],
    }


def _clipped(note: str) -> str:
    raw = note.encode()
    if len(raw) <= _LONGEST_NOTE:
        return note
    return raw[: _LONGEST_NOTE - len("…".encode())].decode(errors="ignore") + "…"
