"""The cache: the higher resourceVersion wins, whoever brings it and in whatever order."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_controller.kube.store import Change, Store, parse_labels
from rollout_controller.ports import Json, Kind


def obj(version: int, *, name: str = "web", namespace: str = "ns", uid: str = "u1", **more: Any) -> Json:
    labels = more.pop("labels", {})
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": uid,
        "resourceVersion": str(version),
        "labels": labels,
    }
    return {"metadata": metadata, "spec": {"at": version, **more}}


def store(*objects: Json, kind: Kind = Kind.DEPLOYMENT) -> Store:
    filled = Store(kind)
    filled.replace(
        "", list(objects), max((int(o["metadata"]["resourceVersion"]) for o in objects), default=0)
    )
    return filled


def test_a_newer_object_replaces_an_older_one_and_is_told_as_a_change() -> None:
    cache = store(obj(5))
    assert cache.put(obj(6)) == Change(obj(5), obj(6))
    assert cache.get("ns", "web") == obj(6)


@pytest.mark.parametrize("version", [4, 5])
def test_an_event_that_is_not_newer_changes_nothing(version: int) -> None:
    cache = store(obj(5))
    assert cache.put(obj(version, other=True)) is None
    assert cache.get("ns", "web") == obj(5)


def test_versions_are_compared_as_numbers() -> None:
    cache = store(obj(9))
    assert cache.put(obj(10)) is not None


def test_the_answer_to_our_own_write_is_there_at_once_and_its_event_wakes_nobody() -> None:
    cache = store(obj(5))
    cache.learn(obj(7))
    assert cache.get("ns", "web") == obj(7)
    assert cache.put(obj(7)) is None
    assert cache.put(obj(8)) is not None


def test_a_strangers_write_just_before_ours_is_told_although_the_cache_is_ahead_of_it() -> None:
    cache = store(obj(5))
    cache.learn(obj(7))
    assert cache.put(obj(6)) == Change(obj(7), obj(7))
    assert cache.put(obj(7)) is None


def test_a_strangers_write_just_before_ours_is_told_by_the_next_list_if_no_watch_did() -> None:
    cache = store(obj(5))
    cache.learn(obj(7))
    assert cache.replace("", [obj(7)], 9) == [Change(obj(7), obj(7))]
    assert cache.replace("", [obj(7)], 12) == []


def test_several_writes_of_ours_in_a_row_wake_nobody() -> None:
    cache = store(obj(5))
    for version in (6, 7, 9):
        cache.learn(obj(version))
    assert [cache.put(obj(version)) for version in (6, 7, 9)] == [None, None, None]
    assert cache.put(obj(10)) is not None


def test_nothing_is_remembered_of_writes_that_the_watch_has_told_of() -> None:
    cache = store(obj(5))
    cache.learn(obj(6))
    cache.learn(obj(7, name="canary", uid="u2"))
    cache.unlearn("ns", "canary", "u2")
    for event in (obj(6), obj(7, name="canary", uid="u2")):
        cache.put(event)
    cache.remove(obj(8, name="canary", uid="u2"))
    assert (cache._own, cache._deleted) == ({}, {})


def test_what_we_created_is_there_before_the_watch_knows_it() -> None:
    cache = store(obj(5))
    cache.learn(obj(6, name="canary", uid="u2"))
    assert cache.get("ns", "canary") is not None
    assert cache.put(obj(6, name="canary", uid="u2")) is None


def test_a_late_answer_does_not_bring_back_what_a_watch_saw_deleted() -> None:
    cache = store(obj(5))
    assert cache.remove(obj(9)) == Change(obj(5), None)
    cache.learn(obj(7))
    assert cache.get("ns", "web") is None


def test_a_late_answer_does_not_bring_back_what_a_list_no_longer_has() -> None:
    cache = store(obj(5))
    cache.replace("", [], 9)
    cache.learn(obj(7))
    assert cache.get("ns", "web") is None


def test_what_we_deleted_is_gone_and_stays_gone_while_older_events_come_in() -> None:
    cache = store(obj(5))
    cache.unlearn("ns", "web", "u1")
    assert cache.put(obj(6)) is None
    assert cache.get("ns", "web") is None
    assert cache.remove(obj(7)) is None


def test_a_new_object_of_the_name_that_we_deleted_is_seen() -> None:
    cache = store(obj(5))
    cache.unlearn("ns", "web", "u1")
    assert cache.put(obj(8, uid="u2")) is not None


def test_deleting_by_another_uid_leaves_the_newer_object() -> None:
    cache = store(obj(8, uid="u2"))
    assert cache.remove(obj(7, uid="u1")) is None
    assert cache.get("ns", "web") is not None


def test_a_list_tells_what_came_what_changed_and_what_went() -> None:
    cache = store(obj(1, name="went"), obj(2, name="changed"), obj(3, name="same"))
    changes = cache.replace("", [obj(7, name="changed"), obj(3, name="same"), obj(8, name="came")], 9)
    assert {(c.old or c.new or {})["metadata"]["name"] for c in changes} == {"went", "changed", "came"}
    assert cache.get("ns", "went") is None
    assert len(cache) == 3


def test_a_list_keeps_what_we_wrote_after_it_was_read() -> None:
    cache = store(obj(5))
    cache.learn(obj(12, name="canary", uid="u2"))
    assert cache.replace("", [obj(5)], 9) == []
    assert cache.get("ns", "canary") is not None


def test_a_list_of_one_namespace_says_nothing_about_others() -> None:
    cache = store(obj(1, namespace="other"), obj(2))
    changes = cache.replace("ns", [], 9)
    assert [c.old["metadata"]["namespace"] for c in changes if c.old] == ["ns"]
    assert cache.get("other", "web") is not None


def test_lists_are_narrowed_by_labels() -> None:
    cache = store(
        obj(1, name="a", labels={"app": "web", "tier": "front"}),
        obj(2, name="b", labels={"app": "web"}),
        obj(3, name="c", labels={"app": "pay"}),
        obj(4, name="d", namespace="other", labels={"app": "web"}),
    )

    def names(namespace: str, labels: str) -> set[str]:
        return {o["metadata"]["name"] for o in cache.select(namespace, labels)}

    assert names("ns", "") == {"a", "b", "c"}
    assert names("ns", "app=web") == {"a", "b"}
    assert names("ns", "app=web,tier=front") == {"a"}
    assert names("ns", "tier") == {"a"}
    assert names("", "app=web") == {"a", "b", "d"}
    assert names("ns", "app=none") == set()


def test_labels_that_change_are_found_by_their_new_value_only() -> None:
    cache = store(obj(1, labels={"app": "web"}))
    cache.put(obj(2, labels={"app": "pay"}))
    assert cache.select("ns", "app=web") == []
    assert len(cache.select("ns", "app=pay")) == 1


@pytest.mark.parametrize("selector", ["app!=web", "app==web", "app in (web)", "!app", "=web"])
def test_other_forms_of_selectors_are_refused(selector: str) -> None:
    with pytest.raises(ValueError, match="expected a label selector"):
        parse_labels(selector)


def test_of_a_pod_only_what_is_read_is_kept_and_other_changes_wake_nobody() -> None:
    def pod(version: int, **status: Any) -> Json:
        raw = obj(version)
        raw["metadata"]["managedFields"] = [{"manager": "kubelet"}]
        raw["spec"] = {
            "containers": [{"name": "web", "env": "much"}],
            "initContainers": [{"name": "istio-proxy"}],
        }
        return {**raw, "status": {"conditions": [{"type": "Ready", "status": "True"}], **status}}

    cache = store(pod(1), kind=Kind.POD)
    kept = cache.get("ns", "web")
    assert kept is not None
    assert kept["spec"] == {"containers": [{"name": "web"}], "initContainers": [{"name": "istio-proxy"}]}
    assert "managedFields" not in kept["metadata"]
    assert cache.put(pod(2, containerStatuses=[{"restartCount": 3}])) is None
    assert cache.get("ns", "web") == {**kept, "metadata": {**kept["metadata"], "resourceVersion": "2"}}
    assert cache.put(pod(3, podIP="10.0.0.1")) is not None


@pytest.mark.parametrize(
    "kind", [Kind.GATEWAY, Kind.SERVICE_ENTRY, Kind.PEER_AUTHENTICATION, Kind.AUTOSCALER]
)
def test_the_status_of_what_findings_are_made_from_wakes_nobody(kind: Kind) -> None:
    cache = store({**obj(1), "spec": {"hosts": ["a"]}}, kind=kind)
    assert cache.put({**obj(2), "spec": {"hosts": ["a"]}, "status": {"currentReplicas": 3}}) is None
    assert cache.put({**obj(3), "spec": {"hosts": ["b"]}}) is not None


def test_a_namespace_is_kept_as_an_object_in_itself_with_its_labels() -> None:
    def namespace(version: int, **labels: str) -> Json:
        metadata = {"name": "shop", "uid": "n", "resourceVersion": str(version), "labels": labels}
        return {"metadata": metadata, "status": {"phase": "Active"}}

    cache = Store(Kind.NAMESPACE)
    cache.replace("", [namespace(1)], 1)
    assert cache.put(namespace(2, team="front")) is not None
    [kept] = cache.all("shop")
    assert (kept["metadata"]["namespace"], kept["metadata"]["labels"]) == ("shop", {"team": "front"})
    assert cache.remove(namespace(3)) is not None
    assert cache.all("") == ()


Move = tuple[str, int]


@given(st.permutations([("put", 3), ("put", 5), ("learn", 4), ("learn", 6), ("put", 7), ("learn", 2)]))
def test_whatever_the_order_of_answers_and_events_the_newest_stays(moves: list[Move]) -> None:
    cache = store(obj(1))
    for how, version in moves:
        cache.put(obj(version)) if how == "put" else cache.learn(obj(version))
    assert cache.get("ns", "web") == obj(7)
