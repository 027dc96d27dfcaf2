"""How the new version gets its requests: `spec.strategy`."""

from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, StrictBool, StrictInt, model_validator

from rollout_controller.api.base import NO_DEFAULT, SpecModel
from rollout_controller.api.fields import HEADER_RULE, VALIDATIONS, Duration, HeaderName, cel, wrong
from rollout_controller.api.regex import regex_problem

_STEPS: Final = "weights that do not fall from step to step and end at 100, like 5, 10, 25, 50, 100"
_SCALE: Final = "at least the step's weight and mirror: fewer pods would carry more than their share"
_SENDS: Final = "a weight, or a mirror, or both: something has to be sent to the canary"
_ONE_MATCH: Final = "exactly one of exact, prefix and regex"
_REGEX: Final = "a regular expression of RE2, as Envoy refuses all routes with another one"
_ONE_STRATEGY: Final = "exactly one of canary and blueGreen"
_REGEX_RULE: Final = cel("''.matches(self) ? true : true", f"must be {_REGEX}")
"""An expression that is none makes `matches` an error, which refuses the object."""


class HeaderValue(SpecModel):
    """What a header must be, as in a VirtualService. Exactly one field."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                cel(
                    "(has(self.exact) ? 1 : 0) + (has(self.prefix) ? 1 : 0) + (has(self.regex) ? 1 : 0) == 1",
                    f"must have {_ONE_MATCH}",
                ),
            ]
        }
    )

    exact: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """The whole value."""
    prefix: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """How the value begins."""
    regex: (
        Annotated[
            str,
            Field(min_length=1, max_length=1024, json_schema_extra={VALIDATIONS: [_REGEX_RULE]}),
        ]
        | None
    ) = None
    """A regular expression (RE2) for the whole value."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [name for name in ("exact", "prefix", "regex") if getattr(self, name) is not None]
        if len(given) != 1:
            raise wrong(_ONE_MATCH, found=" and ".join(given) or "none")
        why = None if self.regex is None else regex_problem(self.regex)
        if why is not None:
            raise wrong(_REGEX, found=f"{self.regex!r}: {why}", field=".regex")
        return self


class Pin(SpecModel):
    """Requests that always go to the canary, chosen by their headers: all of them must match."""

    headers: Annotated[
        dict[HeaderName, HeaderValue],
        Field(min_length=1, max_length=8, json_schema_extra={VALIDATIONS: [HEADER_RULE]}),
    ]
    """What each header must be."""


Pins = Annotated[tuple[Pin, ...], Field(max_length=8)]


class Step(SpecModel):
    """One step of a canary: a share of the traffic, copies of it, or both, and what ends it."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                cel("has(self.weight) || has(self.mirror)", f"must have {_SENDS}"),
                cel(
                    "!has(self.scale) || ((!has(self.weight) || self.scale >= self.weight)"
                    " && (!has(self.mirror) || self.scale >= self.mirror))",
                    f"must be {_SCALE}",
                    field_path=".scale",
                ),
            ]
        }
    )

    weight: Annotated[StrictInt, Field(ge=0, le=100)] | None = None
    """Percent of the traffic that the canary gets. Left out: that of the step before."""
    mirror: Annotated[StrictInt, Field(ge=1, le=100)] | None = None
    """Percent of the requests of which the canary gets a copy, whose answer nobody gets."""
    scale: Annotated[StrictInt, Field(ge=1, le=100)] | None = None
    """Percent of the replicas that the canary gets. Left out: the larger of weight and mirror."""
    approval: StrictBool = Field(default=False, json_schema_extra=NO_DEFAULT)
    """Whether the step, once passed, waits for a person to promote it. Left out: it does not."""
    min_duration: Duration | None = None
    """How long the step lasts at least. Left out: spec.minDuration."""

    @model_validator(mode="after")
    def _enough_pods(self) -> Self:
        if self.weight is None and self.mirror is None:
            raise wrong(_SENDS, found="neither")
        sent = {"weight": self.weight or 0, "mirror": self.mirror or 0}
        if self.scale is not None and self.scale < max(sent.values()):
            more = next(f"{name} {percent}" for name, percent in sent.items() if percent > self.scale)
            raise wrong(_SCALE, found=f"{self.scale} with {more}", field=".scale")
        return self


DEFAULT_STEPS: Final = tuple(Step(weight=weight) for weight in (5, 10, 25, 50, 100))


class Canary(SpecModel):
    """The new version takes over in steps."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                cel(
                    "self.steps.filter(s, has(s.weight)).map(s, s.weight).isSorted()"
                    " && (self.steps.size() == 0 || (has(self.steps[self.steps.size() - 1].weight)"
                    " && self.steps[self.steps.size() - 1].weight == 100))",
                    f"must have {_STEPS}",
                    field_path=".steps",
                )
            ]
        }
    )

    pin: Pins = ()
    """Requests that go to the canary from the first step to the end, whatever its weight. Any of them."""
    min_pods: Annotated[StrictInt, Field(ge=1, le=1000)] = 2
    """Pods of the canary at least, but never more than the Deployment's replicas."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=50)] = DEFAULT_STEPS
    """The steps in their order. The last one has weight 100 and is held for spec.bake."""

    @model_validator(mode="after")
    def _ascending_to_all(self) -> Self:
        weights = [step.weight for step in self.steps if step.weight is not None]
        if weights != sorted(weights) or self.steps[-1].weight != 100:
            raise wrong(_STEPS, found=", ".join(map(str, weights)), field=".steps")
        return self


class BlueGreen(SpecModel):
    """The new version starts at full scale beside the old one, is looked at, and takes over in one write."""

    preview: Pins = ()
    """Requests that reach the new version before it takes over. Any of them."""
    mirror: Annotated[StrictInt, Field(ge=0, le=100)] = 0
    """Percent of the requests of which the new version gets a copy before it takes over."""
    scale: Annotated[StrictInt, Field(ge=1, le=100)] = 100
    """Percent of the Deployment's replicas that are previewed. All of them are there before it takes over."""
    min_duration: Duration | None = None
    """How long the preview lasts at least. Left out: spec.minDuration."""
    approval: StrictBool = False
    """Whether the preview, once passed, waits for a person to promote it."""

    @model_validator(mode="after")
    def _enough_pods(self) -> Self:
        if self.scale < self.mirror:
            raise wrong(_SCALE, found=f"{self.scale} with mirror {self.mirror}", field=".scale")
        return self

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [cel("self.scale >= self.mirror", f"must be {_SCALE}", field_path=".scale")]
        }
    )


class Strategy(SpecModel):
    """How the new version takes over. Exactly one of them."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [cel("has(self.canary) != has(self.blueGreen)", f"must have {_ONE_STRATEGY}")]
        }
    )

    canary: Canary | None = None
    """In steps, each judged by the analysis."""
    blue_green: BlueGreen | None = None
    """All at once, after a preview; the old version stays at full scale for spec.bake."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.canary is None) == (self.blue_green is None):
            raise wrong(_ONE_STRATEGY, found="neither" if self.canary is None else "both")
        return self
