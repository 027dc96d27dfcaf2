"""The pure parts of the process kubelet."""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from e2e.localcluster.kubelet.agent import Addresses
from e2e.localcluster.kubelet.backoff import Backoff
from e2e.localcluster.kubelet.environment import (
    Address,
    ConfigError,
    command_line,
    expand,
    references,
    resolve,
)
from e2e.localcluster.kubelet.logs import find
from e2e.localcluster.kubelet.probe import parse
from e2e.localcluster.kubelet.status import (
    Container,
    Running,
    Terminated,
    Waiting,
    conditions,
    container_status,
    phase,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ADDRESS = Address("10.244.1.7", "10.244.0.1")
POD = {
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "uid": "u",
        "labels": {"app": "web", "tier": "front"},
        "annotations": {"a/b": "note"},
    },
    "spec": {"nodeName": "local"},
}
GOOD, BAD = Terminated(0, NOW, NOW), Terminated(3, NOW, NOW)


def environment(
    *items: dict[str, Any], values: dict[tuple[str, str, str], str] | None = None
) -> dict[str, str]:
    return resolve(POD, {"env": list(items)}, ADDRESS, lambda *key: (values or {}).get(key))


def test_every_process_knows_its_pod() -> None:
    got = resolve(POD, {"image": "web:v1"}, ADDRESS, lambda *_: None)
    assert got == {
        "IMAGE": "web:v1",
        "HOSTNAME": "web-1",
        "POD_NAME": "web-1",
        "POD_NAMESPACE": "shop",
        "POD_IP": "10.244.1.7",
        "POD_LABELS": "app=web,tier=front",
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web-1"),
        ("metadata.namespace", "shop"),
        ("metadata.uid", "u"),
        ("metadata.labels['tier']", "front"),
        ("metadata.labels['none']", ""),
        ("metadata.annotations['a/b']", "note"),
        ("status.podIP", "10.244.1.7"),
        ("status.hostIP", "10.244.0.1"),
        ("spec.nodeName", "local"),
    ],
)
def test_the_downward_api_fills_in_fields(path: str, value: str) -> None:
    assert environment({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}})["X"] == value


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"status\.phase"):
        environment({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}})


def test_values_refer_to_earlier_variables() -> None:
    got = environment({"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(POD_IP)-$$(A)-$(NONE)"})
    assert got["B"] == "1-10.244.1.7-$(A)-$(NONE)"


def test_config_maps_and_secrets_fill_in_keys() -> None:
    item = {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}
    secret = {"name": "Y", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    assert references({"env": [item, secret]}) == {("ConfigMap", "c"), ("Secret", "s")}
    got = environment(item, secret, values={("ConfigMap", "c", "k"): "v", ("Secret", "s", "k"): "w"})
    assert (got["X"], got["Y"]) == ("v", "w")


def test_a_missing_key_holds_the_container_unless_it_is_optional() -> None:
    source: dict[str, Any] = {"name": "c", "key": "k"}
    with pytest.raises(ConfigError, match="ConfigMap c has no key k"):
        environment({"name": "X", "valueFrom": {"configMapKeyRef": source}})
    optional = {"name": "X", "valueFrom": {"configMapKeyRef": {**source, "optional": True}}}
    assert "X" not in environment(optional)


def test_python3_is_the_interpreter_that_runs_the_kubelet() -> None:
    line = command_line({"command": ["python3", "-m", "x"], "args": ["$(A)"]}, {"A": "1"})
    assert line == [sys.executable, "-m", "x", "1"]


def test_an_image_without_a_command_is_refused() -> None:
    with pytest.raises(ConfigError, match="runs no images"):
        command_line({"args": ["x"]}, {})


def test_a_dollar_alone_stays() -> None:
    assert expand("$A $", {}) == "$A $"


def test_restarts_are_immediate_at_first_and_then_ever_slower_up_to_a_cap() -> None:
    backoff, delays = Backoff(1.0), []
    for _ in range(9):
        backoff = backoff.after(ran=0.5)
        delays.append(backoff.delay)
    assert delays == [0, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_long_run_forgets_earlier_crashes() -> None:
    assert Backoff(1.0, crashes=7).after(ran=61).delay == 0


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([Container("a", "i")], "Pending"),
        ([Container("a", "i", Waiting("ImagePullBackOff"))], "Pending"),
        ([Container("a", "i", Running(NOW)), Container("b", "i")], "Pending"),
        ([Container("a", "i", Running(NOW))], "Running"),
        ([Container("a", "i", Waiting("CrashLoopBackOff"), last=BAD)], "Running"),
        ([Container("a", "i", BAD)], "Running"),
        ([Container("a", "i", GOOD, final=True)], "Succeeded"),
        ([Container("a", "i", GOOD, final=True), Container("b", "i", BAD, final=True)], "Failed"),
    ],
)
def test_the_phase_follows_the_containers(containers: list[Container], expected: str) -> None:
    assert phase(containers) == expected


