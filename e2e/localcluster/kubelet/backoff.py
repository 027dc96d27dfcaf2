"""How long a container that keeps ending waits before it is started again. Pure."""

from dataclasses import dataclass

CAP = 30
"""Longest wait, in units of the base (Kubernetes: 300 s over 10 s)."""
FORGIVEN = 60
"""A run this long, in units of the base, counts as healthy and forgets what went before."""


@dataclass(frozen=True)
class Backoff:
    """The first restart is immediate, the next waits `base` seconds, then twice as long each time."""

    base: float
    crashes: int = 0

    def after(self, ran: float) -> "Backoff":
        """The state after a run of `ran` seconds that ended."""
        return Backoff(self.base, 1 if ran >= FORGIVEN * self.base else self.crashes + 1)

    @property
    def delay(self) -> float:
        if self.crashes <= 1:
            return 0.0
        return float(self.base * min(2 ** (self.crashes - 2), CAP))
