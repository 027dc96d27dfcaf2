"""A Deployment with its mesh and its Rollout, a controller beside it, and what a test does and sees there.

world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
await world.release("v2")
await world.at(25)
await world.command("promote", "full")
await world.phase("Healthy")
await world.assert_at_rest("v2")
"""

import asyncio
import copy
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Any, Final

from e2e.load import Load
from e2e.localcluster.kube import KubeError, Object
from e2e.tests.controller import Controller
from e2e.tests.meshes import Layout, Mesh, Place, subsets
from e2e.tests.support import Namespace, clock, deployment, wait_for

GROUP: Final = "rollout-controller.dev"
LABEL: Final = f"{GROUP}/rollout"
HELD_BY: Final = f"{GROUP}/held-by"
NETWORKING: Final = "networking.istio.io/v1"
HASH_LABEL: Final = "pod-template-hash"

HOLD: Final[Object] = {"weight": 25, "minDuration": "5m"}
"""A step that lasts until the test does something."""
_MESH: Final = {
    "VirtualService": "virtualservices",
    "DestinationRule": "destinationrules",
    "Service": "services",
}
"""The kinds of a mesh, and their plurals in a path."""
RATE: Final = 60.0
"""Requests per second: enough to judge a few percent within seconds, and to see a gap of 20 ms."""
GONE: Final = 410
SECONDS: Final = 60.0
"""How long a phase is waited for: several times what it takes on two busy cores."""

Json = Any


def rollout(
    name: str = "web",
    *,
    istio: Object | None = None,
    steps: Sequence[Object] | None = None,
    pin: Sequence[Object] = (),
    **spec: Json,
) -> Object:
    """A Rollout of seconds instead of minutes. `spec` replaces or adds fields, as YAML names them."""
    canary: Object = {} if steps is None else {"steps": list(steps)}
    usual = {
        "virtualServices": [{"name": name, "routes": ["primary"]}],
        "destinationRule": {"name": name, "stableSubset": "stable", "canarySubset": "canary"},
    }
    return {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": {
            "workload": {"deployment": name},
            "traffic": {"istio": istio or usual},
            "strategy": {"canary": canary | ({"pin": list(pin)} if pin else {})},
            "analysis": analysis(),
            "minDuration": "1s",
            "bake": "1s",
            "drain": "1s",
            "progressDeadline": "30s",
            **spec,
        },
    }


def analysis(**fields: Json) -> Object:
    """Readings each second. The limits are wide: a busy machine is no bad version."""
    return {
        "interval": "1s",
        "window": "10s",
        "warmup": "0s",
        "minRequests": 10,
        "failureLimit": 2,
        "checks": [{"errorRate": {"max": "4%"}}, {"latency": {"quantile": 0.99, "max": "5s"}}],
        **fields,
    }


