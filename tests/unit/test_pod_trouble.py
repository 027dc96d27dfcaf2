"""Why a pod does not become ready, in words that stay the same while it goes round and round."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.controller.trouble import trouble_of
from rollout_controller.kube.trim import trim
from rollout_controller.ports import Json, Kind


def waiting(reason: str, message: str = "") -> Json:
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, reason: str = "Error") -> Json:
    return {"terminated": {"exitCode": code, "reason": reason, "finishedAt": "2030-01-01T12:00:00Z"}}


def pod(
    state: Json | None = None,
    *,
    last: Json | None = None,
    ready: bool = False,
    init: bool = False,
    **more: Any,
) -> Json:
    """A pod with one container in this state, as the cache keeps it."""
    one = {"name": "web", "image": "app:v2", "ready": ready, "restartCount": 3}
    one |= {"state": state or {"running": {"startedAt": "2030-01-01T12:00:00Z"}}, "lastState": last or {}}
    listed = "initContainerStatuses" if init else "containerStatuses"
    raw = {"metadata": {"name": "web-1", **more}, "status": {"phase": "Pending", listed: [one]}}
    return trim(Kind.POD, raw)


NO_NODE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes: no cpu",
}


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (pod(), ""),
        (pod(waiting("ContainerCreating")), ""),
        (pod(waiting("PodInitializing"), init=True), ""),
        (pod(ended(0, "Completed"), init=True), ""),
        (pod(ready=True, last=ended(1)), ""),
        (pod(waiting("ErrImagePull", "not found")), "container web: its image app:v2 cannot be pulled"),
        (pod(waiting("ImagePullBackOff", "Back-off")), "container web: its image app:v2 cannot be pulled"),
        (
            pod(waiting("CreateContainerConfigError", 'secret "db" not found')),
            'container web: CreateContainerConfigError: secret "db" not found',
        ),
        (pod(ended(1)), "container web ended with exit code 1"),
        (pod(ended(137, "OOMKilled")), "container web ended with exit code 137 (OOMKilled)"),
        (pod(ended(2), init=True), "container web ended with exit code 2"),
        (pod(waiting("ErrImagePull"), deletionTimestamp="2030-01-01T12:00:00Z"), ""),
        ({"metadata": {}, "status": {"conditions": [NO_NODE]}}, "no node takes the pod: 0/3 nodes: no cpu"),
        ({"metadata": {}}, ""),
    ],
)
def test_the_reason_is_told_if_there_is_one(seen: Json, words: str) -> None:
    assert trouble_of(seen) == words


def test_a_container_that_keeps_ending_is_told_of_in_one_way_at_every_turn() -> None:
    turns = [
        pod(ended(1), last=ended(1)),
        pod(waiting("CrashLoopBackOff", "back-off 40s restarting"), last=ended(1)),
        pod(last=ended(1)),
    ]
    assert {trouble_of(turn) for turn in turns} == {"container web ended with exit code 1"}


def test_a_container_that_cannot_be_started_is_told_of_in_one_way_from_its_second_try_on() -> None:
    last = ended(128, "StartError")
    turns = [
        pod(waiting("RunContainerError", "no such file"), last=last),
        pod(waiting("CrashLoopBackOff"), last=last),
    ]
    assert {trouble_of(turn) for turn in turns} == {"container web ended with exit code 128 (StartError)"}


def test_what_counts_up_in_a_message_that_nobody_reads_wakes_nobody() -> None:
    assert pod(waiting("CrashLoopBackOff", "back-off 10s")) == pod(
        waiting("CrashLoopBackOff", "back-off 20s")
    )


def test_a_long_message_is_cut() -> None:
    assert len(trouble_of(pod(waiting("Odd", "x" * 1000)))) < 200


def test_the_cache_keeps_why_a_pod_has_no_node_and_nothing_of_containers_that_are_ready() -> None:
    raw = {
        "metadata": {"name": "web-1"},
        "status": {"conditions": [NO_NODE, {"type": "Ready", "message": "m"}]},
    }
    assert trim(Kind.POD, raw)["status"]["conditions"] == [NO_NODE, {"type": "Ready"}]
    assert "containerStatuses" not in pod(ready=True)["status"]
