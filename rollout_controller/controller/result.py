"""What a pass answers to the queue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PassResult:
    """How a pass ended.

    `wake_at` is when to look again if nothing happens (None: when something does); `again` asks for another
    pass at once, because this one changed the world or saw an old one; `failed` for another one later;
    `gone` says that the Rollout does not exist any more.
    """

    wake_at: datetime | None = None
    again: bool = False
    failed: bool = False
    gone: bool = False