@dataclass
class World:
    """One Rollout and all that belongs to it, everything under one name. Waits fail with what they saw."""

    namespace: Namespace
    controller: Controller
    name: str = "web"
    mesh: Layout = subsets
    pre_stop: int = 1
    """Seconds for which its pods serve on when they are told to end."""
    applied: dict[str, Object] = field(default_factory=dict)
    """By kind, and by `kind/name` where the name is not the world's, what the API server made of what was
    applied, before any controller saw it."""

    @staticmethod
    async def begin(
        namespace: Namespace,
        controller: Controller,
        *,
        name: str = "web",
        replicas: int = 3,
        mesh: Layout = subsets,
        pre_stop: int = 1,
        answers: bool = True,
        **spec: Json,
    ) -> "World":
        """Apply the usual set with version v1, start the controller if none runs, wait until all is Healthy
        and v1 `answers` through Envoy. `spec` is as for `rollout`."""
        world = World(namespace, controller, name, mesh, pre_stop)
        if not controller.running:
            await controller.start()
        await world.apply(replicas, rollout(name, istio=dict(world.laid.istio), **spec))
        await controller.ready()
        await world.phase("Healthy")
        if answers:
            await world.serving()
        return world

    async def apply(self, replicas: int, *more: Object) -> None:
        """Apply the usual set, note what the API server made of it, then apply `more`."""
        for item in await self.namespace.apply(*self.manifests(replicas).values()):
            self.applied[self._key(item)] = item
        await self.namespace.apply(*more)

    def manifests(self, replicas: int = 3) -> dict[str, Object]:
        """Deployment and mesh as git has them, by kind as in `applied`."""
        laid = self.laid
        objects = [
            deployment(self.name, replicas=replicas, env=laid.env, pre_stop=self.pre_stop),
            *laid.objects,
        ]
        return {self._key(item): item for item in objects}

    def _key(self, item: Object) -> str:
        kind, name = item["kind"], item["metadata"]["name"]
        return str(kind if name == self.name else f"{kind}/{name}")

    @property
    def service(self) -> str:
        """The full host name of the Service of the world's name."""
        return self._place.service

    @property
    def host(self) -> str:
        """Where the VirtualService serves it."""
        return f"{self.name}.{self.namespace.host}"

    @property
    def laid(self) -> Mesh:
        """The mesh for this world's name and namespace."""
        return self.mesh(self._place)

    @property
    def _place(self) -> Place:
        return Place(self.name, self.namespace.name, self.host)

    # -- doing -------------------------------------------------------------------------------------------

    async def release(self, version: str, *, image: str = "", env: Mapping[str, str] | None = None) -> None:
        """Set a new version of the demo application, with `env` of its own beside the version."""
        every = {**self.laid.env, **(env or {})}
        template = deployment(version=version, image=image, env=every)["spec"]["template"]
        (container,) = template["spec"]["containers"]
        change = {
            "name": container["name"],
            "image": container["image"],
            "env": [{"$patch": "replace"}, *container["env"]],
        }
        body = {"spec": {"template": {"spec": {"containers": [change]}}}}
        query = {"fieldManager": "kubectl-set"}
        await self.namespace.kube.patch(self._path("deployments"), body, "strategic", **query)

    async def kubectl(self, *arguments: str) -> str:
        """kubectl in this namespace; it must succeed."""
        return (await self.namespace.kubectl(*arguments)).check().stdout

    async def command(self, verb: str, value: str = "true") -> None:
        """Annotate the Rollout, as people do."""
        await self.kubectl("annotate", "rlt", self.name, f"{GROUP}/{verb}={value}")

    def load(
        self, rate: float = RATE, *, host: str = "", path: str = "", headers: Mapping[str, str] | None = None
    ) -> Load:
        """Requests through Envoy, to the world's own host unless told otherwise."""
        return self.namespace.load(rate, host=host or self.host, path=path, headers=headers)

    async def patch(self, plural: str, body: Json, *, manager: str = "kubectl-edit") -> Object:
        """Merge (a dict) or JSON-patch (a list) one of the world's objects under another field manager."""
        kind = "json" if isinstance(body, list) else "merge"
        query = {"fieldManager": manager}
        return await self.namespace.kube.patch(self._path(plural), body, kind, **query)  # type: ignore[arg-type]

    async def weigh(self, canary: int, *, manager: str) -> None:
        """Set the weights of the VirtualService under another field manager."""
        where = "/spec/http/0/route/{}/weight"
        ops = [
            {"op": "replace", "path": where.format(index), "value": weight}
            for index, weight in enumerate((100 - canary, canary))
        ]
        await self.patch("virtualservices", ops, manager=manager)

    # -- seeing ------------------------------------------------------------------------------------------

    def _path(self, plural: str, name: str = "") -> str:
        groups = {
            "rollouts": f"{GROUP}/v1alpha1",
            "deployments": "apps/v1",
            "virtualservices": NETWORKING,
            "destinationrules": NETWORKING,
        }
        return self.namespace.path(plural, name or self.name, groups.get(plural, ""))

    async def get(self, plural: str, name: str = "") -> Object:
        """One of the world's objects: rollouts, deployments, services, virtualservices, destinationrules."""
        return await self.namespace.kube.get(self._path(plural, name))

    async def status(self) -> Object:
        """The Rollout's status, {} while it has none."""
        status: Object = (await self.get("rollouts")).get("status") or {}
        return status

    async def until(self, holds: Callable[[Object], bool], what: str, within: float = SECONDS) -> Object:
        """Wait until the Rollout's status is as wanted, and return it."""
        last: Object = {}
        try:
            async with asyncio.timeout(within) as limit, aclosing(self._statuses()) as statuses:
                async for last in statuses:
                    if holds(last):
                        return last
        except TimeoutError:
            if not limit.expired():
                raise  # a call that got no answer
        seen = {key: last.get(key) for key in ("phase", "step", "weight", "message")}
        raise AssertionError(f"waited {within:g} s in vain for {what}; it is {seen}")

    async def _statuses(self) -> AsyncGenerator[Object, None]:
        """The Rollout's status as it is now, and then each that it gets."""
        rollouts = self.namespace.path("rollouts", group=f"{GROUP}/v1alpha1")
        while True:
            try:
                found = await self.get("rollouts")
                yield found.get("status") or {}
                since = found["metadata"]["resourceVersion"]
                mine = f"{rollouts}?fieldSelector=metadata.name={self.name}"
                async with aclosing(self.namespace.kube.watch(mine, since)) as events:
                    async for kind, item in events:
                        if kind != "BOOKMARK":
                            yield item.get("status") or {}
            except KubeError as error:
                if error.status != GONE:  # what came after `since` is forgotten already: read anew
                    raise

    async def phase(self, phase: str, within: float = SECONDS) -> Object:
        """Wait for a phase; the status then."""
        return await self.until(lambda status: status.get("phase") == phase, f"phase {phase}", within)

    async def at(self, weight: int, phase: str = "Progressing", within: float = SECONDS) -> Object:
        """Wait until the canary has this share, by what was read back; the status then."""
        return await self.until(
            lambda status: status.get("phase") == phase and status.get("weight") == weight,
            f"phase {phase} at {weight} %",
            within,
        )

    async def weights(self, name: str = "") -> list[int]:
        """The weights of stable and canary in the VirtualService."""
        routes = (await self.get("virtualservices", name))["spec"]["http"][0]["route"]
        return [one.get("weight", 0) for one in routes]

    async def pins(self) -> list[str | None]:
        """The revisions to which the subsets stable and canary are pinned."""
        subsets = (await self.get("destinationrules"))["spec"]["subsets"]
        return [one["labels"].get(HASH_LABEL) for one in subsets]

    async def replica_sets(self) -> dict[str, Object]:
        """By revision."""
        found = await self.namespace.kube.get(self.namespace.path("replicasets", group="apps/v1"))
        mine = [one for one in found["items"] if one["metadata"]["name"].startswith(f"{self.name}-")]
        return {one["metadata"]["labels"][HASH_LABEL]: one for one in mine}

    async def pods(self, revision: str) -> list[Object]:
        """Pods of a revision, terminating ones included."""
        return await self.namespace.pods(**{"app": self.name, HASH_LABEL: revision})

    async def events(self, reason: str = "") -> list[str]:
        """What the Events on the Rollout say, with this reason or all, in their order."""
        found = await self.namespace.kube.get(self.namespace.path("events", group="events.k8s.io/v1"))
        mine = [one for one in found["items"] if _of(one) == ("Rollout", self.name)]
        mine.sort(key=lambda one: one["eventTime"] or "")
        return [f"{one['reason']}: {one['note']}" for one in mine if reason in ("", one["reason"])]

    async def event(self, reason: str, *words: str, within: float = 10.0) -> str:
        """Wait for an Event with this reason that says these words."""

        async def told() -> str | None:
            return next((e for e in await self.events(reason) if all(word in e for word in words)), None)

        return await wait_for(told, f"an Event {reason} that says {words}", within)

    async def serving(
        self, version: str = "v1", within: float = SECONDS, *, headers: Mapping[str, str] | None = None
    ) -> None:
        """Wait until Envoy brings an answer of a version, to requests with these headers."""

        async with self.load(20, headers=headers) as load:

            async def answered() -> bool:
                return load.first(version) is not None

            await wait_for(answered, f"{version} to answer at {self.host}", within)

    async def pods_told(self) -> None:
        """Wait until the Deployment's own status says that all its pods are available: nobody has more to
        write there, while one of several pods can answer long before."""

        async def told() -> bool:
            found = await self.get("deployments")
            status = found.get("status") or {}
            return (
                status.get("observedGeneration") == found["metadata"]["generation"]
                and status.get("availableReplicas") == status.get("replicas") == found["spec"]["replicas"]
                and any(one.get("reason") == "NewReplicaSetAvailable" for one in status.get("conditions", ()))
            )

        await wait_for(told, f"the status of Deployment {self.name} to count all its pods as available")

    async def pod_post(self, revision: str, path: str, *, only: int | None = None) -> None:
        """POST to the demo application's own port on a revision's pods, or on the first `only` by name."""
        pods = sorted(await self.pods(revision), key=lambda pod: str(pod["metadata"]["name"]))
        for pod in pods[:only]:
            address = pod["status"]["podIP"]
            await self.namespace.cluster.pod_request(address, 15020, path, method="POST")

    # -- judging -----------------------------------------------------------------------------------------

    async def assert_mesh_is_home(self) -> None:
        """VirtualServices, DestinationRules and Services say exactly what was applied."""
        for key, said in self.applied.items():
            if said["kind"] not in _MESH:
                continue
            found = await self.get(_MESH[said["kind"]], said["metadata"]["name"])
            assert found["spec"] == said["spec"], key
            for part in ("labels", "annotations", "finalizers"):
                assert found["metadata"].get(part) == said["metadata"].get(part), f"{key} {part}"

    async def assert_at_rest(self, version: str, replicas: int = 3) -> None:
        """Nothing of a release is left: the mesh as applied, an ordinary un-paused Deployment of that version
        with one ReplicaSet in use, its own; one label of ours, no finalizer."""

        async def let_go() -> bool:
            return not (await self.get("rollouts"))["metadata"].get("finalizers")

        # Healthy is written before the pause is taken off, and the finalizer goes last.
        await wait_for(let_go, "the finalizer to go")
        await self.assert_mesh_is_home()
        found, said = await self.get("deployments"), copy.deepcopy(self.applied["Deployment"])
        container = said["spec"]["template"]["spec"]["containers"][0]
        told = found["spec"]["template"]["spec"]["containers"][0]
        container |= {"image": told["image"], "env": told["env"]}
        assert {"name": "VERSION", "value": version} in told["env"]
        assert found["spec"] == {**said["spec"], "replicas": replicas}
        assert found["metadata"]["labels"] == {LABEL: self.name}
        assert HELD_BY not in found["metadata"].get("annotations", {})
        await self.kubectl("rollout", "status", f"deployment/{self.name}", "--timeout=10s")
        sets = await self.replica_sets()
        active = {revision: one for revision, one in sets.items() if one["spec"]["replicas"]}
        status = await self.status()
        assert list(active) == ([status["stable"]] if replicas else [])
        for one in sets.values():
            (owner,) = one["metadata"]["ownerReferences"]
            assert (owner["kind"], owner["name"], owner["controller"]) == ("Deployment", self.name, True)
        assert sets[status["stable"]]["status"].get("availableReplicas", 0) == replicas

    async def assert_no_pods(self, revision: str) -> None:
        """None of a revision's pods works any more; the kubelet deletes one a moment after it ended."""
        left = await self.pods(revision)
        assert {pod["status"]["phase"] for pod in left} <= {"Succeeded", "Failed"}, left

        async def none_left() -> bool:
            return not await self.pods(revision)

        await wait_for(none_left, f"the pods of {revision}, which have ended, to be deleted", 5)

    async def assert_reverted(self, canary: str) -> None:
        """Everybody is on stable, the canary is gone, and the Deployment is held with its new template."""
        await self.assert_mesh_is_home()
        status, found = await self.status(), await self.get("deployments")
        assert canary not in await self.replica_sets()
        await self.assert_no_pods(canary)
        assert found["spec"]["paused"] is True
        assert found["metadata"]["annotations"][HELD_BY] == self.name
        assert (await self.get("rollouts"))["metadata"]["finalizers"]
        assert status["history"][0]["outcome"] == "Reverted"
        assert status["history"][0]["revision"] == canary


def failed(load: Load) -> str:
    """What became of the requests that failed, a part per kind of failure; empty where none did."""
    kinds: dict[str, list[float]] = {}
    for answer in load.failures():
        what = f"{answer.status or answer.error} by {answer.version or 'nobody'}"
        kinds.setdefault(what, []).append(answer.done)
    ago = time() - monotonic()
    return "; ".join(
        f"{len(at)} × {what} from {clock(ago + at[0])} to {clock(ago + at[-1])}" for what, at in kinds.items()
    )


def _of(event: Object) -> tuple[str | None, str | None]:
    return event["regarding"].get("kind"), event["regarding"].get("name")


async def gone(ask: Callable[[], Awaitable[Object]], what: str, within: float = 30.0) -> None:
    """Wait until a read answers NotFound."""

    async def missing() -> bool:
        try:
            await ask()
        except KubeError as error:
            if error.status == 404:
                return True
            raise
        return False

    await wait_for(missing, f"{what} to be gone", within)
