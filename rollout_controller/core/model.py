"""The two values of a decision: `decide` sees the world as one `Observed` and answers with one `Decision`.

What they are made of is in `release`, `world`, `verdict`, `finding` and `effects`. All of it is
frozen, hashable where cheap, and free of any clock or connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from rollout_controller.core.effects import Effect
from rollout_controller.core.finding import WRITE_FAILS, Finding
from rollout_controller.core.release import Command, Facts, Hash, Policy
from rollout_controller.core.verdict import Reading, Verdict, Verification
from rollout_controller.core.world import Part, Timing, Traffic, Workload


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that a decision may rest on, read in one go.

    `busy` tells per revision whether its pods were still sent requests when metrics were last asked:
    True or False as measured, None if metrics have no answer; a revision that is missing was not asked
    about yet. `strays` has the revisions that requests still reach although nothing should send them there,
    with what is known of who does ("": nothing). `absent` parts do not exist (404), `unread` parts could not
    be read just now. `told` are the keys of the findings that the stored status has: people know of them.
    `edited` says that the running release's strategy was edited, and that nobody was told yet. `owner` is the
    older Rollout that claims the same ("": this one owns what it claims), `holder` another one that claims
    the same and still has marks of a release in the cluster. `waits` tells of a promote that is given before
    its time ("": there is none).
    """

    now: datetime
    policy: Policy | None
    generation: int
    facts: Facts
    workload: Workload | None
    traffic: Traffic | None
    timing: Timing = field(default_factory=Timing)
    deleting: bool = False
    finalizer: bool = False
    command: Command | None = None
    verdict: Verdict | None = None
    findings: tuple[Finding, ...] = ()
    told: frozenset[tuple[str, str, str]] = frozenset()
    busy: Mapping[Hash, bool | None] = field(default_factory=lambda: MappingProxyType({}))
    strays: Mapping[Hash, str] = field(default_factory=lambda: MappingProxyType({}))
    absent: frozenset[Part] = frozenset()
    unread: frozenset[Part] = frozenset()
    edited: bool = False
    owner: str = ""
    holder: str = ""
    waits: str = ""

    @property
    def error(self) -> Finding | None:
        """The first finding that holds a release, if any."""
        return next((f for f in self.findings if f.severity == "error"), None)

    @property
    def unwritten(self) -> Finding | None:
        """What is told of a write of ours that fails, if one does."""
        return next((f for f in self.findings if f.code == WRITE_FAILS), None)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth telling: an Event on the Rollout."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Display:
    """What status shows a person beyond the facts; nothing in it moves with `now` or with attempts."""

    message: str
    step: str
    weight: int
    readings: tuple[Reading, ...] = ()
    verdict: Literal["pass", "fail", "inconclusive"] | None = None
    sentence: str = ""
    traffic: Verification | None = None
    findings: tuple[Finding, ...] = ()
    image: str = ""
    observed_generation: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What to remember, to show, to do and to tell, and when to look again (None: when something moves)."""

    facts: Facts
    display: Display
    effects: tuple[Effect, ...] = ()
    notices: tuple[Notice, ...] = ()
    wake_at: datetime | None = None
    gone: bool = False
