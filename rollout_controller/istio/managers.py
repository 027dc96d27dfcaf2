"""Who wrote a field of an object last, from what the API server notes of it in `managedFields`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from rollout_controller.api.names import FIELD_MANAGER
from rollout_controller.core.patch import Json
from rollout_controller.core.world import ForeignWrite
from rollout_controller.istio.gitops import Field, advice, known_as

_OURS: Final[dict[str, Field]] = {
    "http": "weights",
    "tls": "tls weights",
    "tcp": "tcp weights",
    "subsets": "labels",
    "selector": "selector",
}
"""What of such a field of `spec` is ours."""

_Entry = dict[str, Any]


def last_stranger(written: Iterable[tuple[Json, str]], *, whole_routes: bool = False) -> ForeignWrite | None:
    """The last write of any of these that came after ours, None if ours was the last everywhere.

    Each object comes with the field of its `spec` that is asked about. Lists are atomic for the API server,
    so their managers wrote them as a whole. `whole_routes` says that not only the weights of http routes are
    ours, but routes or mirrors that we add.
    """
    last = [
        max(((item, field, entry) for entry in _writers(item, field)), key=_order, default=None)
        for item, field in written
    ]
    strangers = [one for one in last if one is not None and one[2].get("manager") != FIELD_MANAGER]
    if not strangers:
        return None
    item, field, entry = max(strangers, key=_order)
    manager, metadata, kind = entry.get("manager") or "", item["metadata"], item.get("kind") or ""
    ours: Field = "routes" if field == "http" and whole_routes else _OURS[field]
    return ForeignWrite(
        who=known_as(manager),
        operation=entry.get("operation") or "",
        at=entry.get("time") or "",
        object=f"{kind} {metadata.get('namespace')}/{metadata.get('name')}",
        advice=advice(manager, kind, [ours], metadata.get("name") or "") or "",
    )


def _writers(item: Json, field: str) -> Iterator[_Entry]:
    for entry in item["metadata"].get("managedFields") or []:
        if f"f:{field}" in (entry.get("fieldsV1") or {}).get("f:spec", {}):
            yield entry


def _order(write: tuple[Json, str, _Entry]) -> tuple[str, bool, str]:
    """When, whether it was somebody else, who. Times are whole seconds: of two writes in the same second
    somebody else's came after ours, or we would not ask."""
    who = write[2].get("manager") or ""
    return write[2].get("time") or "", who != FIELD_MANAGER, who
