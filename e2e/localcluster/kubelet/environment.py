"""What a container's process is started with: environment, command, arguments. Pure."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Lookup = Callable[[str, str, str], str | None]
"""(`ConfigMap` or `Secret`, object's name, key) -> value, or None where there is no such key."""
PYTHON = ("python", "python3")
REFERENCE = re.compile(r"\$(\$|\(([-._a-zA-Z][-._a-zA-Z0-9]*)\))")


class ConfigError(Exception):
    """The container cannot be started as specified; kubectl shows it as CreateContainerConfigError."""


@dataclass(frozen=True)
class Address:
    pod: str
    host: str


def resolve(
    pod: Mapping[str, Any], container: Mapping[str, Any], address: Address, lookup: Lookup
) -> dict[str, str]:
    """The environment that the container's spec asks for, over a small base that every process gets."""
    metadata = pod["metadata"]
    environment = {
        "HOSTNAME": metadata["name"],
        "POD_NAME": metadata["name"],
        "POD_NAMESPACE": metadata["namespace"],
        "POD_IP": address.pod,
        "POD_LABELS": ",".join(f"{k}={v}" for k, v in sorted(metadata.get("labels", {}).items())),
        "IMAGE": container.get("image", ""),
    }
    for item in container.get("env", []):
        if "valueFrom" in item:
            value = _from(item["valueFrom"], pod, address, lookup)
        else:
            value = expand(item.get("value", ""), environment)
        if value is not None:
            environment[item["name"]] = value
    return environment


def expand(text: str, environment: Mapping[str, str]) -> str:
    """Replace $(NAME) by its value; $$ is a dollar sign; an unknown name stays as written."""

    def one(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return environment.get(match[2], match[0])

    return REFERENCE.sub(one, text)


def command_line(container: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    """The program and its arguments."""
    words: Sequence[str] = [*container.get("command", []), *container.get("args", [])]
    if not container.get("command"):
        raise ConfigError("the local cluster runs no images: give the container a command")
    line = [expand(word, environment) for word in words]
    if line[0] in PYTHON:
        line[0] = sys.executable
    return line


def _from(source: Mapping[str, Any], pod: Mapping[str, Any], address: Address, lookup: Lookup) -> str | None:
    if "fieldRef" in source:
        return field_value(pod, source["fieldRef"]["fieldPath"], address)
    for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if key in source:
            wanted = source[key]
            value = lookup(kind, wanted["name"], wanted["key"])
            if value is None and not wanted.get("optional"):
                raise ConfigError(f"{kind} {wanted['name']} has no key {wanted['key']}")
            return value
    raise ConfigError(f"env source {', '.join(source)} is not supported by the local cluster")


def field_value(pod: Mapping[str, Any], path: str, address: Address) -> str:
    """The downward API's fields."""
    metadata, spec = pod["metadata"], pod["spec"]
    plain = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata.get("uid", ""),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.podIP": address.pod,
        "status.podIPs": address.pod,
        "status.hostIP": address.host,
    }
    if path in plain:
        return str(plain[path])
    found = re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path)
    if not found:
        raise ConfigError(f"field {path} is not supported by the local cluster")
    return str(metadata.get(found[1], {}).get(found[2], ""))


def references(container: Mapping[str, Any]) -> set[tuple[str, str]]:
    """The (kind, name) of all ConfigMaps and Secrets that the container's environment names."""
    found = set()
    for item in container.get("env", []):
        source = item.get("valueFrom", {})
        for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if key in source:
                found.add((kind, source[key]["name"]))
    return found
