"""What deploy/controller.yaml lets the controller do is all that it does, and no more."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.localcluster import LocalCluster
from e2e.localcluster.layout import REPOSITORY
from e2e.tests.kubeadapter import adapter, make_rollout
from e2e.tests.support import Namespace, deployment, destination_rule, route, service, virtual_service
from rollout_controller.kube.events import Events
from rollout_controller.ports import Json, Kind, Ref

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("installed")]

ANNOTATE: Json = {"op": "add", "path": "/metadata/annotations", "value": {"touched": "yes"}}
WRITTEN = (Kind.VIRTUAL_SERVICE, Kind.DESTINATION_RULE, Kind.SERVICE)
"""What moves traffic: weights and routes, subsets, or in host mode the selectors of two Services."""
ACCOUNT = "system:serviceaccount:rollout-controller:rollout-controller"


@pytest.fixture
async def account(cluster: LocalCluster, namespace: Namespace, tmp_path: Path) -> Path:
    """A kubeconfig with a token of the ServiceAccount in deploy/controller.yaml."""
    documents = yaml.safe_load_all((REPOSITORY / "deploy" / "controller.yaml").read_text())
    needed = [one for one in documents if one["kind"] != "Deployment"]
    items = {"apiVersion": "v1", "kind": "List", "items": needed}
    (await cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(items))).check()
    create = ("create", "token", "rollout-controller", "-n", "rollout-controller")
    token = (await cluster.kubectl(*create)).check().stdout.strip()
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    path = tmp_path / "account"
    path.write_text(yaml.safe_dump(config))
    return path


def canary(template: Json) -> Json:
    """A ReplicaSet as a canary is: of no owner."""
    labels = {"app": "web", "pod-template-hash": "abc"}
    inside = {**template, "metadata": {**template["metadata"], "labels": labels}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": inside}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web-abc"}, "spec": spec}


async def test_every_kind_of_call_that_the_controller_makes_is_allowed(
    namespace: Namespace, account: Path
) -> None:
    rollout = await make_rollout(namespace)
    applied = await namespace.apply(
        deployment(replicas=0),
        service(),
        virtual_service(namespace.host, [route({"stable": 100}, host="web")]),
        destination_rule("web", {"stable": {"app": "web"}}),
    )
    async with adapter(account) as it:
        await it.cache.synced()
        for kind in (*WRITTEN, Kind.ROLLOUT, Kind.DEPLOYMENT):
            ref = Ref(kind, namespace.name, "web")
            await it.cluster.patch(ref, [ANNOTATE], dry_run=True)
            await it.cluster.patch(ref, [ANNOTATE])
            assert await it.cluster.get(ref, live=True)
            assert await it.cluster.list(kind, namespace.name, live=True)
        status: Json = {"op": "add", "path": "/status", "value": {"phase": "Healthy"}}
        await it.cluster.patch(Ref(Kind.ROLLOUT, namespace.name, "web"), [status], status=True)
        template = applied[0]["spec"]["template"]
        made = await it.cluster.create(Kind.REPLICA_SET, namespace.name, canary(template))
        owner = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "web",
            "uid": applied[0]["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        ref = Ref(Kind.REPLICA_SET, namespace.name, "web-abc")
        await it.cluster.patch(ref, [{"op": "add", "path": "/metadata/ownerReferences", "value": [owner]}])
        await it.cluster.delete(ref, uid=made["metadata"]["uid"])
        for kind in (Kind.POD, Kind.ENDPOINT_SLICE, Kind.REPLICA_SET):
            await it.cluster.list(kind, namespace.name, live=True)
        for kind in Kind:
            assert it.cluster.known(kind) is not None, f"{kind.plural} are watched"
        counted: list[str] = []
        events = Events(it.calls, counted.append)
        events.start()
        events.notify(rollout, "Normal", "Adopted", "by the test")
        await events.stop(5)
        assert counted == ["sent"]


FORBIDDEN: list[tuple[Any, ...]] = [
    ("get", "secrets"),
    ("get", "configmaps"),
    ("create", "pods"),
    ("delete", "pods"),
    ("create", "pods", "--subresource=exec"),
    ("create", "deployments.apps"),
    ("update", "deployments.apps"),
    ("delete", "deployments.apps"),
    ("patch", "deployments.apps", "--subresource=scale"),
    ("create", "services"),
    ("delete", "services"),
    ("patch", "services", "--subresource=status"),
    ("delete", "rollouts.rollout-controller.dev"),
    ("create", "rollouts.rollout-controller.dev"),
    ("delete", "virtualservices.networking.istio.io"),
    ("patch", "gateways.networking.istio.io"),
    ("patch", "serviceentries.networking.istio.io"),
    ("patch", "peerauthentications.security.istio.io"),
    ("patch", "horizontalpodautoscalers.autoscaling"),
    ("patch", "namespaces"),
    ("patch", "validatingadmissionpolicies.admissionregistration.k8s.io"),
    ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
    ("list", "events.events.k8s.io"),
]


@pytest.mark.usefixtures("account")
async def test_what_the_controller_never_does_is_forbidden(namespace: Namespace) -> None:
    for action in FORBIDDEN:
        answer = await namespace.kubectl("auth", "can-i", *action, f"--as={ACCOUNT}")
        assert answer.stdout.strip() == "no", action


async def test_the_manifests_are_accepted_as_one_whole(cluster: LocalCluster) -> None:
    rendered = (await cluster.kubectl("kustomize", str(REPOSITORY / "deploy"))).check().stdout
    kinds = [one["kind"] for one in yaml.safe_load_all(rendered)]
    assert kinds.count("Deployment") == 1
    assert {"CustomResourceDefinition", "MutatingAdmissionPolicy", "ValidatingAdmissionPolicy"} <= set(kinds)
    # Without its namespace, which a dry run does not make.
    manifest = next(one for one in yaml.safe_load_all(rendered) if one["kind"] == "Deployment")
    manifest["metadata"]["namespace"] = "default"
    strict = ("apply", "--dry-run=server", "--validate=strict", "-f", "-")
    (await cluster.kubectl(*strict, stdin=json.dumps(manifest))).check()
