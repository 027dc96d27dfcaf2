"""HTTP by path to the API server: JSON in, JSON out, never without a timeout.

The client library does what is tedious (kubeconfig, TLS, tokens, connection pool); its typed models and its
watch are left aside, because they drop unknown fields and hand out cut lines.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import aiohttp
from kubernetes_asyncio.client import ApiClient, Configuration

CALL_TIMEOUT: Final = 5.0
"""Seconds that a call may take, connecting and reading the answer included."""

Count = Callable[[str, str, str, float], None]
"""Told of every call: verb, resource (plural), status code or `none`, seconds until the answer was read."""


def uncounted(verb: str, resource: str, code: str, seconds: float) -> None:
    """A Count that forgets."""


class NoAnswer(Exception):
    """No connection, a broken one, or nothing usable in time: what the API server did is not known."""


class Answer(NamedTuple):
    """What the API server said: status code and the decoded body ({} if it was not a JSON object)."""

    code: int
    body: dict[str, Any]

    @property
    def ok(self) -> bool:
        return 200 <= self.code < 300


class Request(NamedTuple):
    """One call; `verb` and `resource` are what it is counted as."""

    verb: str
    resource: str
    method: str
    path: str
    query: Mapping[str, str] = {}
    body: Any = None
    content_type: str = "application/json"


class Rest:
    """One connection pool to the API server. To be made, used and closed inside one running event loop."""

    def __init__(self, configuration: Configuration, count: Count = uncounted) -> None:
        # A watch holds a connection for good: beyond a limit (the library's is 100, which 13 kinds in eight
        # namespaces exceed) the others would wait for ever. Calls are few, as many as there are workers.
        configuration.connection_pool_maxsize = 0
        self._client = ApiClient(configuration)
        self._client.user_agent = f"rollout-controller/{version('rollout-controller')}"
        self._count = count

    async def close(self) -> None:
        await self._client.close()

    async def call(self, request: Request, *, timeout: float = CALL_TIMEOUT) -> Answer:
        """Send one request and read the whole answer, whatever its status. Raises NoAnswer."""
        begun = time.monotonic()
        code = "none"
        try:
            # The library's timeout does not cover a token plugin that hangs.
            async with asyncio.timeout(timeout):
                response = await self._send(request, aiohttp.ClientTimeout(total=timeout))
                raw = await response.read()
            code = str(response.status)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _no_answer(error, timeout) from error
        finally:
            self._count(request.verb, request.resource, code, time.monotonic() - begun)
        answer = Answer(response.status, _decode(raw))
        if answer.ok and not answer.body:
            raise NoAnswer(f"status {answer.code} without a JSON object: is that an API server?")
        return answer

    @asynccontextmanager
    async def stream(
        self, request: Request, *, idle: float
    ) -> AsyncIterator[tuple[Answer, AsyncIterator[bytes]]]:
        """Open a streaming answer: its status (with the body, if it is an error) and its complete lines.

        The lines end when the server ends the stream or after `idle` seconds without a byte; what follows the
        last newline is a cut line and is dropped. Raises NoAnswer, while iterating too.
        """
        code = "none"
        begun = time.monotonic()
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                response = await self._send(request, aiohttp.ClientTimeout(total=None, sock_read=idle))
                code = str(response.status)
                raw = b"" if response.status == 200 else await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _no_answer(error, CALL_TIMEOUT) from error
        finally:
            self._count(request.verb, request.resource, code, time.monotonic() - begun)
        try:
            yield Answer(response.status, _decode(raw)), _lines(response, idle)
        finally:
            response.close()

    async def _send(self, request: Request, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        response: aiohttp.ClientResponse = await self._client.call_api(
            request.path,
            request.method,
            query_params=dict(request.query),
            header_params={"Accept": "application/json", "Content-Type": request.content_type},
            body=request.body,
            auth_settings=["BearerToken"],
            _preload_content=False,
            _request_timeout=timeout,
        )
        return response


async def _lines(response: aiohttp.ClientResponse, idle: float) -> AsyncIterator[bytes]:
    # Not `readline`: it has a limit of its own, and hands out what stands after the last newline as a line.
    rest = bytearray()
    try:
        async for chunk in response.content.iter_any():
            start = 0
            while (end := chunk.find(b"\n", start)) >= 0:
                rest += chunk[start:end]
                start = end + 1
                line, rest = bytes(rest), bytearray()
                if line.strip():
                    yield line
            rest += chunk[start:]
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise _no_answer(error, idle) from error


def _no_answer(error: Exception, timeout: float) -> NoAnswer:
    if isinstance(error, TimeoutError):
        return NoAnswer(f"no answer within {timeout:g} s")
    return NoAnswer(str(error) or type(error).__name__)


def _decode(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
