"""Which pods are released: `spec.workload`."""

from typing import Final, Self

from pydantic import ConfigDict, model_validator

from rollout_controller.api.base import SpecModel
from rollout_controller.api.fields import VALIDATIONS, DeploymentName, cel, wrong

_ONE_WORKLOAD: Final = "either deployment, or both stable and canary"
_SIDES: Final = "another Deployment than stable's"


class SideRef(SpecModel):
    """One of two Deployments that serve in turn."""

    deployment: DeploymentName
    """Name of the Deployment, in the Rollout's namespace."""


class Workload(SpecModel):
    """What is released: one Deployment, or two that serve in turn."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                cel(
                    "has(self.stable) == has(self.canary) && has(self.deployment) != has(self.stable)",
                    f"must have {_ONE_WORKLOAD}",
                ),
                cel(
                    "!has(self.stable) || !has(self.canary)"
                    " || self.stable.deployment != self.canary.deployment",
                    f"must be {_SIDES}",
                    field_path=".canary.deployment",
                ),
            ]
        }
    )

    deployment: DeploymentName | None = None
    """The Deployment whose new pod templates are released step by step."""
    stable: SideRef | None = None
    """The Deployment that stableSubset, or services.stable, selects. It may come to be the idle one."""
    canary: SideRef | None = None
    """The Deployment that canarySubset, or services.canary, selects. Of the two, the idle one's new pod
    templates are released; only traffic is moved, replicas and labels are left alone."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [name for name in ("deployment", "stable", "canary") if getattr(self, name) is not None]
        if given not in (["deployment"], ["stable", "canary"]):
            raise wrong(_ONE_WORKLOAD, found=" and ".join(given) or "neither")
        return self

    @model_validator(mode="after")
    def _two_deployments(self) -> Self:
        if self.stable is not None and self.stable == self.canary:
            raise wrong(_SIDES, found=repr(self.stable.deployment), field=".canary.deployment")
        return self
