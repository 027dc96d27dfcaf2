"""Sidecars, ambient mode and mutual TLS."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout_controller.core.patch import Json
from tests.support.findings import LABELS, codes, everywhere, named, namespace, pod, ruled, told
from tests.support.istio_objects import ROUTING, deployment, service, template

INJECTED = namespace({"istio-injection": "enabled"})
AMBIENT = namespace({"istio.io/dataplane-mode": "ambient"})
INJECT = "sidecar.istio.io/inject"
SIDECAR = (pod("web-1", "istio-proxy"),)
BARE = (pod("web-1", "istio-proxy"), pod("web-2"))


def with_template(field: str, **marks: str) -> Json:
    made = template()
    made["metadata"][field] = {**made["metadata"].get(field, {}), **marks}
    return deployment(template=made)


def marked(value: str, field: str = "labels") -> Json:
    return with_template(field, **{INJECT: value})


# -- sidecars --------------------------------------------------------------------------------------------


def test_pods_without_a_sidecar_in_an_injected_namespace_are_told() -> None:
    assert told(namespace=INJECTED, pods=BARE) == [
        "warning PodsWithoutSidecar: Deployment shop/web spec.template: pods of it run without a sidecar,"
        " although namespace shop injects them: their requests are not measured. Make them anew (kubectl"
        " rollout restart -n shop deployment/web); if that does not help, see whether Istio's injector is in"
        " force."
    ]


@pytest.mark.parametrize(
    "pods",
    [
        SIDECAR,
        (pod("web-1", init=("istio-proxy",)),),
        (*SIDECAR, pod("web-2", status={"phase": "Succeeded"})),
        (*SIDECAR, {"metadata": {"name": "web-2", "labels": LABELS, "deletionTimestamp": "soon"}}),
        (*SIDECAR, {"metadata": {"name": "web-2", "labels": LABELS}}),  # its containers are not known
        (),
    ],
)
def test_pods_with_a_sidecar_and_those_that_ended_are_fine(pods: tuple[Json, ...]) -> None:
    assert codes(namespace=INJECTED, pods=pods) == []


@pytest.mark.parametrize(
    ("labels", "workload", "injected"),
    [
        ({"istio-injection": "enabled"}, deployment(), True),
        ({"istio.io/rev": "stable"}, deployment(), True),
        ({"istio-injection": "disabled", "istio.io/rev": "stable"}, deployment(), False),
        ({}, deployment(), False),
        ({}, marked("true"), True),
        ({"istio-injection": "disabled"}, marked("true"), False),
    ],
)
def test_whether_sidecars_are_wanted_is_told_by_the_namespace_or_the_template(
    labels: dict[str, str], workload: Json, injected: bool
) -> None:
    found = codes(namespace=namespace(labels), deployment=workload, pods=BARE)
    assert found == (["warning PodsWithoutSidecar"] if injected else [])


@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_a_template_that_refuses_the_sidecar_is_an_error(field: str) -> None:
    assert told(namespace=INJECTED, deployment=marked("false", field), pods=BARE) == [
        f'error SidecarRefused: Deployment shop/web spec.template.metadata.{field}["{INJECT}"]: its pods get'
        " no sidecar, so their requests are not measured and no release can be judged. Remove it: namespace"
        " shop injects sidecars."
    ]


def test_the_label_counts_before_the_annotation() -> None:
    both = marked("true")
    both["spec"]["template"]["metadata"]["annotations"] = {INJECT: "false"}
    assert codes(namespace=INJECTED, deployment=both, pods=SIDECAR) == []


def test_nothing_is_said_of_sidecars_without_the_namespace() -> None:
    assert codes(namespace=None, deployment=marked("false"), pods=BARE) == []


# -- ambient ---------------------------------------------------------------------------------------------

WAYPOINT = "istio.io/use-waypoint"


def test_ambient_without_a_waypoint_is_an_error() -> None:
    assert told(namespace=AMBIENT) == [
        f'error AmbientWithoutWaypoint: Service shop/web metadata.labels["{WAYPOINT}"]: the pods are in'
        " ambient mode and no waypoint serves them, so nobody splits their requests by weight and nobody"
        " counts them. Make a waypoint (istioctl waypoint apply -n shop --enroll-namespace), or use sidecars."
    ]


def labelled_service(**labels: str) -> Json:
    made = service({"app": "web"})
    made["metadata"]["labels"] = labels
    return made


@pytest.mark.parametrize(
    ("changes", "fine"),
    [
        ({"services": everywhere(labelled_service(**{WAYPOINT: "web"}))}, True),
        ({"namespace": namespace({"istio.io/dataplane-mode": "ambient", WAYPOINT: "all"})}, True),
        ({"services": everywhere(labelled_service(**{WAYPOINT: "none"}))}, False),
        ({"pods": SIDECAR}, True),
        ({"services": everywhere(service({"app": "web"}, name="rates"))}, None),
        ({"deployment": with_template("labels", **{"istio.io/dataplane-mode": "none"})}, True),
    ],
)
def test_a_waypoint_is_named_by_the_service_or_the_namespace(changes: Json, fine: bool | None) -> None:
    found = codes(**{"namespace": AMBIENT, **changes})
    assert ("error AmbientWithoutWaypoint" in found) is (fine is False)


# -- mutual TLS ------------------------------------------------------------------------------------------


def policy(mode: str, name: str = "default", place: str = "shop", **spec: Any) -> Json:
    return named("PeerAuthentication", name, place, mtls={"mode": mode}, **spec)


OFF = {"tls": {"mode": "DISABLE"}}


def strict(*policies: Json, rule: Json | None = None, **changes: Any) -> list[str]:
    known = everywhere(*policies)
    return told(
        peer_authentications=known,
        destination_rule=rule or ruled(trafficPolicy=OFF),
        **{"namespace": INJECTED, "pods": SIDECAR, **changes},
    )


def test_a_rule_that_leaves_mutual_tls_out_does_not_reach_strict_pods() -> None:
    assert strict(policy("STRICT")) == [
        "error MtlsConflict: DestinationRule shop/web spec.trafficPolicy.tls.mode: DISABLE is no mutual TLS"
        " of Istio's, but PeerAuthentication shop/default lets the pods take nothing else: callers get 503."
        " Set it to ISTIO_MUTUAL, or remove it: Istio then finds out by itself."
    ]


@pytest.mark.parametrize(
    ("policies", "conflict"),
    [
        ([policy("STRICT", place="istio-system")], True),
        ([policy("STRICT", place="istio-system"), policy("PERMISSIVE")], False),
        ([policy("STRICT", place="istio-system"), policy("UNSET")], True),
        ([policy("STRICT", place="pay")], False),
        ([policy("PERMISSIVE"), policy("STRICT", "web", selector={"matchLabels": {"app": "web"}})], True),
        ([policy("STRICT"), policy("DISABLE", "web", selector={"matchLabels": {"app": "web"}})], False),
        ([policy("STRICT", "pay", selector={"matchLabels": {"app": "pay"}})], False),
        ([policy("STRICT", portLevelMtls={"8080": {"mode": "PERMISSIVE"}})], False),
        ([policy("STRICT"), policy("PERMISSIVE", "second")], False),
        ([], False),
    ],
)
def test_the_most_specific_peer_authentication_decides(policies: list[Json], conflict: bool) -> None:
    assert bool(strict(*policies)) is conflict


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        (ruled(trafficPolicy={"tls": {"mode": "SIMPLE"}}), "spec.trafficPolicy.tls.mode"),
        (
            ruled({"name": "stable"}, {"name": "canary", "trafficPolicy": OFF}),
            "spec.subsets[1].trafficPolicy.tls.mode",
        ),
        (
            ruled(trafficPolicy={"portLevelSettings": [{"port": {"number": 80}, **OFF}]}),
            "spec.trafficPolicy.portLevelSettings[0].tls.mode",
        ),
        (ruled(trafficPolicy={"tls": {"mode": "ISTIO_MUTUAL"}}), None),
        (ruled(trafficPolicy={"loadBalancer": {}}), None),
        (ruled(trafficPolicy={**OFF, "portLevelSettings": [{"port": {"number": 80}}]}), None),
        (ruled({"name": "stable"}, {"name": "canary"}, {"name": "debug", "trafficPolicy": OFF}), None),
    ],
)
def test_the_rule_is_looked_at_where_it_speaks_of_our_subsets(rule: Json, path: str | None) -> None:
    found = strict(policy("STRICT"), rule=rule)
    assert [finding.split(" ")[4].removesuffix(":") for finding in found] == ([path] if path else [])


def test_pods_that_are_not_in_the_mesh_are_not_strict() -> None:
    assert strict(policy("STRICT"), namespace=namespace(), pods=(pod("web-1"),)) == []


def test_without_the_pods_labels_a_selector_makes_everything_uncertain() -> None:
    ours = policy("PERMISSIVE", "web", selector={"matchLabels": {"app": "web"}})
    assert [f for f in strict(policy("STRICT"), ours, deployment=None) if "MtlsConflict" in f] == []
    assert [f for f in strict(policy("STRICT"), deployment=None) if "MtlsConflict" in f] != []


# -- two Deployments -------------------------------------------------------------------------------------


def test_of_two_deployments_each_is_looked_at_and_the_rule_once() -> None:
    v1, v2 = marked("false"), deployment()
    pair = replace(ROUTING, deployments=("web", "web-v2"))
    found = strict(policy("STRICT"), routing=pair, deployment=None, sides=(v1, v2))
    codes = [f.split(" ")[1].removesuffix(":") for f in found]
    assert codes.count("SidecarRefused") == 1
    assert codes.count("MtlsConflict") == 1
