"""Pod templates: when two are the same one, what a new one is called, and the ReplicaSet made from it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from copy import deepcopy
from fractions import Fraction
from typing import Any, Final

from rollout_controller.api.names import LABEL
from rollout_controller.core.patch import Json, add, unchanged
from rollout_controller.core.release import Hash

HASH_LABEL: Final = "pod-template-hash"
DESIRED_REPLICAS: Final = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS: Final = "deployment.kubernetes.io/max-replicas"
"""With these two annotations the Deployment controller takes a ReplicaSet for saturated, and leaves its
scale alone while the Deployment is paused; without them it is scaled up by maxSurge and back."""

_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_HASH_LENGTH: Final = 10


def same_template(one: Json, other: Json) -> bool:
    """Whether the Deployment controller takes these pod templates for the same one.

    It leaves `pod-template-hash` out, compares quantities by value (`1Gi` is `1073741824`), and does not
    tell an empty map of labels from none. A canary whose template it took for an older ReplicaSet's would
    never be taken over, so the same rule holds here.
    """
    return _canonical(one) == _canonical(other)


def template_hash(template: Json) -> Hash:
    """The name of a pod template: ten characters that a label, and a name's ending, may have.

    Equal for templates that are `same_template`. It is ours, not the value that the Deployment controller
    would have given.
    """
    number = int.from_bytes(hashlib.sha256(_canonical(template).encode()).digest(), "big")
    letters = []
    for _ in range(_HASH_LENGTH):
        number, letter = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[letter])
    return "".join(letters)


def canary_replica_set(deployment: Json, canary: Hash, replicas: int, rollout_name: str) -> Json:
    """The ReplicaSet that runs the Deployment's present template as the canary, as it is to be created.

    It has no owner, and none of the labels that the Deployment's selector asks for: the Deployment must
    not adopt it before the hand-over. Labels of its own keep the API server from copying the template's.
    """
    metadata, spec = deployment["metadata"], deployment["spec"]
    template = deepcopy(spec["template"])
    meta = template["metadata"] = template.get("metadata") or {}
    meta["labels"] = {**(meta.get("labels") or {}), HASH_LABEL: canary}
    selector = deepcopy(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: canary}
    ready = {"minReadySeconds": spec["minReadySeconds"]} if spec.get("minReadySeconds") else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{metadata['name']}-{canary}",
            "namespace": metadata["namespace"],
            "labels": {LABEL: rollout_name, HASH_LABEL: canary},
        },
        "spec": {"replicas": replicas, **ready, "selector": selector, "template": template},
    }


def hand_over_ops(replica_set: Json, deployment: Json, replicas: int, surge: int) -> list[Json]:
    """The JSON patch that gives the canary's ReplicaSet, at `replicas`, to the paused Deployment.

    In one write: the labels by which the Deployment finds it, the annotations that say it is saturated at
    `replicas` with room for `surge` more, and the Deployment as its controller.
    """
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": deployment["metadata"]["name"],
        "uid": deployment["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    annotations = {DESIRED_REPLICAS: str(replicas), MAX_REPLICAS: str(replicas + surge)}
    meta = replica_set["metadata"]
    return [
        unchanged(replica_set),
        *_merge(meta, "labels", _selected_labels(deployment, replica_set)),
        *_merge(meta, "annotations", annotations),
        add([*(meta.get("ownerReferences") or []), owner], "metadata", "ownerReferences"),
    ]


def max_surge(deployment: Json) -> int:
    """How many pods above `replicas` a rolling update of this Deployment may make."""
    spec = deployment["spec"]
    strategy = spec.get("strategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return 0
    surge: int | str = (strategy.get("rollingUpdate") or {}).get("maxSurge", "25%")
    if isinstance(surge, int):
        return surge
    replicas: int = spec.get("replicas", 1)
    return -(-replicas * int(surge.removesuffix("%")) // 100)


def _selected_labels(deployment: Json, replica_set: Json) -> dict[str, str]:
    """The labels of the pods that the Deployment's selector speaks of, by value or by expression."""
    selector = deployment["spec"]["selector"]
    keys: Iterable[str] = [
        *(selector.get("matchLabels") or {}),
        *(expression["key"] for expression in selector.get("matchExpressions") or []),
    ]
    labels = replica_set["spec"]["template"]["metadata"]["labels"]
    return {key: labels[key] for key in keys if key in labels}


def _merge(metadata: Json, field: str, wanted: dict[str, str]) -> list[Json]:
    if not metadata.get(field):
        return [add(wanted, "metadata", field)] if wanted else []
    present = metadata[field]
    return [add(value, "metadata", field, key) for key, value in wanted.items() if present.get(key) != value]


def _canonical(template: Json) -> str:
    normal = _normal(template)
    meta = normal.get("metadata", {})
    meta.get("labels", {}).pop(HASH_LABEL, None)
    normal["metadata"] = {
        key: value for key, value in meta.items() if value or key not in ("labels", "annotations")
    }
    return json.dumps(normal, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


_QUANTITY_MAPS: Final = frozenset({"limits", "requests", "overhead"})
_QUANTITIES: Final = frozenset({("emptyDir", "sizeLimit"), ("resourceFieldRef", "divisor")})


def _normal(value: Any, key: str = "", parent: str = "") -> Any:
    """A copy without nulls, which mean absent, and with every quantity written in one way."""
    if isinstance(value, dict):
        return {k: _normal(v, k, key) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if parent in _QUANTITY_MAPS or (parent, key) in _QUANTITIES:
        return _quantity(str(value))
    return value


_QUANTITY: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d+))?")
_DECIMAL: Final = {letter: Fraction(1000) ** power for power, letter in enumerate("num kMGTPE", start=-3)}
_BINARY: Final = {f"{letter}i": Fraction(1024) ** power for power, letter in enumerate("KMGTPE", start=1)}


def _quantity(text: str) -> str:
    """A Kubernetes quantity as a fraction in lowest terms; what is none stays as it is."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return text
    number, suffix, exponent = match.groups()
    scale = {**_DECIMAL, **_BINARY}[suffix] if suffix else Fraction(10) ** int(exponent or 0)
    return str(Fraction(number) * scale)
