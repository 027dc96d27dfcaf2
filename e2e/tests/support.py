"""What tests on the real parts share: waiting for conditions, a namespace of one's own, small objects."""

import asyncio
import contextlib
import json
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp
import yaml

from e2e.load import Load
from e2e.localcluster import Completed, LocalCluster, http
from e2e.localcluster.kube import Kube, KubeError, Object

T = TypeVar("T")

_WORKING = {
    "rollout-controller.dev/v1alpha1": ("rollouts",),
    "autoscaling/v2": ("horizontalpodautoscalers",),
    "apps/v1": ("deployments", "replicasets"),
    "": ("pods", "services"),
    "networking.istio.io/v1": (
        "virtualservices",
        "destinationrules",
        "gateways",
        "sidecars",
        "serviceentries",
    ),
}
"""What costs something for as long as it is there, by group."""


def heed_interrupts() -> None:
    """Before a program starts: a shell's background jobs, and so their children, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def wait_for(
    condition: Callable[[], Awaitable[T | None]], what: str, within: float = 20.0, every: float = 0.1
) -> T:
    """Ask until the answer is true, and return it. Fails after `within` seconds, naming `what` and the last
    answer."""
    deadline = monotonic() + within
    while True:
        answer = await condition()
        if answer:
            return answer
        if monotonic() > deadline:
            raise AssertionError(f"waited {within:g} s in vain for {what}; the last answer was {answer!r}")
        await asyncio.sleep(every)


def clock(seconds: float) -> str:
    """A time as time.time() has it, as logs show it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S.%f")[:-3]


@dataclass(frozen=True)
class Namespace:
    """A namespace, and what a test does in it. Names of kinds are given as the API's plurals in a path."""

    cluster: LocalCluster
    kube: Kube
    name: str

    @staticmethod
    @contextlib.asynccontextmanager
    async def make(cluster: LocalCluster, kube: Kube, prefix: str = "t") -> AsyncIterator["Namespace"]:
        """Create one with a random name. What works in it is deleted at the end, not awaited; the empty
        namespace goes with its cluster, as deleting one costs the controller-manager 140 calls."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        await kube.create("/api/v1/namespaces", {"metadata": {"name": name}})
        fresh = Namespace(cluster, kube, name)
        try:
            yield fresh
        finally:
            await fresh._empty()

    async def _empty(self) -> None:
        """Delete what runs, watches, routes or is watched; pods and ReplicaSets go with their Deployments."""
        options = {"propagationPolicy": "Background"}
        for group, plurals in _WORKING.items():
            for plural in plurals:
                # a cluster that is gone keeps nothing; the test's own failure is what matters then
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    try:
                        await self.kube.delete(self.path(plural, group=group), options)
                    except KubeError as error:
                        if error.status != 404:  # a bare cluster has no such kind
                            raise

    @property
    def host(self) -> str:
        """A host name that no other test uses."""
        return f"{self.name}.example"

    def path(self, plural: str, name: str = "", group: str = "") -> str:
        """`path("pods")`, `path("deployments", "web", "apps/v1")`."""
        root = f"/apis/{group}" if group else "/api/v1"
        return f"{root}/namespaces/{self.name}/{plural}" + (f"/{name}" if name else "")

    async def apply(self, *items: Object | str) -> list[Object]:
        """Server-side apply of objects, or of YAML with one or more documents, into this namespace."""
        applied = []
        for item in items:
            documents = list(yaml.safe_load_all(item)) if isinstance(item, str) else [item]
            for document in filter(None, documents):
                inside = {**document, "metadata": {**document["metadata"], "namespace": self.name}}
                applied.append(await self.kube.apply(inside))
        return applied

    async def kubectl(self, *arguments: str, stdin: str = "", timeout: float = 60.0) -> Completed:
        """kubectl in this namespace. Not checked: call .check() on the answer where it must succeed."""
        return await self.cluster.kubectl("-n", self.name, *arguments, stdin=stdin, timeout=timeout)

    async def deployment(self, name: str) -> Object:
        return await self.kube.get(self.path("deployments", name, "apps/v1"))

    async def pods(self, **labels: str) -> list[Object]:
        """The pods with these labels, terminating ones included."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        found = await self.kube.get(self.path("pods"), labelSelector=selector)
        items: list[Object] = found["items"]
        return items

    async def rolled_out(self, name: str, within: float = 30.0) -> Object:
        """Wait until the Deployment's own status says that all of its pods are new and available."""

        async def done() -> Object | None:
            found = await self.deployment(name)
            status, wanted = found.get("status", {}), found["spec"]["replicas"]
            counts = {status.get(f"{kind}Replicas", 0) for kind in ("updated", "available", "ready")}
            seen = status.get("observedGeneration") == found["metadata"]["generation"]
            return found if seen and counts == {wanted} and status.get("replicas", 0) == wanted else None

        return await wait_for(done, f"Deployment {self.name}/{name} to be rolled out", within)

    async def query(self, promql: str) -> list[Any]:
        """An instant query to Prometheus: the `result` of its answer."""
        port, path = self.cluster.state.ports["prometheus"], f"/api/v1/query?{urlencode({'query': promql})}"
        answer = await http.request("GET", "127.0.0.1", port, path)
        result: list[Any] = json.loads(answer.body)["data"]["result"]
        return result

    def load(
        self, rate: float, *, host: str = "", path: str = "", headers: Mapping[str, str] | None = None
    ) -> Load:
        """Requests through Envoy, to this namespace's own host unless told otherwise."""
        return Load(self.cluster.gateway_url + path, rate, host=host or self.host, headers=headers)


