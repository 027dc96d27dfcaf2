"""What a release came to: its figures, and whether that is as it should be. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from e2e.demo.counts import Counts
from e2e.demo.observer import revision_of
from e2e.load import Answer

SLOW = 0.5
"""Seconds; the latency limit of demo/rollout.yaml."""
STEPS = (5, 10, 25, 50, 100)
"""The weights of demo/rollout.yaml."""
Ailment = Literal["", "errors", "slowness"]


@dataclass(frozen=True)
class Release:
    """A version that the demo releases; one with an ailment has to be reverted.

    `back` is one that was stable before: it is gone back to in one step. `strategy` is a file of
    demo/strategies that is applied before; `path` has the weights above 0 that it then gives the canary.
    """

    scene: str
    image: str
    ailment: Ailment
    says: str
    back: bool = False
    strategy: str = ""
    path: tuple[int, ...] = STEPS

    @property
    def on_copies(self) -> bool:
        """Whether only copies are to reach the canary, whose answers nobody gets."""
        return not self.path

    @property
    def weights(self) -> tuple[int, ...]:
        """The weights above 0 that the canary has to get, if it is to be promoted."""
        return STEPS[-1:] if self.back else self.path


RELEASES = (
    Release("good", "demo:1.1.0", "", "a good version"),
    Release("errors", "demo:1.2.0-errors-5pct", "errors", "a version with 5 % errors"),
    Release("slow", "demo:1.3.0-p99-800ms", "slowness", "a version with a p99 of 800 ms"),
    Release("rollback", "demo:1.0.0", "", "the version before", back=True),
)
OTHER_WAYS = (
    Release("pins", "demo:1.4.0", "", "a good version, pinned by a header", strategy="pins", path=(25, 100)),
    Release(
        "mirror",
        "demo:1.5.0-errors-5pct",
        "errors",
        "a version with 5 % errors, judged on copies",
        strategy="mirror",
        path=(),
    ),
    Release("bluegreen", "demo:1.6.0", "", "a good version, blue-green", strategy="bluegreen", path=(100,)),
)
"""Scenes that are played only when they are asked for."""


def scenes(names: Sequence[str] = ()) -> tuple[Release, ...]:
    """The releases of these scenes in the story's order, of the story where none is named; a way back needs
    one that it leads back from."""
    if not names:
        return RELEASES
    back = any(release.back for release in RELEASES if release.scene in names)
    wanted = {*names, RELEASES[0].scene} if back else {*names}
    return tuple(release for release in RELEASES + OTHER_WAYS if release.scene in wanted)


@dataclass(frozen=True)
class Traffic:
    """The answers that clients got while a release ran, told apart by who gave them. Times in seconds."""

    requests: int
    failed: int
    stray: int
    """Failed requests that the canary's pods did not answer: nobody's fault but the release's."""
    slow: int
    """Answers by the canary that took longer than the limit."""
    first_slow: float | None
    last_sent: float | None
    """When the last request was sent that the canary answered."""
    last_other: float | None = None
    """When the last one was sent that another version answered."""


def traffic(answers: Sequence[Answer], revision: str) -> Traffic:
    """Sum up answers. `revision` is the canary's pod-template-hash."""
    canary = [one for one in answers if revision_of(one.pod) == revision]
    failed = [one for one in answers if one.failed]
    slow = [one for one in canary if one.latency > SLOW]
    return Traffic(
        requests=len(answers),
        failed=len(failed),
        stray=sum(revision_of(one.pod) != revision for one in failed),
        slow=len(slow),
        first_slow=min((one.done for one in slow), default=None),
        last_sent=max((one.sent for one in canary), default=None),
        last_other=max(
            (one.sent for one in answers if revision_of(one.pod) not in ("", revision)), default=None
        ),
    )


@dataclass(frozen=True)
class Pinned:
    """The requests with the pinned header, and how many of them another version than the canary answered,
    while the pin was in force."""

    requests: int
    wrong: int


def pinned(answers: Sequence[Answer], revision: str, since: float | None, until: float | None) -> Pinned:
    """Those that were sent from `since` to `until`, when the VirtualService had our routes."""
    if since is None:
        return Pinned(0, 0)
    during = [one for one in answers if since <= one.sent and (until is None or one.sent < until)]
    return Pinned(len(during), sum(revision_of(one.pod) != revision for one in during))


@dataclass(frozen=True)
class Held:
    """A weight of the canary, and how many seconds the VirtualService had it."""

    weight: int
    seconds: float


