"""All that must be up before the first release: cluster, CRD, gate, demo/, controller, load."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from time import strftime

from e2e.demo.controller import Controller
from e2e.demo.observer import Observer, Sight
from e2e.demo.screen import Screen
from e2e.demo.stage import HOST, NAME, NAMESPACE, DemoError, Stage, until
from e2e.load import Load
from e2e.localcluster import LocalCluster, http
from e2e.localcluster.layout import LOCAL, REPOSITORY

RATE = 100.0
"""Requests per second."""
LOGS = REPOSITORY / "build" / "demo"
"""Each run keeps its logs in a folder of its own in here; `make clean` removes them."""


def new_logs() -> Path:
    """A fresh folder for the logs of one run."""
    LOGS.mkdir(parents=True, exist_ok=True)
    return Path(mkdtemp(prefix=strftime("%H%M%S-"), dir=LOGS))


@dataclass(frozen=True)
class Setting:
    """Where the story happens."""

    cluster: LocalCluster
    stage: Stage
    controller: Controller
    sight: Sight
    load: Load

    async def until(self, what: str, ask: Callable[[], Awaitable[bool]], within: float) -> None:
        """Wait for something that the controller does. Raises DemoError, ControllerError."""
        await _until(self.controller, self.sight, what, ask, within)


@asynccontextmanager
async def set_up(screen: Screen, logs: Path, pace: str | None = None) -> AsyncIterator[Setting]:
    """Bring it all up, and down at the end; the folder `logs` then holds the logs of all parts. `pace` is how
    long a step lasts at least, where it is not to be what demo/rollout.yaml says.

    Raises LocalClusterError, DemoError, ControllerError.
    """
    say = screen.say
    say("bringing up Kubernetes, istiod, Envoy and Prometheus as plain processes")
    async with LocalCluster(say=lambda text: say(f"  {text}")) as cluster:
        try:
            stage = Stage(cluster)
            say("applying the CRD (crds/) and the gate (deploy/gate)")
            await stage.install()
            say("applying demo/: Deployment, Service, Gateway, VirtualService, DestinationRule, Rollout")
            await stage.apply()
            if pace is not None:
                await stage.set_pace(pace)
            async with cluster.kube() as kube, Observer(cluster, kube, NAMESPACE, NAME) as observer:
                log = logs / "controller.log"
                shown = log.relative_to(REPOSITORY)
                say(f"starting the controller; its log is {shown}, deleted after a good end")
                async with Controller(
                    cluster.kubeconfig, cluster.prometheus_url, NAMESPACE, log
                ) as controller:
                    await _ready(screen, cluster, controller, observer.sight)
                    say(f"sending {RATE:.0f} requests/s through Envoy")
                    async with Load(cluster.gateway_url, RATE, host=HOST) as load:
                        yield Setting(cluster, stage, controller, observer.sight, load)
        finally:
            with contextlib.suppress(OSError):
                shutil.copytree(cluster.layout.logs, logs / "cluster")


async def _ready(screen: Screen, cluster: LocalCluster, controller: Controller, sight: Sight) -> None:
    async def healthy() -> bool:
        return sight.phase == "Healthy"

    await _until(controller, sight, "the Rollout to be Healthy", healthy, 60)
    screen.say(f"  {sight.phase}: {sight.message}")
    await until("the gateway to answer", lambda: _answers(cluster))


async def _answers(cluster: LocalCluster) -> bool:
    """Twenty good answers one after the other: Envoy knows route and pods."""
    port = cluster.state.ports["gateway"]
    for _ in range(20):
        try:
            answer = await http.request(
                "GET", HOST, 80, "/", dial=lambda: asyncio.open_connection(LOCAL, port), timeout=5
            )
        except (OSError, TimeoutError):
            return False
        if answer.status != 200:
            return False
    return True


async def _until(
    controller: Controller, sight: Sight, what: str, ask: Callable[[], Awaitable[bool]], within: float
) -> None:
    async def checked() -> bool:
        controller.check()
        return await ask()

    try:
        await until(what, checked, within)
    except DemoError as error:
        said = f"the Rollout says {sight.phase}: {sight.message or 'nothing'}"
        raise DemoError(f"{error}; {said}") from error
