"""Asks after requests that reach a canary although everybody was sent back, and after who sends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import structlog

from rollout_controller.controller.jobs import Stray
from rollout_controller.controller.looks import Looker, Memory
from rollout_controller.core.release import Hash
from rollout_controller.ports import MetricsError, Proxies, ProxiesError, Sender

NAMED: Final = 3
"""Proxies that are told by name."""

log = structlog.get_logger(__name__)


class Strays:
    """Keeps no result; remembers only whether it has said that istiod does not answer."""

    def __init__(self, looker: Looker, proxies: Proxies | None) -> None:
        self._looker = looker
        self._proxies = proxies
        self._unanswered = False

    async def ask(self, strays: Mapping[Hash, Stray], memory: Memory, now: datetime) -> dict[Hash, str]:
        """The revisions that have strays now, with what is known of their senders. Raises nothing."""
        found: dict[Hash, str] = {}
        for revision, stray in strays.items():
            try:
                arrive = await self._looker.strays(stray.scope, memory, stray.since, stray.within, now)
            except MetricsError:
                arrive = False
            if arrive:
                found[revision] = await self._who(stray)
        return found

    async def _who(self, stray: Stray) -> str:
        if self._proxies is None or stray.subset is None:
            return ""
        try:
            senders = await self._proxies.senders(stray.subset, stray.namespace)
        except ProxiesError as problem:
            if not self._unanswered:
                log.warning("istiod does not say which proxies are behind", error=str(problem))
            self._unanswered = True
            return ""
        self._unanswered = False
        return words(senders)


def words(senders: Sequence[Sender]) -> str:
    """`proxy gw-0.istio-system has not taken ...; and 4 more`."""
    if not senders:
        return "no proxy that istiod knows is behind"
    told = [f"proxy {one.proxy} {one.why}" for one in senders[:NAMED]]
    more = len(senders) - len(told)
    return "; ".join([*told, f"and {more} more" if more else ""]).removesuffix("; ")
