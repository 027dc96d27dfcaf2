"""Blue-green: a preview at full scale without a share, then everybody in one write, and the way back."""

from __future__ import annotations

import pytest

from rollout_controller.core.decide import decide
from rollout_controller.core.effects import (
    Delete,
    Finalizer,
    HandOver,
    MakeCanary,
    Pin,
    Scale,
    SetTraffic,
    Unpause,
)
from rollout_controller.core.release import PausedBy, Phase
from tests.builders import (
    AT_LIVE,
    AT_PREVIEW,
    BLUE_GREEN,
    NOW,
    PIN,
    REPLICAS,
    blue_green,
    but,
    command,
    of_kind,
    policy,
    preparing,
    seconds,
)
from tests.toy import Toy

POLICY = policy(stages=BLUE_GREEN, header_pins=(PIN,))
PREVIEW, LIVE, HOME = SetTraffic(0, 10, (PIN,)), SetTraffic(100, 0, (PIN,)), SetTraffic(0)


def test_a_good_version_is_previewed_at_full_scale_and_goes_live_in_one_write() -> None:
    toy = Toy(policy=POLICY).ask("new").run()
    assert toy.log == [
        Finalizer(present=True),
        Pin("old", "new"),
        MakeCanary("new", 10),
        PREVIEW,
        LIVE,
        Pin("new", "new"),
        HOME,
        HandOver("web-new", 10, 3),
        Pin(None, None),
        Unpause("new"),
        Finalizer(present=False),
    ]
    assert (toy.facts.phase, toy.facts.stable) == (Phase.HEALTHY, "new")


def test_a_preview_that_nobody_is_pinned_to_writes_no_route_before_it_goes_live() -> None:
    bare = policy(stages=(but(BLUE_GREEN[0], mirror=0), BLUE_GREEN[1]))
    toy = Toy(policy=bare).ask("new").run()
    assert [e for e in toy.log if isinstance(e, SetTraffic)] == [SetTraffic(100), HOME]


def test_the_preview_begins_only_with_all_its_pods() -> None:
    o = but(preparing(), facts={"plan": BLUE_GREEN, "header_pins": (PIN,)})
    assert decide(o).facts.stage == -1
    assert decide(o).effects == (Scale("web-new", REPLICAS),)
    whole = but(o, workload={"canary": {"spec": 10, "available": 10, "ready_endpoints": 10}})
    assert decide(whole).facts.stage == AT_PREVIEW


def test_a_small_preview_becomes_whole_before_it_goes_live() -> None:
    small = policy(stages=(but(BLUE_GREEN[0], scale=30), BLUE_GREEN[1]), header_pins=(PIN,))
    toy = Toy(policy=small).ask("new").run()
    sizes = [e for e in toy.log if isinstance(e, MakeCanary | Scale | SetTraffic)]
    assert sizes == [MakeCanary("new", 3), PREVIEW, Scale("web-new", 10), LIVE, HOME]


def test_a_bad_version_in_preview_reaches_nobody_without_the_header() -> None:
    toy = Toy(policy=POLICY, answer="fail").ask("new").run()
    assert [e for e in toy.log if isinstance(e, SetTraffic | Scale | Delete)] == [
        PREVIEW,
        HOME,
        Scale("web-new", 0),
        Delete("web-new"),
    ]
    assert toy.facts.phase is Phase.REVERTED


@pytest.mark.parametrize("index", [AT_PREVIEW, AT_LIVE])
def test_the_way_back_is_one_write_and_the_old_version_is_whole(index: int) -> None:
    d = decide(blue_green(index, "fail"))
    assert (d.facts.phase, of_kind(d.effects, SetTraffic, Pin)) == (Phase.REVERTING, (HOME,))
    baking = blue_green(index)
    assert baking.workload is not None
    assert baking.workload.stable is not None
    assert baking.workload.stable.spec == REPLICAS
    assert decide(baking).effects == ()


def test_the_old_version_keeps_its_pods_through_the_bake() -> None:
    toy = Toy(policy=POLICY).ask("new").run(until=Phase.PROMOTING)
    assert (toy.count("old"), toy.count("new"), toy.weight) == (10, 10, 100)
    assert toy.now - NOW >= seconds(60 + 120)


def test_a_preview_that_wants_approval_waits_for_a_person_and_then_goes_live() -> None:
    asking = policy(stages=(but(BLUE_GREEN[0], approval=True), BLUE_GREEN[1]), header_pins=(PIN,))
    toy = Toy(policy=asking).ask("new").run()
    assert (toy.facts.phase, toy.facts.paused_by, toy.facts.stage) == (
        Phase.PAUSED,
        PausedBy.APPROVAL,
        AT_PREVIEW,
    )
    assert (toy.weight, toy.header_pins, toy.mirror) == (0, (PIN,), 10)
    toy.command = command("promote", "new/1")
    toy.run()
    assert toy.log.count(LIVE) == 1
    assert toy.facts.phase is Phase.HEALTHY


def test_an_approval_is_asked_for_only_once_the_preview_passed() -> None:
    asking = but(blue_green(AT_PREVIEW), facts={"plan": (but(BLUE_GREEN[0], approval=True), BLUE_GREEN[1])})
    assert decide(asking).facts.phase is Phase.PROGRESSING
    passed = but(asking, verdict=blue_green(AT_PREVIEW, "pass").verdict)
    d = decide(passed)
    assert (d.facts.paused_by, d.facts.reason) == (
        PausedBy.APPROVAL,
        "step preview passed its gate and waits for approval",
    )


def test_a_preview_that_nobody_judges_did_not_pass_a_gate() -> None:
    plan = (but(BLUE_GREEN[0], approval=True, gate=False), BLUE_GREEN[1])
    d = decide(but(blue_green(AT_PREVIEW), facts={"plan": plan}))
    assert (d.facts.paused_by, d.facts.reason) == (PausedBy.APPROVAL, "step preview waits for approval")


def test_an_abort_in_preview_takes_pins_and_copies_away() -> None:
    toy = Toy(policy=POLICY, answer=None).ask("new").run()
    assert (toy.header_pins, toy.mirror, toy.facts.phase) == ((PIN,), 10, Phase.PAUSED)
    toy.command = command("abort", "not this one")
    toy.run()
    assert (toy.header_pins, toy.mirror, toy.facts.phase) == ((), 0, Phase.REVERTED)
    assert toy.facts.reason == "aborted by command: not this one"


def test_promote_full_skips_the_preview_once_all_pods_are_there() -> None:
    toy = Toy(policy=POLICY, answer=None).ask("new")
    toy.command = command("promote", "full")
    toy.run()
    assert [e for e in toy.log if isinstance(e, SetTraffic)] == [LIVE, HOME]
    assert toy.facts.phase is Phase.HEALTHY
