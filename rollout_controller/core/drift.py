"""What others do to our weights and subsets, in words: who, what, how and when, and what was done about it.

Lowering the canary's share is an abort, whoever does it. What somebody else raised or relabelled is put back,
a few times in a release; who goes on means it, and is taken at his word.
"""

from __future__ import annotations

from typing import Final

from rollout_controller.core import conditions as is_
from rollout_controller.core.model import Notice, Observed
from rollout_controller.core.release import Facts, Hash
from rollout_controller.core.world import ForeignWrite, Traffic

MAX_CORRECTIONS: Final = 3
"""How often a release puts back what somebody else raised or relabelled before it gives up."""


def lowered(o: Observed, facts: Facts) -> str:
    """That the share was lowered, for the reason of an abort."""
    share = is_.canary_share(o, facts)[0]
    by = o.traffic.changed_by if o.traffic is not None else None
    if is_.starved(o, facts) and share >= facts.reached:
        what = "took away what the canary is sent beside its share"
    else:
        what = f"lowered the canary's share from {facts.reached} % to {share} %"
    return f"{_who(by)} {what}{_how(by)}, which counts as an abort"


def kept_on(o: Observed, facts: Facts) -> str:
    """That somebody does not let it be, for the reason of an abort."""
    by = _last(o)
    who = by.who if by is not None else "somebody else"
    often = f"{facts.corrections} times{_how(by, '; last')}"
    return f"{who} keeps changing the weights or subsets ({often}), which counts as an abort"


def interference(o: Observed, facts: Facts) -> str:
    """What somebody raised or relabelled, to be put back."""
    t = o.traffic
    if t is None:
        return ""
    told = []
    if is_.raised_outside(o, facts):
        told.append(f"{_who(t.changed_by)} raised the canary's {_rise(t, facts)}{_how(t.changed_by)}")
    if is_.foreign_pins(o, facts):
        stable, canary = map(_selected, t.subsets, t.lacks)
        by = t.relabelled_by
        what = "changed the selectors of the Services" if t.services else "relabelled the subsets"
        told.append(f"{_who(by)} {what}, to stable: {stable}, canary: {canary}{_how(by)}")
    return " and ".join(told)


def advice(o: Observed, facts: Facts) -> str:
    """What the owner of the tool that interferes has to set, "" if it is none that is known."""
    t = o.traffic
    if t is None:
        return ""
    by = t.relabelled_by if is_.foreign_pins(o, facts) else t.changed_by
    return by.advice if by is not None else ""


def corrected(before: Facts, facts: Facts) -> list[Notice]:
    """What is told when something is put back."""
    if not before.corrections < facts.corrections <= MAX_CORRECTIONS:
        return []
    return [Notice("Warning", "Corrected", ended(_put_back(facts), facts))]


def addition(facts: Facts) -> str:
    """What the status of a running release adds about it."""
    if not facts.interference:
        return ""
    return ended(f"; {_put_back(facts)}", facts)


def ended(sentence: str, facts: Facts) -> str:
    """The sentence, with what has to be set so that it does not happen again."""
    return f"{sentence}. {facts.advice}" if facts.advice else sentence


def _rise(t: Traffic, facts: Facts) -> str:
    want, stage = is_.wanted(facts), facts.at
    if stage is not None and t.canary_weight[1] > stage.weight:
        return f"share from {want.weight} % to {t.canary_weight[1]} %"
    return f"copies from {want.mirror} % to {t.mirror[1]} %"


def _put_back(facts: Facts) -> str:
    return f"{facts.interference}; put back, {facts.corrections} of {MAX_CORRECTIONS} times in a release"


def _who(by: ForeignWrite | None) -> str:
    return by.who if by is not None else "somebody else"


def _how(by: ForeignWrite | None, opening: str = "") -> str:
    """` (Apply of VirtualService shop/web at 2030-01-01T12:00:05Z)`; with an opening, without brackets."""
    if by is None or not by.at:
        return ""
    words = f"{by.operation or 'write'} of {by.object} at {by.at}"
    return f"{opening} {words}" if opening else f" ({words})"


def _selected(pin: Hash | None, lacks: bool) -> str:
    if lacks:
        return "nobody, as there is none"
    return pin if pin is not None else "every pod"


def _last(o: Observed) -> ForeignWrite | None:
    writes = [o.traffic.changed_by, o.traffic.relabelled_by] if o.traffic is not None else []
    return max((by for by in writes if by is not None), key=lambda by: by.at, default=None)
