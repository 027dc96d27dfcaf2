"""Probes: is a container ready, is it alive."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from e2e.localcluster import http


@dataclass(frozen=True)
class Probe:
    """A probe as the pod's spec writes it, with Kubernetes' defaults. Times in seconds."""

    host: str
    port: int
    path: str | None
    """None asks only for a connection."""
    headers: Mapping[str, str]
    delay: float
    period: float
    timeout: float
    successes: int
    failures: int

    async def ask(self) -> bool:
        """One attempt: an answer from 200 to 399, or a connection where no path is given."""
        try:
            if self.path is None:
                async with asyncio.timeout(self.timeout):
                    _, writer = await asyncio.open_connection(self.host, self.port)
                writer.close()
                return True
            answer = await http.request(
                "GET", self.host, self.port, self.path, headers=self.headers, timeout=self.timeout
            )
        except (OSError, TimeoutError):
            return False
        return 200 <= answer.status < 400

    async def run(self, tell: Callable[[bool], None]) -> None:
        """Probe for ever; `tell` hears True or False once the threshold in a row is reached."""
        await asyncio.sleep(self.delay)
        row, last = 0, None
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            good = await self.ask()
            row = row + 1 if good is last else 1
            last = good
            if row == (self.successes if good else self.failures):
                tell(good)
            await asyncio.sleep(max(0.0, self.period - (loop.time() - began)))


def parse(raw: Mapping[str, Any] | None, container: Mapping[str, Any], ip: str) -> Probe | None:
    """A probe out of a container's spec; None where there is none of a kind we run.

    Raises ValueError for a port name that the container does not declare.
    """
    if not raw:
        return None
    action = raw.get("httpGet") or raw.get("tcpSocket")
    if action is None:
        return None
    return Probe(
        host=action.get("host") or ip,
        port=_port(action["port"], container),
        path=action.get("path", "/") if "httpGet" in raw else None,
        headers={item["name"]: item["value"] for item in action.get("httpHeaders", [])},
        delay=raw.get("initialDelaySeconds", 0),
        period=raw.get("periodSeconds", 10),
        timeout=raw.get("timeoutSeconds", 1),
        successes=raw.get("successThreshold", 1),
        failures=raw.get("failureThreshold", 3),
    )


def _port(port: int | str, container: Mapping[str, Any]) -> int:
    if isinstance(port, int):
        return port
    for declared in container.get("ports", []):
        if declared.get("name") == port:
            return int(declared["containerPort"])
    raise ValueError(f"container {container['name']} declares no port named {port}")
