"""A thin asynchronous client of the API server: raw dicts in and out. For the kubelet and for tests.

Not the controller's client: it retries nothing and hides nothing.
"""

import json
import ssl
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from urllib.parse import urlencode

import aiohttp

Object = dict[str, Any]
PatchKind = Literal["merge", "strategic", "json", "apply"]
CONTENT: Mapping[PatchKind, str] = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}


class KubeError(Exception):
    """The API server refused. `reason` is its Status object's: NotFound, Conflict, AlreadyExists, Invalid."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class Kube:
    """Calls by path. Use as an async context manager. Raises KubeError, aiohttp.ClientError, TimeoutError."""

    def __init__(self, url: str, token: str, certificate: Path, timeout: float = 10.0) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._tls = ssl.create_default_context(cafile=str(certificate))
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None
        self._resources: dict[str, dict[str, Object]] = {}

    async def __aenter__(self) -> "Kube":
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls)
        self._session = aiohttp.ClientSession(
            connector=connector, headers=self._headers, timeout=self._timeout, trust_env=False
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use the client in `async with`")
        return self._session

    async def call(
        self, method: str, path: str, body: Any = None, content: str = "application/json", **query: str
    ) -> Object:
        """One request; the answer as a dict."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content} if data is not None else {}
        async with self.session.request(
            method, self.url + path, data=data, headers=headers, params=query
        ) as answer:
            text = await answer.text()
            if answer.status >= 400:
                raise _error(answer.status, text)
            try:
                return dict(json.loads(text))
            except ValueError:
                return {"text": text}

    async def get(self, path: str, **query: str) -> Object:
        return await self.call("GET", path, **query)

    async def create(self, path: str, body: Object, **query: str) -> Object:
        return await self.call("POST", path, body, **query)

    async def replace(self, path: str, body: Object, **query: str) -> Object:
        return await self.call("PUT", path, body, **query)

    async def patch(self, path: str, body: Any, kind: PatchKind = "merge", **query: str) -> Object:
        return await self.call("PATCH", path, body, CONTENT[kind], **query)

    async def delete(self, path: str, options: Object | None = None) -> Object:
        return await self.call("DELETE", path, options)

    async def path_of(self, item: Mapping[str, Any]) -> str:
        """The path of an object by its apiVersion, kind, namespace and name, through discovery."""
        version, kind, metadata = item["apiVersion"], item["kind"], item["metadata"]
        root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        resource = self._resources.get(version, {}).get(kind)
        if resource is None:  # not yet asked, or a definition made since
            found = await self.get(root)
            self._resources[version] = {
                one["kind"]: one for one in found["resources"] if "/" not in one["name"]
            }
            resource = self._resources[version].get(kind)
        if resource is None:
            raise KubeError(404, "NotFound", f"the API server serves no {kind} in {version}")
        if resource["namespaced"]:
            root += f"/namespaces/{metadata.get('namespace', 'default')}"
        return f"{root}/{resource['name']}/{metadata['name']}"

    async def apply(self, item: Object, manager: str = "e2e", *, force: bool = True) -> Object:
        """Server-side apply of one object."""
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        return await self.patch(await self.path_of(item), item, "apply", **query)

    async def watch(
        self, path: str, version: str, timeout: int = 300
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """Yield (ADDED | MODIFIED | DELETED | BOOKMARK, object) from `version` on, until the server ends it.

        Raises KubeError(410) when `version` is too old: list again.
        """
        query = urlencode(
            {
                "watch": "1",
                "resourceVersion": version,
                "allowWatchBookmarks": "true",
                "timeoutSeconds": timeout,
            }
        )
        limits = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=timeout + 15)
        separator = "&" if "?" in path else "?"
        async with self.session.get(f"{self.url}{path}{separator}{query}", timeout=limits) as answer:
            if answer.status >= 400:
                raise _error(answer.status, await answer.text())
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        raise KubeError(
                            status.get("code", 500), status.get("reason", ""), status.get("message", "")
                        )
                    yield event["type"], event["object"]


def _error(status: int, text: str) -> KubeError:
    try:
        body = json.loads(text)
        return KubeError(status, str(body.get("reason", "")), str(body.get("message", "")))
    except (ValueError, AttributeError):
        return KubeError(status, "", text[:300])
