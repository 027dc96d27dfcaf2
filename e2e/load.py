"""An open-loop load generator: requests leave at fixed times, whether or not earlier ones were answered.

    async with Load(cluster.gateway_url, 100, host="shop.example") as load:
        ...
    assert not load.failures()

A generator that waits for answers sends less when the service is slow, and so hides just what is to be
measured. Latency counts from the moment a request was due. Speaks to loopback addresses only.

`python -m e2e.load --url URL --host HOST --rate N --seconds N` runs by itself, one JSON line per answer.
"""

import argparse
import asyncio
import contextlib
import ipaddress
import json
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import inf
from time import monotonic
from types import TracebackType
from urllib.parse import urlsplit

HIGHEST_RATE = 2000.0
MAX_CONNECTIONS = 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request. Times are time.monotonic()'s, which all processes of a machine share."""

    number: int
    due: float
    sent: float
    done: float
    status: int
    """0 where no whole answer came."""
    version: str
    """The header x-version; empty for an answer that the application did not give."""
    pod: str
    error: str
    """Why there is no status."""

    @property
    def failed(self) -> bool:
        return self.status == 0 or self.status >= 500

    @property
    def latency(self) -> float:
        """Seconds from when the request was due."""
        return self.done - self.due


class Load:
    """Sends `rate` requests per second while its `async with` block runs, then waits for the last answers."""

    def __init__(
        self,
        url: str,
        rate: float,
        *,
        host: str = "",
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
    ) -> None:
        """`host` is the Host header, `timeout` in seconds per request.

        Raises ValueError for an address that is not loopback's, or a rate that is out of reach.
        """
        parts = urlsplit(url)
        if parts.scheme != "http" or not _is_loopback(parts.hostname or ""):
            raise ValueError(f"{url} is no http address on loopback: load is only ever sent to this machine")
        if not 0 < rate <= HIGHEST_RATE:
            raise ValueError(f"a rate of {rate}/s is out of reach: give one up to {HIGHEST_RATE:g}")
        self.rate = rate
        self.timeout = timeout
        self.answers: list[Answer] = []
        """In the order in which they were completed."""
        self.sent = 0
        self.address = (parts.hostname or "", parts.port or 80)
        lines = [f"GET {parts.path or '/'} HTTP/1.1", f"host: {host or parts.netloc}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self._request = "\r\n".join([*lines, "", ""]).encode()
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._pacing: asyncio.Task[None] | None = None
        self._sending = True
        self._complete = asyncio.Event()

    async def __aenter__(self) -> "Load":
        self._pacing = asyncio.create_task(self._pace())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pacing is not None:
            self._pacing.cancel()
            await asyncio.wait({self._pacing})
        self._sending = False
        if len(self.answers) < self.sent:
            with contextlib.suppress(TimeoutError):  # each request gives up by itself before
                await asyncio.wait_for(self._complete.wait(), self.timeout + 1)
        for task in self._opening:
            task.cancel()
        for connection in list(self._all):
            connection.close()

    def between(self, since: float = -inf, until: float = inf) -> list[Answer]:
        """Answers completed from `since` to before `until`."""
        first = bisect_left(self.answers, since, key=lambda answer: answer.done)
        last = bisect_left(self.answers, until, key=lambda answer: answer.done)
        return self.answers[first:last]

    def failures(self, since: float = -inf, until: float = inf) -> list[Answer]:
        """Answers of 500 and above, and requests that got none."""
        return [answer for answer in self.between(since, until) if answer.failed]

    def versions(self, since: float = -inf, until: float = inf) -> Counter[str]:
        """Answers per version; those without one count under the empty string."""
        return Counter(answer.version for answer in self.between(since, until))

    def share(self, version: str, since: float = -inf, until: float = inf) -> float:
        """The part of the versioned answers that `version` gave, 0 to 1; NaN where there were none."""
        counts = self.versions(since, until)
        total = sum(count for name, count in counts.items() if name)
        return counts[version] / total if total else float("nan")

    def first(self, version: str) -> Answer | None:
        """The first answer that `version` gave."""
        return next((answer for answer in self.answers if answer.version == version), None)

    def last(self, version: str) -> Answer | None:
        """The last answer that `version` gave."""
        return next((answer for answer in reversed(self.answers) if answer.version == version), None)

    def percentile(self, q: float, since: float = -inf, until: float = inf) -> float:
        """The latency in seconds that the part `q` (0 to 1) of the answers did not exceed; NaN for none."""
        times = sorted(answer.latency for answer in self.between(since, until))
        return times[min(len(times) - 1, int(q * len(times)))] if times else float("nan")

    async def _pace(self) -> None:
        start = monotonic()
        while True:
            due = start + self.sent / self.rate
            pause = due - monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            self.sent += 1
            self._dispatch(self.sent, due)

    def _dispatch(self, number: int, due: float) -> None:
        if self._idle:
            self._idle.pop().send(number, due)
        elif len(self._all) + len(self._opening) >= MAX_CONNECTIONS:
            self.record(number, due, monotonic(), error="too many requests are unanswered")
        else:
            task = asyncio.create_task(self._open(number, due))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, number: int, due: float) -> None:
        began = monotonic()
        try:
            async with asyncio.timeout(self.timeout):
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(lambda: _Connection(self), *self.address)
        except (OSError, TimeoutError) as error:
            self.record(number, due, began, error=f"connect: {error or 'timeout'}")
            return
        connection.send(number, due)

    def record(
        self,
        number: int,
        due: float,
        sent: float,
        *,
        status: int = 0,
        version: str = "",
        pod: str = "",
        error: str = "",
    ) -> None:
        """Keep an answer; called by connections."""
        self.answers.append(Answer(number, due, sent, monotonic(), status, version, pod, error))
        if not self._sending and len(self.answers) >= self.sent:
            self._complete.set()


class _Connection(asyncio.Protocol):
    """One keep-alive connection, with at most one request under way."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._number = 0
        self._due = self._sent = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._load._all.add(self)

    def send(self, number: int, due: float) -> None:
        assert self._transport is not None
        self._number, self._due, self._sent = number, due, monotonic()
        self._timer = asyncio.get_running_loop().call_later(self._load.timeout, self._give_up, "timeout")
        self._transport.write(self._load._request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._timer is None:
            return
        head = self._buffer[:end].decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in head[1:])
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        if headers.get("transfer-encoding") == "chunked":
            whole = self._buffer.endswith(b"0\r\n\r\n")
        else:
            whole = len(self._buffer) - end - 4 >= int(headers.get("content-length", "0"))
        if not whole:
            return
        self._timer.cancel()
        self._timer, self._buffer = None, b""
        self._load.record(
            self._number,
            self._due,
            self._sent,
            status=int(head[0].split(" ", 2)[1]),
            version=headers.get("x-version", ""),
            pod=headers.get("x-pod", ""),
        )
        if headers.get("connection") == "close":
            self.close()
        else:
            self._load._idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load._all.discard(self)
        if self in self._load._idle:
            self._load._idle.remove(self)
        self._give_up(f"connection lost: {exc or 'closed'}")

    def _give_up(self, why: str) -> None:
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        self._load.record(self._number, self._due, self._sent, error=why)
        self.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m e2e.load", description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True, help="where to send to; on loopback")
    parser.add_argument("--host", default="", help="Host header")
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    try:
        load = Load(arguments.url, arguments.rate, host=arguments.host)
    except ValueError as error:
        sys.exit(f"error: {error}")
    async with load:
        await asyncio.sleep(arguments.seconds)
    for answer in load.answers:
        print(json.dumps(asdict(answer)))


if __name__ == "__main__":
    asyncio.run(_main())
