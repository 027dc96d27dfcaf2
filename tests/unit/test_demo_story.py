"""The order in which the demo tells its releases, and what is in git in between."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from e2e.demo.record import RELEASES, Record, Release, scenes
from e2e.demo.screen import Lines
from e2e.demo.setting import Setting
from e2e.demo.story import FIRST, Story
from e2e.demo.summary import Rest
from tests.unit.test_demo_record import BROUGHT_BACK, CLEAN, PROMOTED, REVERTED

GOOD, ERRORS, SLOW, BACK = RELEASES
NOWHERE = cast("Setting", None)


@dataclass
class Told(Story):
    """A story whose releases end at once, as they should; those of `stuck` do not end."""

    stuck: tuple[Release, ...] = ()
    order: list[str] = field(default_factory=list)

    async def _release(self, setting: Setting, release: Release) -> Record:
        self.order.append(f"release {release.image}")
        usual = BROUGHT_BACK if release.back else REVERTED if release.ailment else PROMOTED
        reason = "p99 900 ms" if release is SLOW else usual.reason
        return replace(
            usual, release=release, reason=reason, outcome="" if release in self.stuck else usual.outcome
        )

    async def _go_back(self, setting: Setting, image: str) -> Rest:
        self.order.append(f"git says {image}")
        return Rest(image, 3.0, kept_pods=True, differences=CLEAN)


async def told(releases: Sequence[Release], *stuck: Release) -> Told:
    story = Told(Lines(), stuck=stuck)
    await story.tell(NOWHERE, releases)
    return story


async def test_before_the_way_back_git_goes_back_to_what_runs() -> None:
    story = await told(RELEASES)
    assert story.order == [
        *(f"release {one.image}" for one in (GOOD, ERRORS, SLOW)),
        f"git says {GOOD.image}",
        f"release {FIRST}",
    ]
    assert [(rest.image, rest.seconds) for rest in story.rests] == [(GOOD.image, 3.0), (FIRST, None)]
    assert story.problems() == []


async def test_a_way_back_right_after_a_good_release_needs_no_other_git() -> None:
    story = await told(scenes(["rollback"]))
    assert story.order == [f"release {GOOD.image}", f"release {FIRST}"]
    assert story.problems() == []


async def test_after_a_bad_release_alone_git_goes_back_to_what_runs() -> None:
    assert (await told(scenes(["errors"]))).order == [f"release {ERRORS.image}", f"git says {FIRST}"]


@pytest.mark.parametrize("stuck", RELEASES)
async def test_a_release_that_does_not_end_is_the_last_and_a_problem(stuck: Release) -> None:
    story = await told(RELEASES, stuck)
    assert story.order[-1] == f"release {stuck.image}"
    assert story.problems()[-1] == "the demo did not come to its end"
