"""Who is woken by what: writes of our own wake nobody, in whatever order event and answer come."""

from typing import Any

from rollout_controller.kube.cache import Cache
from rollout_controller.ports import Json, Key, Kind, Ref

RULE = Ref(Kind.DESTINATION_RULE, "ns", "rule")
WEB, PAY = Key("ns", "web"), Key("ns", "pay")


def rule(version: int, uid: str = "u1") -> Json:
    metadata = {"name": "rule", "namespace": "ns", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"at": version}}


def rollout(key: Key, version: int, **spec: Any) -> Json:
    metadata = {
        "name": key.name,
        "namespace": key.namespace,
        "uid": key.name,
        "resourceVersion": str(version),
    }
    named = {"traffic": {"istio": {"destinationRule": {"name": "rule"}}}}
    return {"metadata": metadata, "spec": {**named, **spec}}


class Scene:
    """A cache without watches, told of what they would tell."""

    def __init__(self, *rollouts: Key) -> None:
        # Never asked: nothing is started.
        self.cache = Cache(rest=None)  # type: ignore[arg-type]
        self.woken: list[Key] = []
        for key in rollouts:
            self.event(Kind.ROLLOUT, rollout(key, 1))
        self.event(Kind.DESTINATION_RULE, rule(5))
        self.cache._wake = self.woken.append

    def event(self, kind: Kind, obj: Json) -> None:
        change = self.cache.stores[kind].put(obj)
        if change is not None:
            self.cache._tell(kind, change)

    def deleted(self, kind: Kind, obj: Json) -> None:
        change = self.cache.stores[kind].remove(obj)
        if change is not None:
            self.cache._tell(kind, change)


def test_the_event_of_our_write_wakes_nobody_after_the_answer() -> None:
    scene = Scene(WEB)
    with scene.cache.writing(RULE) as wrote:
        wrote(rule(6))
    scene.event(Kind.DESTINATION_RULE, rule(6))
    assert scene.woken == []


def test_the_event_of_our_write_wakes_nobody_before_the_answer() -> None:
    scene = Scene(WEB)
    with scene.cache.writing(RULE) as wrote:
        scene.event(Kind.DESTINATION_RULE, rule(6))
        wrote(rule(6))
    assert scene.woken == []


def test_a_strangers_write_during_ours_wakes() -> None:
    scene = Scene(WEB)
    with scene.cache.writing(RULE) as wrote:
        scene.event(Kind.DESTINATION_RULE, rule(6))
        scene.event(Kind.DESTINATION_RULE, rule(7))
        assert scene.woken == []
        wrote(rule(7))
    assert scene.woken == [WEB]


def test_a_write_whose_answer_was_lost_wakes_by_its_event() -> None:
    scene = Scene(WEB)
    with scene.cache.writing(RULE):  # never told of an answer
        scene.event(Kind.DESTINATION_RULE, rule(6))
    assert scene.woken == [WEB]
    scene.event(Kind.DESTINATION_RULE, rule(7))
    assert scene.woken == [WEB, WEB]


def test_our_delete_wakes_nobody_in_whatever_order() -> None:
    for first in (True, False):
        scene = Scene(WEB)
        with scene.cache.writing(RULE) as wrote:
            if first:
                scene.deleted(Kind.DESTINATION_RULE, rule(6))
            wrote(None)
        if not first:
            scene.deleted(Kind.DESTINATION_RULE, rule(6))
        assert scene.woken == []
        assert scene.cache.stores[Kind.DESTINATION_RULE].get("ns", "rule") is None


def test_an_object_that_two_rollouts_share_is_news_to_the_other() -> None:
    scene = Scene(WEB, PAY)
    with scene.cache.writing(RULE) as wrote:
        wrote(rule(6))
    assert set(scene.woken) == {WEB, PAY}


def test_an_object_that_is_not_being_written_wakes_while_another_one_is() -> None:
    scene = Scene(WEB)
    with scene.cache.writing(Ref(Kind.DESTINATION_RULE, "ns", "other")):
        scene.event(Kind.DESTINATION_RULE, rule(6))
        assert scene.woken == [WEB]


def test_the_event_waits_for_the_last_of_several_writers() -> None:
    scene = Scene(WEB)
    with scene.cache.writing(RULE) as wrote_first:
        with scene.cache.writing(RULE) as wrote_second:
            scene.event(Kind.DESTINATION_RULE, rule(6))
            wrote_second(rule(7))
        assert scene.woken == []
        wrote_first(rule(6))
    assert scene.woken == []


def test_what_a_spec_names_is_known_as_soon_as_our_own_answer_shows_it() -> None:
    scene = Scene(WEB)
    ref = Ref(Kind.ROLLOUT, *WEB)
    with scene.cache.writing(ref) as wrote:  # a status written on top of a spec that somebody changed
        wrote(rollout(WEB, 9, workload={"deployment": "new"}))
    deployment = {"metadata": {"name": "new", "namespace": "ns", "uid": "d", "resourceVersion": "10"}}
    scene.event(Kind.DEPLOYMENT, deployment)
    assert scene.woken == [WEB]
