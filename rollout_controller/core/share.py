"""Does the traffic really move? The canary's observed share of requests against the one that routes give it.

With `share` percent of the users' requests and `mirror` percent of them copied, the canary is expected to get
p = (share + mirror) / (100 + mirror) of all requests that both sides answer. Of n requests it got c. The
share is *off* only if the whole Wilson score interval of c / n (E. B. Wilson 1927) with z = 4 lies

    below p / 2     far too few, or none: the route is shadowed, or stable gets requests by other ways; of a
                    large share stable has three times what is left to it, and a quarter of all at least
    above 3 p       far too many: callers reach the canary's pods past the managed routes

It is *as routed* if c / n itself lies between the two, and anything else is not known: no news. By chance a
split that is right is called off in less than one of 10^10 looks, and one at the very border in one of 3,000
at most (computed in tests/property/test_share_laws.py). The factors leave room for what is nobody's fault:

- keep-alive connections, outlierDetection and slow starts move nothing: a proxy draws the side anew for every
  request, before it chooses a pod of it;
- Istio tries a request three times by default, so a side that fails may get three times its requests: failed
  ones do not count as too many of a side;
- what else sends to the same pods, as far as the objects tell (`Bypass`), explains more requests of a side:
  then the canary is off only if it gets none, and never because it gets more.

The counts are those of the gate. Requests are counted when they end: in a service whose requests take longer
than its window the canary's first ones come late, and it looks as if it got too few until then.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from rollout_controller.core.judge_counts import Counts, Sides, wilson_low
from rollout_controller.core.judge_words import percent
from rollout_controller.core.verdict import Verification

Z: Final = 4.0
"""The normal quantile of the interval: of a normal distribution 3 in 100,000 lie beyond it to one side."""
FEWEST: Final = 0.5
"""Part of its share that the canary gets at least."""
MOST: Final = 3.0
"""So many times its share it gets at most: Istio's default of two retries is three tries."""
STABLE_HAS: Final = 0.25
"""The part of all requests with which stable has too many of a share that leaves it next to none. Requests
that take long are counted when they end, and some callers are always late."""
LEAST: Final = 20
"""Requests that the canary got, or should have got, before anything is said."""


class Split(Enum):
    """How the requests are split; the value is the reason that the status gives."""

    AS_ROUTED = "AsRouted"
    NONE = "NoRequests"
    FEW = "FarTooFew"
    MANY = "FarTooMany"
    NO_SHARE = "NoShare"
    UNKNOWN = "NotKnown"

    @property
    def off(self) -> bool:
        """Whether this is not what the routes say."""
        return self in {Split.NONE, Split.FEW, Split.MANY}


@dataclass(frozen=True, slots=True)
class Bypass:
    """Whether a side's pods get requests by other ways than the managed split: another route, a mirror.

    `elsewhere`: stable's may, from VirtualServices that the Rollout does not name. How many is not known, so
    that none at the canary are no proof against it; that its share is off is told all the same.
    """

    stable: bool = False
    canary: bool = False
    elsewhere: bool = False


NO_BYPASS: Final = Bypass()


@dataclass(frozen=True, slots=True)
class Routed:
    """What the objects say: the canary's share and mirror in percent, and what else sends to the pods."""

    share: int
    mirror: int = 0
    bypass: Bypass = NO_BYPASS

    @property
    def expected(self) -> float:
        """The part of both sides' requests that the canary should get, 0 to 1."""
        return (self.share + self.mirror) / (100 + self.mirror)

    @property
    def least(self) -> float:
        """The part of both sides' requests that the canary gets at least, 0 to 1."""
        part = self.expected
        return max(FEWEST * part, 1 - max(MOST * (1 - part), STABLE_HAS))


def split_of(sides: Sides, routed: Routed, min_requests: int) -> Split:
    """How the requests of this stretch are split. Stable without any series is no stable to compare with."""
    part, canary = routed.expected, sides.requests
    stable = sides.stable.requests if sides.stable is not None else 0.0
    total = canary + stable
    if part <= 0:
        return Split.NO_SHARE
    if total <= 0 or (part < 1 and sides.stable is None):
        return Split.UNKNOWN
    if max(canary, total * part) < max(min_requests, LEAST):
        return Split.UNKNOWN
    good = _answered(sides.stable)
    if 1 - wilson_low(good, good + canary, Z) < routed.least and not (routed.bypass.stable and canary):
        return Split.FEW if canary else Split.NONE
    good = _answered(sides.canary)
    more_is_fine = routed.bypass.canary or routed.mirror > 0
    if not more_is_fine and wilson_low(good, good + stable, Z) > MOST * part:
        return Split.MANY
    near = routed.least <= canary / total <= MOST * part
    return Split.AS_ROUTED if near else Split.UNKNOWN


def _answered(counts: Counts | None) -> float:
    """Requests that did not fail."""
    return max(counts.requests - counts.errors, 0.0) if counts is not None else 0.0


def verification(split: Split, sides: Sides, routed: Routed) -> Verification:
    """The same as a person reads it, with the likely cause."""
    if split is Split.NO_SHARE:
        return Verification("Unknown", split.value, "the routes give the canary no share here")
    if split is Split.UNKNOWN:
        return Verification(
            "Unknown", split.value, "the requests so far do not tell whether they go as routed"
        )
    if split is Split.NONE:
        return Verification("False", split.value, _none(sides, routed))
    total = sides.requests + (sides.stable.requests if sides.stable is not None else 0)
    seen = f"the canary got {percent(sides.requests / total)} of {total:.0f} requests"
    given = f"the routes give it {percent(routed.expected)}"
    if split is Split.AS_ROUTED:
        return Verification("True", split.value, f"{seen}; {given}")
    causes = {
        Split.FEW: "its pods may be ejected (outlierDetection), another VirtualService may serve this host,"
        " or callers go past the managed routes",
        Split.MANY: "callers may reach its pods past the managed routes",
    }
    return Verification("False", split.value, f"{seen}, but {given}: {causes[split]}")


def _none(sides: Sides, routed: Routed) -> str:
    stable, part = sides.stable.requests if sides.stable is not None else 0, routed.expected
    given = f"{percent(routed.share / 100)} share" if routed.share else f"{routed.mirror} % copies"
    many = f"about {stable * part / (1 - part):.0f} expected" if part < 1 else "all expected"
    cause = (
        "another route to stable may take them all before the managed one"
        if routed.bypass.stable
        else "the route may be shadowed, the subset may select other pods, or the pods may have no sidecar"
    )
    return f"no request reached the canary, though its {given} makes {many}: {cause}"