def deployment(
    name: str = "web",
    *,
    replicas: int = 3,
    version: str = "v1",
    env: Mapping[str, str] | None = None,
    image: str = "",
    labels: Mapping[str, str] | None = None,
    pre_stop: int = 1,
    probe: bool = True,
    spec: Mapping[str, Any] | None = None,
) -> Object:
    """A Deployment of the demo application, scraped by Prometheus, serving on through `pre_stop` seconds."""
    variables = {"VERSION": version, **(env or {})}
    container: Object = {
        "name": "app",
        "image": image or f"app:{version}",
        "command": ["python3", "-S", "-m", "e2e.app"],  # it needs no packages, and starts sooner
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "ports": [{"containerPort": 8080, "name": "http"}],
        "lifecycle": {"preStop": {"sleep": {"seconds": pre_stop}}},
    }
    if probe:
        get = {"path": "/healthz", "port": "http"}
        container["readinessProbe"] = {
            "httpGet": get,
            "periodSeconds": 1,
            "failureThreshold": 1,
            "timeoutSeconds": 5,
        }
    annotations = {"prometheus.io/scrape": "true"}
    template = {
        "metadata": {"labels": {"app": name, **(labels or {})}, "annotations": annotations},
        "spec": {"terminationGracePeriodSeconds": 5, "containers": [container]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": template,
            **(spec or {}),
        },
    }


def service(
    name: str = "web", selector: Mapping[str, str] | None = None, ports: Sequence[Object] = ()
) -> Object:
    """A Service for the Deployment of that name. Further `ports` stand beside that for HTTP."""
    every = [{"port": 80, "targetPort": 8080, "name": "http"}, *ports]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": dict(selector or {"app": name}), "ports": every},
    }


def virtual_service(
    host: str,
    routes: list[Object],
    name: str = "web",
    gateways: tuple[str, ...] = ("istio-system/local",),
    *,
    mesh: str = "",
    **sections: list[Object],
) -> Object:
    """A VirtualService for `host` behind the cluster's shared gateway, and for the host `mesh` in the mesh;
    `sections` are its tls and tcp."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name},
        "spec": {
            "hosts": [host, *([mesh] if mesh else [])],
            "gateways": [*gateways, *(["mesh"] if mesh else [])],
            "http": routes,
            **sections,
        },
    }


def route(destinations: Mapping[str, int], *, host: str, name: str = "primary", **fields: Any) -> Object:
    """An http route without retries, so that failures are counted: subset name -> weight.

    `fields` replace or add others, as YAML names them; without a name it has none.
    """
    named = {"name": name} if name else {}
    weighted = [
        {"destination": {"host": host, "subset": subset}, "weight": weight}
        for subset, weight in destinations.items()
    ]
    return {**named, "retries": {"attempts": 0}, "route": weighted, **fields}


def destination_rule(host: str, subsets: Mapping[str, Mapping[str, str]], name: str = "web") -> Object:
    """A DestinationRule: subset name -> its labels."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": name},
        "spec": {
            "host": host,
            "subsets": [{"name": subset, "labels": dict(labels)} for subset, labels in subsets.items()],
        },
    }
