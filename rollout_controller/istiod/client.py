"""istiod's debug pages behind the port `Proxies`: which proxies may still send where nobody should.

Asked rarely, and only to explain, so everything about it is small: a connection for each question, no retry,
one limit of time for all of it and one of size for each answer. The token is put into a request at the last
moment and appears in no message; a redirect is not followed, so that it goes nowhere else.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import aiohttp

from rollout_controller.istiod.syncz import Proxy, behind, candidates, parse
from rollout_controller.ports import ProxiesError, Sender, Subset

LARGEST: Final = 4 << 20
"""Bytes of an answer that are read: what istiod says of some 2,000 proxies."""
DUMPS: Final = 5
"""Proxies whose routes are looked at: istiod makes each of these pages anew."""


@dataclass(frozen=True, slots=True)
class IstiodSettings:
    """Where istiod is: `url` is http[s]://host[:port], without credentials; `token_file` holds a bearer
    token, read for each question; `timeout` in seconds for all of a question."""

    url: str
    token_file: Path | None = None
    timeout: float = 3.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.username or parts.password:
            raise ValueError("expected no credentials in the address of istiod; give a token file")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                f'expected an address like "http://istiod.istio-system:15014", found {self.url!r}'
            )


class Istiod:
    """Implements `ports.Proxies`. One replica's view: a proxy that is connected to another is not seen."""

    def __init__(self, settings: IstiodSettings) -> None:
        self._settings = settings

    async def senders(self, subset: Subset, namespace: str) -> list[Sender]:
        """See `ports.Proxies.senders`."""
        try:
            async with (
                asyncio.timeout(self._settings.timeout),
                aiohttp.ClientSession(headers=self._headers(), auto_decompress=False) as session,
            ):
                return await self._senders(session, subset, namespace)
        except TimeoutError:
            raise ProxiesError(f"{self._where} gave no answer within {self._settings.timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ProxiesError(f"no connection to {self._where}: {error or type(error).__name__}") from None

    async def _senders(self, session: aiohttp.ClientSession, subset: Subset, namespace: str) -> list[Sender]:
        body, now = await self._get(session, "/debug/syncz")
        try:
            proxies = parse(json.loads(body))
        except ValueError:
            raise ProxiesError(f"{self._where} answered /debug/syncz with something else") from None
        return behind(proxies, now) or await self._routed(session, subset, candidates(proxies, namespace))

    async def _routed(
        self, session: aiohttp.ClientSession, subset: Subset, proxies: Iterable[Proxy]
    ) -> list[Sender]:
        """Those of the first few proxies whose routes, as istiod means them to be, name the subset's cluster.

        A destination of weight 0 is not in them.
        """
        cluster = re.compile(
            rf"outbound\|\d+\|{re.escape(subset.subset)}\|{re.escape(subset.host)}\"".encode()
        )
        named = f"subset {subset.subset} of {subset.host}" if subset.subset else subset.host
        found = []
        for proxy in list(proxies)[:DUMPS]:
            try:
                page = f"/debug/config_dump?types=rds&proxyID={quote(proxy.id, safe='')}"
                body, _ = await self._get(session, page)
            except ProxiesError:
                continue  # gone since, or more routes than are worth reading
            if cluster.search(body):
                found.append(Sender(proxy.id, f"is given a route to {named} by istiod"))
        return found

    async def _get(self, session: aiohttp.ClientSession, page: str) -> tuple[bytes, datetime | None]:
        """A page, and istiod's time. Raises ProxiesError, aiohttp's errors and TimeoutError."""
        url = self._settings.url.rstrip("/") + page
        async with session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                hint = "; is the token right?" if response.status in (401, 403) else ""
                raise ProxiesError(f"{self._where} answered {response.status} to {page}{hint}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > LARGEST:
                    raise ProxiesError(f"{self._where} answered {page} with more than {LARGEST >> 20} MiB")
            return bytes(body), _date(response.headers.get("Date", ""))

    def _headers(self) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        file = self._settings.token_file
        if file is None:
            return headers
        try:
            token = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ProxiesError(f"the token file {file} cannot be read: {reason}") from None
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ProxiesError(f"the token file {file} holds characters that no header can carry")
        return {**headers, "Authorization": f"Bearer {token}"} if token else headers

    @property
    def _where(self) -> str:
        return f"istiod at {self._settings.url}"


def _date(header: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
