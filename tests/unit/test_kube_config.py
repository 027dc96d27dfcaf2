"""How the API server is found: each wrong kubeconfig gets one sentence, tokens stay fresh."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from rollout_controller.kube import config as module
from rollout_controller.kube.config import ConfigError, load
from rollout_controller.kube.rest import Request, Rest
from tests.support.apiserver import says, serving

ASK = Request("get", "version", "GET", "/version")


def kubeconfig(folder: Path, server: str = "http://127.0.0.1:1", ca: str = "", **user: Any) -> str:
    authority = {"certificate-authority": ca} if ca else {}
    content = {
        "clusters": [{"name": "c", "cluster": {"server": server, **authority}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.fixture(autouse=True)
def outside_a_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


async def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nope: no such file; name one with --kubeconfig"):
        await load(str(tmp_path / "nope"))


async def test_without_any_hint_the_file_in_the_home_folder_is_meant(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.kube/config: no such file"):
        await load()


async def test_the_environment_names_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path, "http://127.0.0.1:4242"))
    assert (await load()).host == "http://127.0.0.1:4242"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not YAML"),
        ("", "not usable"),
        ("[]", "not usable"),
        ("just a sentence", "not usable"),
        ("{clusters: [], contexts: [], users: []}", "current-context"),
        ("{clusters: [], contexts: [{name: x, context: {cluster: c}}], current-context: x}", "name c"),
        (
            "{clusters: [{name: c}], contexts: [{name: x, context: {cluster: c}}], current-context: x}",
            "cluster",
        ),
    ],
)
async def test_a_file_of_the_wrong_form_is_a_sentence_not_a_traceback(
    tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "bad"
    path.write_text(content)
    with pytest.raises(ConfigError, match=said) as caught:
        await load(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_an_unknown_context_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"context staging: not usable: .* name staging"):
        await load(kubeconfig(tmp_path), "staging")


async def test_a_certificate_that_is_none_is_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("no certificate")
    with pytest.raises(ConfigError, match="certificate or another file cannot be read"):
        await load(kubeconfig(tmp_path, "https://x", str(tmp_path / "ca")))


async def test_a_token_file_is_read_again_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    async with serving(rest=says({"major": "1"})) as server:
        rest = Rest(await load(kubeconfig(tmp_path, server.url, tokenFile=str(token))))
        await rest.call(ASK)
        token.write_text("second")
        await rest.call(ASK)
        monkeypatch.setattr(module, "_FRESH", 0.0)
        await rest.call(ASK)
        token.unlink()
        await rest.call(ASK)
        await rest.close()
        sent = [request.headers["Authorization"] for request in server.requests]
        assert sent == ["Bearer first", "Bearer first", "Bearer second", "Bearer second"]


async def test_inside_a_cluster_the_service_account_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(module, "SERVICE_TOKEN_FILENAME", str(tmp_path))
    with pytest.raises(ConfigError, match="the pod's ServiceAccount cannot be used"):
        await load()
    assert (await load(kubeconfig(tmp_path, "http://127.0.0.1:4242"))).host == "http://127.0.0.1:4242"
