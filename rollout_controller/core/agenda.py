"""The moments a decision waits for, collected while it is made."""

from __future__ import annotations

from datetime import datetime


class Agenda:
    """Answers whether a moment has come; what has not come yet is when to look again."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._later: datetime | None = None

    def due(self, at: datetime) -> bool:
        """Whether `at` has come; if not, it is remembered."""
        if at <= self.now:
            return True
        self.ask_again(at)
        return False

    def ask_again(self, at: datetime) -> None:
        """Remember to look again then."""
        self._later = at if self._later is None else min(self._later, at)

    @property
    def next(self) -> datetime | None:
        """The earliest moment asked for that has not come, None if all have."""
        return self._later
