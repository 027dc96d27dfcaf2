"""Whether the Deployment keeps what a way back to an earlier version is known by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.istio.finding import DEPLOYMENT, title, warning
from rollout_controller.istio.inventory import Inventory

NO_OLD_VERSIONS: Final = "NoOldVersions"


def rollback_findings(known: Inventory, deployment: Json) -> Iterator[Finding]:
    """A Deployment that keeps no old ReplicaSet, beside a Rollout that would know a version from before."""
    if known.rollback_window and deployment["spec"].get("revisionHistoryLimit") == 0:
        yield warning(
            NO_OLD_VERSIONS,
            title(DEPLOYMENT, known.routing, known.routing.deployment),
            "spec.revisionHistoryLimit",
            "0 keeps no old ReplicaSet, by which an earlier version is known: going back to one takes all the"
            " steps",
            f"Set it to {known.rollback_window} or more, or spec.rollbackWindow to 0 in the Rollout.",
        )
