"""Where requests are split: `spec.traffic`."""

from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, StrictInt, model_validator

from rollout_controller.api.base import MAP_OF_NAMES, SpecModel
from rollout_controller.api.fields import (
    VALIDATIONS,
    ObjectName,
    RouteName,
    ServiceName,
    SubsetName,
    cel,
    wrong,
)

_ONE_SPLIT: Final = "exactly one of destinationRule and services"
_SERVICES: Final = "another Service than stable"
_SUBSETS: Final = "another subset than stableSubset"


Port = Annotated[StrictInt, Field(ge=1, le=65535)]


class TlsRoute(SpecModel):
    """A tls route, which has no name in Istio: chosen by the SNI hosts and the port of one of its matches."""

    port: Port | None = None
    """Port of the match. Left out: any."""
    sni_hosts: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=253)], ...],
        Field(min_length=1, max_length=50, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ]
    """All SNI hosts of the match."""


class TcpRoute(SpecModel):
    """A tcp route, which has no name in Istio: chosen by the port of one of its matches."""

    port: Port
    """Port of the match."""


class VirtualServiceRef(SpecModel):
    """A VirtualService whose weights are moved."""

    name: ObjectName
    """Name of the VirtualService, in the Rollout's namespace."""
    routes: (
        Annotated[
            tuple[RouteName, ...],
            Field(min_length=1, max_length=50, json_schema_extra={"x-kubernetes-list-type": "set"}),
        ]
        | None
    ) = None
    """Names of http routes. Without any choice: every route, tls and tcp too, that sends to one of the two
    sides; each has to send to both."""
    tls_routes: Annotated[tuple[TlsRoute, ...], Field(max_length=20)] = ()
    """Routes of TLS passed through."""
    tcp_routes: Annotated[tuple[TcpRoute, ...], Field(max_length=20)] = ()
    """Routes of plain TCP."""

    @model_validator(mode="after")
    def _distinct_routes(self) -> Self:
        if self.routes is not None and len(set(self.routes)) != len(self.routes):
            raise wrong("each route once", found=", ".join(self.routes), field=".routes")
        return self


class DestinationRuleRef(SpecModel):
    """The DestinationRule and its two subsets."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                cel(
                    "self.stableSubset != self.canarySubset",
                    f"must be {_SUBSETS}",
                    field_path=".canarySubset",
                )
            ]
        }
    )

    name: ObjectName
    """Name of the DestinationRule, in the Rollout's namespace."""
    stable_subset: SubsetName
    """The subset that serves all users at rest."""
    canary_subset: SubsetName
    """The subset that serves the new version while it is released."""

    @model_validator(mode="after")
    def _two_subsets(self) -> Self:
        if self.stable_subset == self.canary_subset:
            raise wrong(_SUBSETS, found=repr(self.canary_subset), field=".canarySubset")
        return self


class ServicesRef(SpecModel):
    """Two Services in the place of subsets."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                cel("self.stable != self.canary", f"must be {_SERVICES}", field_path=".canary"),
            ]
        }
    )

    stable: ServiceName
    """The Service whose pods serve all users at rest."""
    canary: ServiceName
    """The Service whose pods are the new version while it is released."""

    @model_validator(mode="after")
    def _two_services(self) -> Self:
        if self.stable == self.canary:
            raise wrong(_SERVICES, found=repr(self.canary), field=".canary")
        return self


class IstioTraffic(SpecModel):
    """Traffic that Istio routes: to two subsets of one host, or to two Services."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [cel("has(self.destinationRule) != has(self.services)", f"must have {_ONE_SPLIT}")]
        }
    )

    virtual_services: Annotated[
        tuple[VirtualServiceRef, ...], Field(min_length=1, max_length=20, json_schema_extra=MAP_OF_NAMES)
    ]
    """The VirtualServices that carry the weights."""
    destination_rule: DestinationRuleRef | None = None
    """The DestinationRule that tells the two versions apart."""
    services: ServicesRef | None = None
    """The Services that tell the two versions apart, where there are no subsets."""

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        names = [service.name for service in self.virtual_services]
        if len(set(names)) != len(names):
            raise wrong("each VirtualService once", found=", ".join(names), field=".virtualServices")
        return self

    @model_validator(mode="after")
    def _one_split(self) -> Self:
        if (self.destination_rule is None) == (self.services is None):
            raise wrong(_ONE_SPLIT, found="neither" if self.services is None else "both")
        return self


class Traffic(SpecModel):
    """What moves the users."""

    istio: IstioTraffic
    """The objects of Istio."""