def test_a_condition_keeps_its_transition_time_until_its_status_changes() -> None:
    unready, ready = Container("a", "i", Running(NOW)), Container("a", "i", Running(NOW), ready=True)
    later = NOW + timedelta(minutes=1)
    first = {one["type"]: one for one in conditions([unready], {}, NOW)}
    second = {one["type"]: one for one in conditions([ready], first, later)}
    assert first["Ready"]["status"] == "False"
    assert first["Ready"]["message"] == "containers with unready status: [a]"
    assert second["Ready"] == {
        "type": "Ready",
        "status": "True",
        "reason": None,
        "message": None,
        "lastTransitionTime": "2026-01-02T03:05:05Z",
    }
    assert second["Initialized"]["lastTransitionTime"] == "2026-01-02T03:04:05Z"


def test_a_status_names_all_three_states_so_that_a_patch_clears_the_former() -> None:
    told = container_status(Container("a", "i:1", Waiting("CrashLoopBackOff", "why"), last=BAD, restarts=2))
    assert told["state"] == {
        "waiting": {"reason": "CrashLoopBackOff", "message": "why"},
        "running": None,
        "terminated": None,
    }
    assert told["lastState"]["terminated"]["exitCode"] == 3
    assert told["lastState"]["terminated"]["reason"] == "Error"
    assert told["restartCount"] == 2


def test_a_probe_has_kubernetes_defaults_and_finds_ports_by_name() -> None:
    container = {"name": "app", "ports": [{"name": "http", "containerPort": 8080}]}
    probe = parse({"httpGet": {"port": "http"}}, container, "10.244.1.7")
    assert probe is not None
    assert (probe.host, probe.port, probe.path) == ("10.244.1.7", 8080, "/")
    assert (probe.delay, probe.period, probe.timeout, probe.successes, probe.failures) == (0, 10, 1, 1, 3)


def test_a_probe_of_an_undeclared_port_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="container app declares no port named web"):
        parse({"tcpSocket": {"port": "web"}}, {"name": "app"}, "10.244.1.7")


def test_addresses_are_not_used_again_after_a_restart(tmp_path: Path) -> None:
    counter = tmp_path / "next"
    before = [Addresses(counter).take() for _ in range(2)]
    after = Addresses(counter).take()
    assert before == ["10.244.1.1", "10.244.1.2"]
    assert after == "10.244.1.3"


def test_the_log_of_a_pod_is_that_of_its_last_start(tmp_path: Path) -> None:
    for number, uid in enumerate(("old", "new")):
        folder = tmp_path / f"shop_web-1_{uid}" / "app"
        folder.mkdir(parents=True)
        for start in (0, 2, 10):
            (folder / f"{start}.log").touch()
        os.utime(folder.parent, (number, number))
    newest = tmp_path / "shop_web-1_new" / "app"
    assert find(tmp_path, "shop", "web-1", "app") == newest / "10.log"
    assert find(tmp_path, "shop", "web-1", "app", previous=True) == newest / "2.log"
    assert find(tmp_path, "shop", "web-2", "app") is None
