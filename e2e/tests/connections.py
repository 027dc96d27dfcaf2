"""Plain connections through Envoy's gateway, each of which brings one line: the version that answered."""

import asyncio
import ssl
from time import monotonic, time
from types import TracebackType

from e2e.localcluster import LocalCluster
from e2e.localcluster.layout import GATEWAY_IP
from e2e.tests.support import clock, wait_for


class Connections:
    """Opens `rate` connections per second while its `async with` block runs, then waits for the last answers.

    They leave at fixed times, whether or not earlier ones were answered. With `tls` they ask for `name` (SNI)
    and hold the answering side to its certificate.
    """

    def __init__(
        self,
        cluster: LocalCluster,
        port: int,
        rate: float,
        *,
        tls: ssl.SSLContext | None = None,
        name: str = "",
    ) -> None:
        self.answers: list[str] = []
        """Versions in the order in which they were heard; why, where none was, after an exclamation mark."""
        self._failures: list[tuple[float, str]] = []
        """When, as time.time() has it, and why."""
        self._cluster = cluster
        self._port = port
        self._rate = rate
        self._tls = tls
        self._name = name
        self._under_way: set[asyncio.Task[None]] = set()
        self._pacing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Connections":
        self._pacing = asyncio.create_task(self._pace())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._pacing is not None
        self._pacing.cancel()
        await asyncio.wait({self._pacing})
        if self._under_way:
            await asyncio.wait(self._under_way)

    @property
    def failed(self) -> str:
        """What went wrong, how often, and from when to when; empty where nothing did."""
        kinds: dict[str, list[float]] = {}
        for at, why in self._failures:
            kinds.setdefault(why, []).append(at)
        return "; ".join(
            f"{len(at)} × {why} from {clock(at[0])} to {clock(at[-1])}" for why, at in kinds.items()
        )

    async def more(self, count: int) -> list[str]:
        """Wait for so many answers more, and return them. The first may be to connections of before."""
        first = len(self.answers)

        async def there() -> bool:
            return len(self.answers) >= first + count

        await wait_for(there, f"{count} answers on port {self._port}", within=20 + 3 * count / self._rate)
        return self.answers[first:]

    async def _pace(self) -> None:
        began, opened = monotonic(), 0
        while True:
            await asyncio.sleep(began + opened / self._rate - monotonic())
            opened += 1
            task = asyncio.create_task(self._ask())
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(5):
                self.answers.append(await self._answer())
        except (OSError, TimeoutError, ssl.SSLError, EOFError) as error:
            why = f"{type(error).__name__}: {error}"
            self.answers.append(f"!{why}")
            self._failures.append((time(), why))

    async def _answer(self) -> str:
        reader, writer = await self._cluster.dial(GATEWAY_IP, self._port)
        try:
            if self._tls is not None:
                await writer.start_tls(self._tls, server_hostname=self._name)
            writer.write(b"hello\n")
            await writer.drain()
            line = (await reader.readline()).decode()
            if not line.endswith("\n"):
                raise EOFError(f"the connection ended after {line!r}")
            return line.split()[0]
        finally:
            writer.close()
