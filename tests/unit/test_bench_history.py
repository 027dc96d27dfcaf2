"""What a history of changes says about pods, at every moment of it."""

from __future__ import annotations

from typing import Any

from bench.history import Change, Object, capacity, shares

OLD, NEW = "55b77fd98d", "97p9hjwj2d"
FOUR_OLD = tuple(f"o{n}" for n in range(4))


class Story:
    """Writes a history, one change after the other."""

    def __init__(self, replicas: int = 4) -> None:
        self.changes: list[Change] = []
        self.tell("deployments", "web", spec={"replicas": replicas})
        self.pinned(None, None)
        self.weight(0)

    def tell(
        self, kind: str, name: str, type_: Any = "MODIFIED", labels: Object | None = None, **more: Any
    ) -> None:
        metadata = {"name": name, "resourceVersion": str(len(self.changes) + 1), "labels": labels or {}}
        self.changes.append(Change(kind, type_, {"metadata": metadata, **more}, 0.0, 0.0))

    def pinned(self, stable: str | None, canary: str | None) -> None:
        subsets = [
            {"name": name, "labels": {"app": "web", **({"pod-template-hash": revision} if revision else {})}}
            for name, revision in (("stable", stable), ("canary", canary))
        ]
        self.tell("destinationrules", "web", spec={"host": "web", "subsets": subsets})

    def weight(self, canary: int) -> None:
        route = [
            {"destination": {"host": "web", "subset": "stable"}, "weight": 100 - canary},
            {"destination": {"host": "web", "subset": "canary"}, "weight": canary},
        ]
        self.tell("virtualservices", "web", spec={"http": [{"route": route}]})

    def pods(self, revision: str, *names: str) -> None:
        for name in names:
            self.tell("pods", name, labels={"pod-template-hash": revision})

    def gone(self, *names: str) -> None:
        for name in names:
            self.tell("pods", name, "DELETED")

    def ready(self, *names: str) -> None:
        endpoints = [{"targetRef": {"name": name}, "conditions": {"ready": True}} for name in names]
        waiting = [{"targetRef": {"name": "late"}, "conditions": {"ready": False}}]
        self.tell("endpointslices", "web-x", endpoints=[*endpoints, *waiting])


def _release() -> Story:
    """Four old pods, two new ones, 25 % for these."""
    story = Story()
    story.pods(OLD, *FOUR_OLD)
    story.ready(*FOUR_OLD)
    story.pinned(OLD, NEW)
    story.pods(NEW, "n0", "n1")
    story.ready(*FOUR_OLD, "n0", "n1")
    story.weight(25)
    return story


def _since(story: Story) -> int:
    """From the first moment at which the old version was there."""
    return next(c.version for c in story.changes if c.kind == "endpointslices") - 1


def test_each_version_with_pods_enough_for_its_share_gives_one_or_more() -> None:
    story = _release()
    found = capacity(story.changes, _since(story))
    assert found.min_ready_ratio == 1.0
    assert found.max_pods_ratio == 1.5
    assert found.moments == 6


def test_a_share_that_is_raised_before_its_pods_are_ready_is_seen() -> None:
    story = _release()
    story.weight(75)
    story.ready(*FOUR_OLD, "n0", "n1", "n2")
    found = capacity(story.changes, _since(story))
    assert found.min_ready_ratio == 2 / 3
    assert found.worst_ready.startswith(f"2 ready of 3 for 75 % of {NEW}")


def test_an_old_version_that_is_scaled_down_before_its_share_is_taken_is_seen() -> None:
    story = _release()
    story.ready("o0", "o1", "n0", "n1")
    assert capacity(story.changes, _since(story)).min_ready_ratio == 2 / 3


def test_a_version_without_a_share_needs_no_pods() -> None:
    story = _release()
    story.pods(NEW, "n2", "n3")
    story.ready(*FOUR_OLD, "n0", "n1", "n2", "n3")
    story.weight(100)
    story.ready("n0", "n1", "n2", "n3")
    assert capacity(story.changes, _since(story)).min_ready_ratio == 1.0


def test_both_subsets_pinned_to_one_version_add_up() -> None:
    story = _release()
    story.pinned(NEW, NEW)
    assert shares(*_mesh(story)) == {NEW: 100}
    assert capacity(story.changes, _since(story)).min_ready_ratio == 0.5


def test_while_nothing_is_pinned_all_pods_serve_together() -> None:
    story = Story()
    story.pods(OLD, *FOUR_OLD)
    story.ready(*FOUR_OLD[:3])
    found = capacity(story.changes, _since(story))
    assert found.min_ready_ratio == 0.75
    assert "all pods" in found.worst_ready


def test_pods_that_are_ending_count_until_they_are_gone() -> None:
    story = _release()
    story.pods(NEW, "n2")
    story.gone("o0", "n2")
    assert capacity(story.changes, _since(story)).max_pods_ratio == 7 / 4


def test_changes_of_several_watches_are_put_in_the_order_in_which_they_happened() -> None:
    story = _release()
    story.pods(NEW, "n2")
    story.ready(*FOUR_OLD, "n0", "n1", "n2")
    story.weight(75)
    late = [*story.changes[:-2], story.changes[-1], story.changes[-2]]
    assert capacity(late, _since(story)).min_ready_ratio == 1.0


def test_what_came_before_the_first_release_is_not_judged() -> None:
    story = Story()
    story.pods(OLD, *FOUR_OLD)
    story.ready(*FOUR_OLD)
    assert capacity(story.changes, 0).min_ready_ratio == 0.0
    assert capacity(story.changes, _since(story)).min_ready_ratio == 1.0


def test_a_single_destination_without_weight_has_all() -> None:
    service = {"spec": {"http": [{"route": [{"destination": {"host": "web", "subset": "stable"}}]}]}}
    rule = {"spec": {"subsets": [{"name": "stable", "labels": {"pod-template-hash": OLD}}]}}
    assert shares(service, rule) == {OLD: 100}


def _mesh(story: Story) -> tuple[Object, Object]:
    by_kind = {change.kind: change.item for change in story.changes}
    return by_kind["virtualservices"], by_kind["destinationrules"]
