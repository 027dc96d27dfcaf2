"""Settings: flag over environment over default, and one sentence for each value that cannot be used."""

from datetime import timedelta

import pytest

from rollout_controller.app.settings import ENV_PREFIX, SettingsError, env_of, load, unknown_settings


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [n for n in os.environ if n.startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)


def test_without_anything_the_defaults_hold() -> None:
    settings = load({})
    assert settings.namespaces == ("",)
    assert settings.settle == timedelta(seconds=3)
    assert settings.settle_relabel == timedelta(seconds=10)
    assert settings.health == ("127.0.0.1", 8080)
    assert settings.workers == 8


def test_the_environment_counts_over_defaults_and_a_flag_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLOUT_CONTROLLER_SETTLE", "500ms")
    monkeypatch.setenv("ROLLOUT_CONTROLLER_WORKERS", "3")
    settings = load({"workers": "5"})
    assert settings.settle == timedelta(milliseconds=500)
    assert settings.workers == 5


@pytest.mark.parametrize(
    ("text", "namespaces"), [("", ("",)), ("shop", ("shop",)), ("shop,pay,shop", ("shop", "pay"))]
)
def test_namespaces_are_a_list_or_all(text: str, namespaces: tuple[str, ...]) -> None:
    assert load({"namespace": text}).namespaces == namespaces


def test_an_ipv6_address_can_be_listened_on() -> None:
    assert load({"health_address": "[::]:9000"}).health == ("::", 9000)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("settle", "3x", 'expected a duration like "90s"'),
        ("settle", "3", "expected a duration"),
        ("workers", "0", "greater than or equal to 1"),
        ("workers", "many", "valid integer"),
        ("prometheus", "prometheus:9090", 'expected an address like "http://'),
        ("prometheus", "ftp://prometheus", "expected an address"),
        ("prometheus", "http://", "expected an address"),
        ("istiod", "istiod:15014", 'expected an address like "http://istiod.istio-system:15014"'),
        ("health_address", "8080", 'expected host:port like "0.0.0.0:8080"'),
        ("health_address", "0.0.0.0:99999", "expected host:port"),
        ("namespace", "Shop", 'expected namespaces like "shop"'),
        ("namespace", "shop, pay", "expected namespaces"),
        ("pod_label", "pod-name", 'expected a Prometheus label like "pod"'),
        ("log_format", "xml", "'auto', 'json' or 'pretty'"),
        ("log_level", "loud", "'debug', 'info'"),
    ],
)
def test_a_wrong_value_names_flag_variable_right_form_and_what_was_found(
    field: str, value: str, said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load({field: value})
    sentence = str(caught.value)
    assert said in sentence
    assert "--" + field.replace("_", "-") in sentence
    assert env_of(field) in sentence
    assert repr(value) in sentence


@pytest.mark.parametrize("field", ["prometheus", "istiod"])
def test_credentials_in_an_address_are_refused_and_not_repeated(field: str) -> None:
    with pytest.raises(SettingsError, match=f"use --{field}-token-file") as caught:
        load({field: "http://me:hunter2@somewhere:9090"})
    assert "hunter2" not in str(caught.value)


def test_istiod_is_not_asked_unless_told_where_it_is() -> None:
    assert load({}).istiod == ""
    assert load({"istiod": "http://istiod.istio-system:15014/"}).istiod == "http://istiod.istio-system:15014"


def test_each_wrong_value_is_told() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"settle": "x", "workers": "0"})
    assert "--settle" in str(caught.value)
    assert "--workers" in str(caught.value)


def test_misspelt_variables_are_found_and_those_that_kubernetes_sets_are_not() -> None:
    environment = {
        "ROLLOUT_CONTROLLER_SETLE": "3s",
        "ROLLOUT_CONTROLLER_SETTLE": "3s",
        "ROLLOUT_CONTROLLER_SERVICE_HOST": "10.0.0.1",
        "ROLLOUT_CONTROLLER_SERVICE_PORT": "80",
        "ROLLOUT_CONTROLLER_PORT": "tcp://10.0.0.1:80",
        "ROLLOUT_CONTROLLER_PORT_80_TCP_ADDR": "10.0.0.1",
        "ROLLOUT_CONTROLLER_METRICS_SERVICE_PORT_HTTP": "80",
        "HOME": "/root",
    }
    assert unknown_settings(environment) == ["ROLLOUT_CONTROLLER_SETLE"]
