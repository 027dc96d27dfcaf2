"""The objects of one kind as last seen, by a watch or in the answer to a write of our own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rollout_controller.kube.trim import trim
from rollout_controller.ports import Json, Kind


class Change(NamedTuple):
    """What became of an object: None stands for "not there"."""

    old: Json | None
    new: Json | None


def version_of(obj: Json) -> int:
    """The resourceVersion, an integer that only grows per resource (promised since Kubernetes 1.35)."""
    return int(obj["metadata"]["resourceVersion"])


def parse_labels(selector: str) -> list[tuple[str, str | None]]:
    """`a=b,c` as [("a", "b"), ("c", None)]. A selector of another form is a ValueError."""
    terms: list[tuple[str, str | None]] = []
    for term in filter(None, selector.split(",")):
        key, equals, value = term.partition("=")
        if not key or key.endswith("!") or value.startswith("=") or any(c in term for c in " ()!"):
            raise ValueError(f'expected a label selector like "app=web,tier", found {selector!r}')
        terms.append((key, value if equals else None))
    return terms


class Store:
    """A cache in which the higher resourceVersion wins, whoever brings it and in whatever order.

    So the answer to a write of ours enters at once, and the watch event that follows it changes nothing. An
    event that comes late for another reason, because somebody else wrote just before us, is still a change.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._objects: dict[str, dict[str, Json]] = defaultdict(dict)
        self._labelled: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._seen: dict[str, int] = {}
        self._deleted: dict[str, str] = {}
        self._own: dict[tuple[str, str], set[int]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._objects.values()))

    def get(self, namespace: str, name: str) -> Json | None:
        return self._objects.get(namespace, {}).get(name)

    def all(self, namespace: str) -> tuple[Json, ...]:
        """The objects of a namespace ("": of all)."""
        if namespace:
            return tuple(self._objects.get(namespace, {}).values())
        return tuple(obj for objects in self._objects.values() for obj in objects.values())

    def select(self, namespace: str, labels: str = "") -> list[Json]:
        """The objects of a namespace ("": of all) that carry these labels."""
        terms = parse_labels(labels)
        return [
            obj
            for place in ([namespace] if namespace else list(self._objects))
            for obj in self._candidates(place, terms)
            if all(_carries(obj, key, value) for key, value in terms)
        ]

    def put(self, obj: Json) -> Change | None:
        """Take in what a watch tells; None if it is our own doing, or if nothing that is kept changed."""
        namespace, name, uid = _identity(obj)
        version = version_of(obj)
        news = version > self._passed(namespace) and not self._is_own((namespace, name), version)
        self._pass(namespace, version)
        if uid in self._deleted:
            return None
        old = self.get(namespace, name)
        if old is not None and version_of(old) >= version:
            # We wrote on top of what somebody else had written: the cache has it, but nobody was woken.
            return Change(old, old) if news else None
        new = trim(self.kind, obj)
        self._set(old, new)
        return None if old is not None and _same(old, new) else Change(old, new)

    def remove(self, obj: Json) -> Change | None:
        """Take out what a watch reports as deleted, unless a newer object of that name is known."""
        namespace, name, uid = _identity(obj)
        self._pass(namespace, version_of(obj))
        self._deleted.pop(uid, None)
        self._own.pop((namespace, name), None)
        old = self.get(namespace, name)
        if old is None or (old["metadata"]["uid"] != uid and version_of(old) > version_of(obj)):
            return None
        self._set(old, None)
        return Change(old, None)

    def replace(self, namespace: str, objects: Sequence[Json], version: int) -> Sequence[Change]:
        """Take in a whole list, read at `version`: what it lacks and is not newer is gone."""
        listed = {_identity(obj) for obj in objects}
        uids = {uid for _, _, uid in listed}
        self._deleted = {
            u: n for u, n in self._deleted.items() if u in uids or (namespace and n != namespace)
        }
        # Written by us and not yet told by a watch: what others wrote just before went by unseen.
        unseen = {name for name, own in self._own.items() if min(own) <= version}
        changes = [change for obj in objects if (change := self.put(obj)) is not None]
        for old in self.select(namespace):
            if _identity(old) not in listed and version_of(old) <= version:
                self._set(old, None)
                changes.append(Change(old, None))
            elif _identity(old)[:2] in unseen:
                self._is_own(_identity(old)[:2], version)
                changes.append(Change(old, old))
        self._pass(namespace, version)
        return changes

    def learn(self, obj: Json) -> Change | None:
        """Take in the answer to a write of ours; None if a watch was faster."""
        namespace, name, uid = _identity(obj)
        version = version_of(obj)
        passed = self._passed(namespace)
        old = self.get(namespace, name)
        if uid in self._deleted or (old is None and passed >= version):
            # A watch that has passed this version and knows no such object has seen it deleted.
            return None
        if version > passed:
            self._own.setdefault((namespace, name), set()).add(version)
        if old is not None and version_of(old) >= version:
            return None
        new = trim(self.kind, obj)
        self._set(old, new)
        return Change(old, new)

    def unlearn(self, namespace: str, name: str, uid: str) -> Change | None:
        """Take out what we deleted; events about it that are still under way change nothing."""
        old = self.get(namespace, name)
        if old is None or old["metadata"]["uid"] != uid:
            return None
        self._deleted[uid] = namespace
        self._set(old, None)
        return Change(old, None)

    def _is_own(self, name: tuple[str, str], version: int) -> bool:
        """Whether a write of ours made this version; versions up to it are not asked for again."""
        own = self._own.pop(name, set())
        later = {other for other in own if other > version}
        if later:
            self._own[name] = later
        return version in own

    def _pass(self, namespace: str, version: int) -> None:
        self._seen[namespace] = max(version, self._seen.get(namespace, 0))

    def _passed(self, namespace: str) -> int:
        """The version up to which everything in a namespace was told by lists and watches."""
        return max(self._seen.get(namespace, 0), self._seen.get("", 0))

    def _candidates(self, namespace: str, terms: list[tuple[str, str | None]]) -> Iterable[Json]:
        objects = self._objects.get(namespace, {})
        sets = [self._labelled.get((namespace, k, v), set()) for k, v in terms if v is not None]
        if not sets:
            return list(objects.values())
        return [objects[name] for name in min(sets, key=len)]

    def _set(self, old: Json | None, new: Json | None) -> None:
        if old is not None:
            namespace, name, _ = _identity(old)
            del self._objects[namespace][name]
            for key, value in _labels(old):
                names = self._labelled[(namespace, key, value)]
                names.discard(name)
                if not names:
                    del self._labelled[(namespace, key, value)]
        if new is not None:
            namespace, name, _ = _identity(new)
            self._objects[namespace][name] = new
            for key, value in _labels(new):
                self._labelled[(namespace, key, value)].add(name)


def _identity(obj: Json) -> tuple[str, str, str]:
    metadata = obj["metadata"]
    # Only a Namespace is in none; it is kept as an object in itself.
    return metadata.get("namespace") or metadata["name"], metadata["name"], metadata["uid"]


def _labels(obj: Json) -> Iterable[tuple[str, str]]:
    labels: dict[str, str] = obj["metadata"].get("labels") or {}
    return labels.items()


def _carries(obj: Json, key: str, value: str | None) -> bool:
    labels = obj["metadata"].get("labels") or {}
    return key in labels if value is None else labels.get(key) == value


def _same(old: Json, new: Json) -> bool:
    def essence(obj: Json) -> Json:
        metadata = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
        return {**obj, "metadata": metadata}

    return essence(old) == essence(new)