def held(weights: Sequence[tuple[float, int]], since: float, until: float) -> tuple[Held, ...]:
    """The canary's weights above 0 between two times, from those that were written at a time each."""
    return tuple(
        Held(weight, min(end, until) - at)
        for (at, weight), (end, _) in pairwise([*weights, (until, 0)])
        if weight > 0 and since <= at < until
    )


def zeroed(weights: Sequence[tuple[float, int]], since: float) -> float | None:
    """When the weight went back to 0 after it had been above, at or after `since`."""
    above = False
    for at, weight in weights:
        if at >= since and weight > 0:
            above = True
        elif above and weight == 0:
            return at
    return None


@dataclass(frozen=True)
class Record:
    """A release that is over, or was given up."""

    release: Release
    outcome: str
    """`Promoted`, `Reverted`; empty if it did not end."""
    reason: str
    """Why it ended so; the Rollout's message if it did not end."""
    seconds: float
    steps: tuple[Held, ...]
    traffic: Traffic
    canary: Counts
    """What the canary's pods counted: before retries hide anything."""
    first_bad: float | None
    """When the canary first did what it is to be reverted for."""
    zero: float | None
    """When the VirtualService was seen back at weight 0."""
    weight: int
    """The canary's weight at the end."""
    differences: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Kind -> how it differs from git."""
    began: float = 0.0
    """When the image was set."""
    pinned: Pinned | None = None
    """Of requests with the pinned header, where the strategy has one."""
    early: int = 0
    """Requests without it that the canary answered before it had a weight."""

    @property
    def bad_seconds(self) -> float | None:
        """From the first bad request to weight 0."""
        return None if self.first_bad is None or self.zero is None else self.zero - self.first_bad

    @property
    def last_after(self) -> float | None:
        """From weight 0 to the last request that still went to the canary."""
        if self.zero is None or self.traffic.last_sent is None:
            return None
        return max(0.0, self.traffic.last_sent - self.zero)

    @property
    def back_seconds(self) -> float | None:
        """From the change to the last request that another version answered; None but for a way back."""
        if not self.release.back or self.traffic.last_other is None:
            return None
        return self.traffic.last_other - self.began

    def problems(self) -> list[str]:
        """What is not as it should be, a sentence each."""
        found = list(self._wrong_end())
        if self.weight != 0:
            found.append(f"the canary's weight is {self.weight} at the end, expected 0")
        if self.traffic.requests == 0:
            found.append("no request was answered")
        if self.traffic.stray:
            found.append(f"{self.traffic.stray} requests failed that the canary had not answered")
        if not self.release.ailment and self.traffic.failed:
            found.append(f"{self.traffic.failed} requests failed, expected 0")
        if self.early:
            found.append(f"the canary answered {self.early} requests before it had a weight")
        if self.pinned is not None and not self.pinned.requests:
            found.append("the canary answered no request with the pinned header")
        if self.pinned is not None and self.pinned.wrong:
            found.append(f"{self.pinned.wrong} requests with the pinned header went to another version")
        for kind, lines in self.differences.items():
            found += [f"{kind} is not what git says: {line}" for line in lines]
        return [f"{self.release.image}: {problem}" for problem in found]

    def _wrong_end(self) -> list[str]:
        expected = "Reverted" if self.release.ailment else "Promoted"
        if self.outcome != expected:
            return [f"expected {expected}, found {self.outcome or 'no end'}: {self.reason}"]
        weights = tuple(step.weight for step in self.steps)
        if expected == "Promoted":
            return self._wrong_way(weights)
        found = []
        word = "error rate" if self.release.ailment == "errors" else "p99"
        if word not in self.reason:
            found.append(f"expected {word} for its reason, found: {self.reason}")
        ailment = self.release.ailment
        if self.first_bad is None:
            found.append(f"its {ailment} never showed")
        if not self.release.path and (weights or self.traffic.failed):
            found.append(f"users were to see nothing of it, and {self.traffic.failed} requests failed")
        if self.release.path and self.zero is None:
            found.append("its weight never went back to 0")
        if self.bad_seconds is not None and self.bad_seconds < 0:
            found.append(f"it was back at 0 {-self.bad_seconds:.1f} s before its {ailment} showed")
        return found

    def _wrong_way(self, weights: tuple[int, ...]) -> list[str]:
        wanted = self.release.weights
        found = [] if weights == wanted else [f"expected the weights {wanted}, found {weights}"]
        if self.release.back and self.back_seconds is None:
            found.append("nobody was seen on another version, to be brought back from it")
        return found
