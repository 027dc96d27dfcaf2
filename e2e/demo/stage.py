"""Sets the stage: the CRD, the gate and demo/*.yaml in a fresh cluster, as a user's kubectl would."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

import yaml

from e2e.demo import rest
from e2e.localcluster import Completed, LocalCluster
from e2e.localcluster.kube import Object
from e2e.localcluster.layout import REPOSITORY
from rollout_controller.api.names import HELD_BY, LABEL

NAMESPACE = "demo"
NAME = "web"
"""Of Deployment, Service, Gateway, VirtualService, DestinationRule and Rollout alike."""
HOST = "web.example"
FILES = REPOSITORY / "demo"

T = TypeVar("T")


class DemoError(Exception):
    """The demo cannot go on; the message says what was waited for or refused."""


async def until(what: str, ask: Callable[[], Awaitable[T | None]], within: float = 30.0) -> T:
    """Ask until the answer is true, and give it. Raises DemoError after `within` seconds."""
    deadline = monotonic() + within
    while True:
        answer = await ask()
        if answer:
            return answer
        if monotonic() > deadline:
            raise DemoError(f"waited {within:g} s for {what}; the last answer was {answer!r}")
        await asyncio.sleep(0.2)


@dataclass(frozen=True)
class Stage:
    """The demo's namespace in a cluster."""

    cluster: LocalCluster

    async def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl printed, in the demo's namespace. Raises DemoError with its complaint."""
        done = await self.try_(*arguments, stdin=stdin)
        if done.status:
            raise DemoError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    async def try_(self, *arguments: str, stdin: str = "") -> Completed:
        """The same for a call that may fail."""
        return await self.cluster.kubectl("--namespace", NAMESPACE, *arguments, stdin=stdin)

    async def get(self, kind: str, *more: str) -> Object:
        """The live object (or list) of the demo's name, as JSON."""
        found: Object = json.loads(await self.kubectl("get", kind, *(more or (NAME,)), "-o", "json"))
        return found

    async def install(self) -> None:
        """The CRD, and the gate until it acts."""
        crd = REPOSITORY / "crds" / "rollouts.yaml"
        await self.kubectl("apply", "-f", str(crd))
        await self.kubectl("wait", "--for=condition=Established", "-f", str(crd), "--timeout=30s")
        await self.kubectl("apply", "-k", str(REPOSITORY / "deploy" / "gate"))

    async def apply(self) -> None:
        """demo/*.yaml, until its pods are ready. A Rollout is served a moment after its CRD is there."""

        async def applied() -> bool:
            done = await self.try_("apply", "-k", str(FILES))
            if done.status and "no matches for kind" not in done.stderr:
                raise DemoError(f"kubectl apply -k demo: {done.stderr.strip()}")
            return not done.status

        await until("demo/ to be accepted", applied)
        await self.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=60s")

    async def set_pace(self, minimum: str) -> None:
        """How long a step lasts at least: a duration, as the Rollout writes it."""
        await self.kubectl(
            "patch", "rlt", NAME, "--type=merge", "--patch", json.dumps({"spec": {"minDuration": minimum}})
        )

    async def deployment_as_created(self, image: str) -> Object:
        """What git says of the Deployment with this image, and what the API server fills in by itself: its
        answer to a dry run of creating demo/deployment.yaml under another name."""
        said = document("deployment")
        said["metadata"]["name"] += "-as-in-git"
        said["spec"]["template"]["spec"]["containers"][0]["image"] = image
        answer = await self.kubectl(
            "create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(said)
        )
        created: Object = json.loads(answer)
        return created

    async def differences(self, image: str, *, held: bool) -> dict[str, list[str]]:
        """Kind -> what differs between the cluster and git, for the three objects that a release touches.

        `held` is for a release that was reverted while git still says so: the Deployment then has git's
        template, and nothing of it runs, because it is paused.
        """
        found: dict[str, list[str]] = {}
        for kind in ("VirtualService", "DestinationRule"):
            found[kind] = rest.differences(document(kind.lower()), await self.get(kind.lower()))
        said = await self.deployment_as_created(image)
        if held:
            said["spec"]["paused"] = True
            said["metadata"].setdefault("annotations", {})[HELD_BY] = NAME
        found["Deployment"] = rest.differences(said, await self.get("deployment"), labels={LABEL: NAME})
        return found


def document(kind: str) -> dict[str, Any]:
    """The object in demo/<kind>.yaml."""
    found = yaml.safe_load((FILES / f"{kind}.yaml").read_text())
    assert isinstance(found, Mapping), f"demo/{kind}.yaml holds one object"
    return dict(found)
