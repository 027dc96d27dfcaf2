"""Prometheus behind the port `Metrics`.

prometheus-api-client is synchronous, so it gets threads of its own, few of them: a Prometheus that hangs
fills these and nothing else. Every answer comes within the timeout or is an error. The token is put into a
request at the last moment and appears in no message.
"""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from requests.auth import AuthBase
from urllib3.util.retry import Retry

from rollout_controller.ports import MetricsError, Sample, Series
from rollout_controller.prometheus.threads import Threads

Count = Callable[[str, float], None]
"""Told after each query how it ended and its seconds.

`ok`; `slow`, `unreachable`, `refused` (an error status, or no usable token), `unusable` (no answer of
Prometheus' API); `cut` if nobody waited for the answer any more.
"""

_LONGEST: Final = 200
"""Characters of Prometheus' own words that go into a message."""


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """Where Prometheus is and how it is asked.

    `url` is http[s]://host[:port][/path], without credentials; `token` a bearer token, or `token_file` a file
    with one, read for each query because such files are renewed; `ca_file` a certificate authority for https;
    `timeout` in seconds for one query; `threads` how many queries there are at the same time.
    """

    url: str
    token: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    timeout: float = 5.0
    threads: int = 4

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.username or parts.password:
            raise ValueError("expected no credentials in the address of Prometheus; give a bearer token")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f'expected an address like "http://prometheus:9090", found {self.url!r}')

    def __repr__(self) -> str:
        return f"PrometheusSettings({self.url!r})"


class _Failed(Exception):
    """How a query ended, in one word, and what there is to say."""

    def __init__(self, outcome: str, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class _Bearer(AuthBase):
    """Signs a request when it is sent; requests takes the header off again on the way to another host."""

    def __init__(self, settings: PrometheusSettings) -> None:
        self._settings = settings

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        token = self._settings.token
        if self._settings.token_file is not None:
            try:
                token = self._settings.token_file.read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not text"
                raise _Failed(
                    "refused", f"the token file {self._settings.token_file} cannot be read: {reason}"
                ) from None
        if token:
            if not token.isascii() or not token.isprintable() or " " in token:
                raise _Failed("refused", "the bearer token has characters that no header can carry")
            request.headers["Authorization"] = f"Bearer {token}"
        return request


class Prometheus:
    """Implements `ports.Metrics`. Close it when done."""

    def __init__(self, settings: PrometheusSettings, *, count: Count | None = None) -> None:
        self._settings = settings
        self._count = count
        self._threads = Threads(settings.threads, "prometheus")
        self._local = threading.local()

    async def query(self, promql: str, *, at: datetime | None = None) -> list[Sample]:
        """See `ports.Metrics.query`."""
        return await self._ask(_vector, promql, at)

    async def series(self, selector: str, *, at: datetime | None = None) -> list[Series]:
        """See `ports.Metrics.series`."""
        return await self._ask(_matrix, selector, at)

    def close(self) -> None:
        """Take no more queries. Threads that still wait for an answer hold nothing up."""
        self._threads.close()

    async def _ask(self, parse: Callable[[Any], list[Any]], promql: str, at: datetime | None) -> list[Any]:
        began, outcome = time.monotonic(), "cut"
        try:
            # A read timeout counts from byte to byte, so the whole has a deadline of its own.
            async with asyncio.timeout(self._settings.timeout + 0.5):
                raw = await asyncio.wrap_future(self._threads.submit(lambda: self._fetch(promql, at)))
            answer = parse(raw)
            outcome = "ok"
            return answer
        except TimeoutError:
            outcome = "slow"
            raise MetricsError(self._slow()) from None
        except _Failed as failed:
            outcome = failed.outcome
            raise MetricsError(str(failed)) from None
        finally:
            if self._count is not None:
                self._count(outcome, time.monotonic() - began)

    def _fetch(self, promql: str, at: datetime | None) -> Any:
        """One query, in a thread. Raises _Failed, never anything with a header in it."""
        params: dict[str, str] = {"timeout": f"{self._settings.timeout:g}s"}
        if at is not None:
            params["time"] = f"{at.timestamp():.3f}"
        try:
            return self._connection().custom_query(promql, params=params)
        except requests.Timeout:
            raise _Failed("slow", self._slow()) from None
        except requests.exceptions.JSONDecodeError:
            raise _Failed("unusable", f"{self._where} answered something that is not JSON") from None
        except requests.RequestException as error:
            raise _Failed("unreachable", f"no connection to {self._where}: {_cause(error)}") from None
        except PrometheusApiClientException as error:
            raise _Failed("refused", f"{self._where} refused the query: {_refusal(str(error))}") from None
        except (KeyError, TypeError, ValueError):
            raise _Failed("unusable", f"{self._where} answered JSON that is not Prometheus' own") from None

    def _connection(self) -> PrometheusConnect:
        """One per thread: a session of requests is not made to be shared."""
        found: PrometheusConnect | None = getattr(self._local, "connection", None)
        if found is None:
            session = requests.Session()
            session.trust_env = False
            session.max_redirects = 3
            session.verify = str(self._settings.ca_file) if self._settings.ca_file else True
            found = PrometheusConnect(
                self._settings.url.rstrip("/"),
                session=session,
                retry=Retry(0, read=False),
                timeout=self._settings.timeout,
                auth=_Bearer(self._settings),
            )
            self._local.connection = found
        return found

    @property
    def _where(self) -> str:
        return f"Prometheus at {self._settings.url}"

    def _slow(self) -> str:
        return f"{self._where} gave no answer within {self._settings.timeout:g} s"


def _cause(error: BaseException) -> str:
    """The innermost reason of a chain of wrapped errors, in the words of the system."""
    seen: BaseException = error
    while True:
        inner = getattr(seen, "reason", None) or next(
            (a for a in seen.args if isinstance(a, Exception)), None
        )
        if not isinstance(inner, BaseException) or inner is seen:
            break
        seen = inner
    cause = seen.__cause__ or seen.__context__ or seen
    text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return text[:_LONGEST]


def _refusal(message: str) -> str:
    """Prometheus' own words out of `HTTP Status Code 400 (b'{"error": ...}')`."""
    status, _, body = message.removeprefix("HTTP Status Code ").partition(" ")
    try:
        words = json.loads(body[3:-2].encode().decode("unicode_escape")).get("error") or body
    except (ValueError, AttributeError):
        words = body[3:-2]
    hint = "; is the bearer token right?" if status in ("401", "403") else ""
    return f"{status} {str(words).strip()[:_LONGEST]}".strip() + hint


def _number(text: Any) -> float:
    return float(text) if isinstance(text, str) else math.nan


def _vector(raw: Any) -> list[Sample]:
    try:
        return [Sample(dict(row["metric"]), _number(row["value"][1]), float(row["value"][0])) for row in raw]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise _Failed("unusable", "the query gives no instant vector") from None


def _matrix(raw: Any) -> list[Series]:
    try:
        return [
            Series(dict(row["metric"]), tuple((float(at), _number(value)) for at, value in row["values"]))
            for row in raw
        ]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise _Failed("unusable", "the query gives no range vector") from None
