"""What can be set, by flag or by environment, and what each setting must look like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from rollout_controller.api.quantities import parse_duration

ENV_PREFIX: Final = "ROLLOUT_CONTROLLER_"

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")


class SettingsError(Exception):
    """A setting that cannot be used; the message names flag and environment variable and the right form."""


def _address(value: str, example: str, token_flag: str) -> str:
    url = urlsplit(value)
    if url.username or url.password:
        raise ValueError(f"expected no credentials in the address; use {token_flag}")
    if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment:
        raise ValueError(f'expected an address like "{example}"')
    return value.rstrip("/")


def _duration(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(_duration)]


class Settings(BaseSettings):
    """The settings of one controller. A flag counts before the environment, that before the default.

    The description of a field is its help text.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    kubeconfig: str | None = Field(
        None,
        description="kubeconfig file; default: the pod's ServiceAccount inside a cluster,"
        " else $KUBECONFIG, else ~/.kube/config",
    )
    context: str | None = Field(None, description="context of the kubeconfig; default: its current one")
    namespace: str = Field(
        "", description="namespaces to work in, joined by commas; default: all of the cluster"
    )
    prometheus: str = Field(
        "http://prometheus.istio-system:9090",
        description="address of Prometheus, as http[s]://host[:port][/path]",
    )
    prometheus_token_file: str | None = Field(
        None, description="file with a bearer token for Prometheus; read anew when it changes"
    )
    istiod: str = Field(
        "",
        description="address of istiod's debug pages, as http[s]://host[:port], to say which proxies still"
        " send to a canary after a revert; default: it is not asked",
    )
    istiod_token_file: str | None = Field(
        None,
        description="file with a bearer token for istiod; read anew when it is asked",
    )
    pod_label: str = Field(
        "pod", description="label of istio_requests_total that holds the name of the pod that answered"
    )
    settle: Duration = Field(
        timedelta(seconds=3), description="how long a changed weight is given to reach all proxies, like 3s"
    )
    settle_relabel: Duration = Field(
        timedelta(seconds=10), description="how long changed subset labels are given, like 10s"
    )
    workers: int = Field(8, ge=1, le=64, description="Rollouts that are worked on at the same time, 1 to 64")
    health_address: str = Field(
        "127.0.0.1:8080", description="where /healthz, /readyz and /metrics are served, as host:port"
    )
    log_format: Literal["auto", "json", "pretty"] = Field(
        "auto", description="json, pretty, or auto: pretty on a terminal, else json"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug, info, warning or error"
    )

    @field_validator("namespace")
    @classmethod
    def _namespaces(cls, value: str) -> str:
        for name in filter(None, value.split(",")):
            if not _NAMESPACE.match(name):
                raise ValueError('expected namespaces like "shop" or "shop,pay"')
        return value

    @field_validator("prometheus")
    @classmethod
    def _prometheus_address(cls, value: str) -> str:
        return _address(value, "http://prometheus.istio-system:9090", "--prometheus-token-file")

    @field_validator("istiod")
    @classmethod
    def _istiod_address(cls, value: str) -> str:
        return value and _address(value, "http://istiod.istio-system:15014", "--istiod-token-file")

    @field_validator("pod_label")
    @classmethod
    def _label(cls, value: str) -> str:
        if not _LABEL.match(value):
            raise ValueError('expected a Prometheus label like "pod" or "kubernetes_pod_name"')
        return value

    @field_validator("health_address")
    @classmethod
    def _listen(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise ValueError('expected host:port like "0.0.0.0:8080"')
        return value

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces to watch; ("",) is all of them."""
        return tuple(dict.fromkeys(filter(None, self.namespace.split(",")))) or ("",)

    @property
    def health(self) -> tuple[str, int]:
        """Host and port of the health server."""
        host, _, port = self.health_address.rpartition(":")
        return host.strip("[]"), int(port)


def flag_of(field: str) -> str:
    """The flag that sets a field."""
    return "--" + field.replace("_", "-")


def env_of(field: str) -> str:
    """The environment variable that sets a field."""
    return ENV_PREFIX + field.upper()


def load(given: dict[str, Any]) -> Settings:
    """The settings from these flags (field name -> text) and the environment. Raises SettingsError."""
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError(
            "; ".join(_sentence(e["loc"], e["msg"], e.get("input")) for e in error.errors())
        ) from None


def _sentence(loc: tuple[int | str, ...], message: str, found: Any) -> str:
    field = str(loc[0]) if loc else "settings"
    reason = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    shown = "" if "found" in reason or "credentials" in reason else f", found {str(found)!r}"
    return f"{flag_of(field)} ({env_of(field)}): {reason[:1].lower()}{reason[1:]}{shown}"


def unknown_settings(environment: Mapping[str, str]) -> list[str]:
    """Variables that look like settings of ours and are none.

    Kubernetes itself sets some for a Service called rollout-controller: ..._SERVICE_HOST, ..._PORT_8080_TCP.
    """
    known = {env_of(field) for field in Settings.model_fields}
    ours = (name for name in environment if name.startswith(ENV_PREFIX) and name not in known)
    return sorted(n for n in ours if not re.match(rf"{ENV_PREFIX}(.*_)?(SERVICE_(HOST|PORT)|PORT)(_|\Z)", n))
