"""The demo application and the load generator."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import pytest

from e2e.app.behaviour import Conduct
from e2e.app.metrics import BUCKETS, Metrics, workload_of
from e2e.app.server import Answer, Request, Server
from e2e.load import Answer as Answered
from e2e.load import Load
from tests.support.ports import refusing


@asynccontextmanager
async def serving(handler: Any) -> AsyncIterator[tuple[Server, str]]:
    server = Server(handler)
    await server.listen("127.0.0.1", 0)
    assert server._server is not None
    try:
        yield server, f"http://127.0.0.1:{server._server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


async def sent(load: Load, count: int) -> None:
    """Wait until as many requests have left, at most 5 s."""
    async with asyncio.timeout(5):
        while load.sent < count:  # noqa: ASYNC110 -- the generator has no event for it, nor needs one
            await asyncio.sleep(0.005)


def statuses(count: int, **variables: str) -> list[int]:
    conduct = Conduct(variables)
    return [conduct.next_status() for _ in range(count)]


def delays(count: int, **variables: str) -> list[float]:
    conduct = Conduct(variables)
    result = []
    for _ in range(count):
        conduct.next_status()
        result.append(conduct.next_delay())
    return result


@pytest.mark.parametrize("rate", ["0", "0.01", "0.05", "0.3", "1"])
def test_even_errors_are_exactly_as_many_as_the_rate_says(rate: str) -> None:
    assert statuses(1000, ERROR_RATE=rate).count(500) == round(1000 * float(rate))


def test_even_errors_are_spread_evenly() -> None:
    failed = [number for number, status in enumerate(statuses(100, ERROR_RATE="0.05"), 1) if status == 500]
    assert failed == [10, 30, 50, 70, 90]


def test_random_errors_come_by_chance_but_reproducibly() -> None:
    variables = {"ERROR_RATE": "0.05", "ERROR_PATTERN": "random", "SEED": "s", "ERROR_STATUS": "503"}
    first = statuses(10_000, **variables)
    assert first == statuses(10_000, **variables)
    assert first.count(503) == pytest.approx(500, abs=90)


def test_latency_has_the_median_and_p99_asked_for() -> None:
    times = sorted(delays(20_000, LATENCY_P50_MS="20", LATENCY_P99_MS="800", SEED="s"))
    assert times[10_000] == pytest.approx(0.020, rel=0.1)
    assert times[19_800] == pytest.approx(0.800, rel=0.15)


def test_listed_latencies_come_in_turn() -> None:
    assert delays(5, LATENCY_LIST_MS="5, 5, 800") == [0.005, 0.005, 0.8, 0.005, 0.005]


@pytest.mark.parametrize(
    ("name", "value"), [("ERROR_RATE", "many"), ("ERROR_PATTERN", "odd"), ("LATENCY_LIST_MS", "5;6")]
)
def test_a_variable_that_makes_no_sense_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        Conduct({name: value})


def test_a_refused_change_leaves_the_behaviour_as_it_was() -> None:
    conduct = Conduct({"VERSION": "v1"})
    with pytest.raises(ValueError, match="ERROR_RATE"):
        conduct.change({"version": "v2", "error_rate": "x"})
    assert conduct.behaviour.version == "v1"
    conduct.change({"error_rate": "1"})
    assert conduct.next_status() == 500


@pytest.mark.parametrize(
    ("pod", "labels", "workload"),
    [
        ("web-7bd7cc54bc-44gz2", {"pod-template-hash": "7bd7cc54bc"}, "web"),
        ("my-web-7bd7cc54bc-44gz2", {"pod-template-hash": "7bd7cc54bc"}, "my-web"),
        ("solo", {}, "solo"),
        ("job-abc-x", {}, "job-abc-x"),
    ],
)
def test_the_workload_is_the_deployment_of_a_replica_sets_pod(
    pod: str, labels: dict[str, str], workload: str
) -> None:
    assert workload_of({"POD_NAME": pod}, labels) == workload


def test_the_metrics_are_those_of_a_sidecar() -> None:
    metrics = Metrics(
        {
            "POD_NAME": "web-abc-1",
            "POD_NAMESPACE": "shop",
            "POD_LABELS": "app=web,pod-template-hash=abc,version=v2",
        }
    )
    metrics.count(200, 7, through_gateway=True)
    metrics.count(200, 250, through_gateway=True)
    metrics.count(503, 0.1, through_gateway=True)
    lines = metrics.render().splitlines()
    total = next(line for line in lines if line.startswith("istio_requests_total") and '"200"' in line)
    for label in (
        'reporter="destination"',
        'source_workload="gw"',
        'destination_workload="web"',
        'destination_workload_namespace="shop"',
        'destination_service="web.shop.svc.cluster.local"',
        'destination_service_name="web"',
        'destination_version="v2"',
        'destination_canonical_revision="v2"',
        'response_flags="-"',
        'grpc_response_status=""',
        'request_protocol="http"',
    ):
        assert label in total
    assert total.endswith(" 2")
    buckets = {
        line.split('le="')[1].split('"')[0]: int(line.rsplit(" ", 1)[1])
        for line in lines
        if "_bucket" in line and 'response_code="200"' in line
    }
    assert list(buckets) == [*(str(bound) for bound in BUCKETS), "+Inf"]
    assert (buckets["5"], buckets["10"], buckets["100"], buckets["250"], buckets["+Inf"]) == (0, 1, 1, 2, 2)


async def test_the_server_answers_requests_of_one_connection_in_order() -> None:
    async with serving(lambda request: Answer(200, request.target.encode(), delay=0.01)) as (_, url):
        port = int(url.split(":")[2].strip("/"))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        chunked = b"POST /2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        sized = b"POST /3 HTTP/1.1\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"
        writer.write(b"GET /1 HTTP/1.1\r\n\r\n" + chunked + sized)
        async with asyncio.timeout(5):
            text = (await reader.read()).decode()
        assert text.index("/1") < text.index("/2") < text.index("/3")
        writer.close()


async def test_a_closing_server_finishes_the_answer_under_way() -> None:
    arrived = asyncio.Event()

    def handler(request: Request) -> Answer:
        arrived.set()
        return Answer(200, b"late", delay=0.1)

    async with serving(handler) as (server, url), Load(url, 20) as load, asyncio.timeout(5):
        await arrived.wait()
        server.close()
        await server.idle.wait()
    first = next(answer for answer in load.answers if answer.number == 1)
    assert first.status == 200


async def test_load_leaves_on_time_although_nobody_answers() -> None:
    async with serving(lambda request: Answer(200, delay=2)) as (_, url), Load(url, 100) as load:
        begun = monotonic()
        await asyncio.sleep(0.25)
        assert load.sent == pytest.approx(100 * (monotonic() - begun), abs=6)
        assert not load.answers
    assert len(load.answers) == load.sent
    assert not load.failures()
    assert all(answer.done - answer.sent >= 2 for answer in load.answers)


@pytest.mark.parametrize(("q", "value"), [(0.01, 0.1), (0.5, 0.2), (0.99, 0.3)])
def test_a_percentile_of_load_counts_from_when_requests_were_due(q: float, value: float) -> None:
    load = Load("http://127.0.0.1/", 1)
    load.answers += [
        Answered(number, due=5, sent=5.05, done=5 + late, status=200, version="v1", pod="a", error="")
        for number, late in enumerate((0.3, 0.1, 0.2))
    ]
    assert load.percentile(q) == pytest.approx(value)


async def test_load_tells_versions_pods_and_failures_apart() -> None:
    count = 0

    def handler(request: Request) -> Answer:
        nonlocal count
        count += 1
        version = "v2" if count % 4 == 0 else "v1"
        return Answer(500 if count % 8 == 0 else 200, headers={"x-version": version, "x-pod": f"{version}-a"})

    async with serving(handler) as (_, url), Load(url, 400) as load:
        await sent(load, 80)
    assert load.share("v2") == pytest.approx(0.25, abs=0.02)
    assert {answer.pod for answer in load.failures()} == {"v2-a"}
    assert len(load.failures()) == load.sent // 8
    last = load.last("v2")
    assert last is not None
    assert last.done == max(answer.done for answer in load.answers if answer.version == "v2")
    assert math.isnan(load.share("v2", since=last.done + 1))


async def test_load_records_what_is_refused_and_what_times_out() -> None:
    async with serving(lambda request: Answer(200, delay=5)) as (_, url):
        async with Load(url, 50, timeout=0.1) as load:
            await sent(load, 3)
        assert {answer.error for answer in load.answers} == {"timeout"}
    with refusing() as port:
        async with Load(f"http://127.0.0.1:{port}/", 50) as load:
            await sent(load, 3)
    assert all(answer.failed and answer.error.startswith("connect") for answer in load.answers)


@pytest.mark.parametrize("url", ["http://192.0.2.1/", "http://localhost/", "https://127.0.0.1/", "127.0.0.1"])
def test_load_goes_to_loopback_addresses_only(url: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        Load(url, 10)


@pytest.mark.parametrize("rate", [0, -1, 1e6])
def test_load_refuses_a_rate_out_of_reach(rate: float) -> None:
    with pytest.raises(ValueError, match="out of reach"):
        Load("http://127.0.0.1:1/", rate)
