"""The releases, one after the other, and what became of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

from e2e.demo.record import Record, Release
from e2e.demo.screen import Screen
from e2e.demo.setting import RATE, Setting
from e2e.demo.stage import FILES, HOST, NAME
from e2e.demo.summary import Rest
from e2e.demo.watch import Watch
from e2e.load import Load
from e2e.localcluster.layout import REPOSITORY

TICK = 0.5
"""Seconds between two pictures."""
GIVEN_UP_AFTER = 240.0
"""Seconds that a release may take."""
REMEMBERED = 600.0
"""Seconds of answers that are kept while somebody plays."""
PINNING = frozenset({"pins", "bluegreen"})
"""Strategies of demo/strategies that pin the header x-canary."""
PINNED_RATE = 20.0
"""Requests per second with that header."""
FIRST = "demo:1.0.0"
"""The image in demo/deployment.yaml."""


@dataclass
class Story:
    """What has been told so far."""

    screen: Screen
    records: list[Record] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)
    over: bool = False

    async def tell(self, setting: Setting, releases: Sequence[Release]) -> None:
        """All releases, with git back at what runs at the end and before a way back. One that does not end is
        the last.

        Raises DemoError and ControllerError; what was told before stays.
        """
        serving = FIRST
        for release in releases:
            if release.back and self.records[-1:] and self.records[-1].outcome == "Reverted":
                self.rests.append(await self._go_back(setting, serving))
            record = await self._release(setting, release)
            self.records.append(record)
            if not record.outcome:
                return
            if record.outcome == "Promoted":
                serving = release.image
        if self.records and self.records[-1].outcome == "Promoted":
            self.rests.append(Rest(serving, None, True, self.records[-1].differences))
        else:
            self.rests.append(await self._go_back(setting, serving))
        self.over = True

    async def follow(self, setting: Setting) -> None:
        """Show whatever somebody releases by hand, until cancelled."""
        while True:
            self.screen.begin("watching; Ctrl-C ends it all")
            await self._watch(setting, Watch(setting.sight, setting.load), forever=True)

    def problems(self) -> list[str]:
        """What is not as it should be, a sentence each."""
        found = [problem for record in self.records for problem in record.problems()]
        found += [problem for rest in self.rests for problem in rest.problems()]
        return found if self.over else [*found, "the demo did not come to its end"]

    async def _release(self, setting: Setting, release: Release) -> Record:
        """Set the image, and watch until the Rollout says how it ended."""
        if release.strategy:
            await self._change_strategy(setting, release.strategy)
        async with _pinned_load(setting, release) as pinned:
            weighted = setting.controller.weighted
            watch = Watch(setting.sight, setting.load, pinned=pinned, weighted=weighted)
            return await self._followed(setting, release, watch)

    async def _change_strategy(self, setting: Setting, name: str) -> None:
        path = FILES / "strategies" / f"{name}.yaml"
        shown = path.relative_to(REPOSITORY)
        self.screen.say(f"changing the strategy: kubectl patch rlt {NAME} --type=merge --patch-file {shown}")
        await setting.stage.kubectl("patch", "rlt", NAME, "--type=merge", "--patch-file", str(path))

    async def _followed(self, setting: Setting, release: Release, watch: Watch) -> Record:
        expected = "to be reverted" if release.ailment else "to be promoted"
        expected = "to which everybody goes back at once" if release.back else expected
        self.screen.begin(f"releasing {release.says}, {expected}: kubectl {_words(release.image)}")
        await setting.stage.kubectl(*_set_image(release.image))
        await self._watch(setting, watch)
        if not watch.ended:
            return watch.record(release)
        await asyncio.sleep(1)  # answers that are under way, and slow
        held = setting.sight.phase == "Reverted"
        record = watch.record(release, await setting.stage.differences(release.image, held=held))
        reason = record.reason or "all steps passed"
        self.screen.say(f"  {record.outcome} after {record.seconds:.0f} s: {reason}")
        return record

    async def _watch(self, setting: Setting, watch: Watch, *, forever: bool = False) -> None:
        try:
            while not watch.ended and (forever or monotonic() < watch.since + GIVEN_UP_AFTER):
                moment = watch.moment()
                if forever or watch.revision:
                    self.screen.show(moment)
                setting.controller.check()
                await asyncio.sleep(TICK)
                if forever:
                    del setting.load.answers[: -int(REMEMBERED * RATE)]
            self.screen.show(watch.moment())
        finally:
            self.screen.end()

    async def _go_back(self, setting: Setting, image: str) -> Rest:
        """Set the image that runs, as a revert in git would, and compare the cluster with git."""
        self.screen.say(f"taking it back in git: kubectl {_words(image)}")
        sight, began = setting.sight, monotonic()
        pods = set(sight.pods)
        await setting.stage.kubectl(*_set_image(image))

        async def back() -> bool:
            deployment = await setting.stage.get("deployment")
            return sight.phase == "Healthy" and not deployment["spec"].get("paused")

        await setting.until("the Rollout to be Healthy and the Deployment un-paused", back, 60)
        took = monotonic() - began
        self.screen.say(f"  {sight.phase}: {sight.message}")
        await asyncio.sleep(2)  # what must not happen has its chance
        differences = await setting.stage.differences(image, held=False)
        return Rest(image, took, set(sight.pods) == pods, differences)


@asynccontextmanager
async def _pinned_load(setting: Setting, release: Release) -> AsyncIterator[Load | None]:
    """Requests with the header that the strategy pins, while the block runs."""
    if release.strategy not in PINNING:
        yield None
        return
    headers = {"x-canary": "true"}
    async with Load(setting.cluster.gateway_url, PINNED_RATE, host=HOST, headers=headers) as load:
        yield load


def _set_image(image: str) -> tuple[str, ...]:
    return "set", "image", f"deployment/{NAME}", f"{NAME}={image}"


def _words(image: str) -> str:
    return " ".join(_set_image(image))
