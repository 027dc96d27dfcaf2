"""What is sent to Prometheus, and what comes of answers that only a strange server gives."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from time import monotonic

import pytest

from rollout_controller.ports import MetricsError
from rollout_controller.prometheus.client import Prometheus, PrometheusSettings
from tests.support.ports import refusing

EMPTY = '{"status":"success","data":{"resultType":"vector","result":[]}}'
SECRET = "s3cr3t-t0k3n"
Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


def answering(status: str, body: str, *headers: str) -> Answer:
    """A server that answers everything so."""

    async def answer(request: str, writer: asyncio.StreamWriter) -> None:
        lines = [
            f"HTTP/1.1 {status}",
            f"content-length: {len(body)}",
            "connection: close",
            *headers,
            "",
            body,
        ]
        writer.write("\r\n".join(lines).encode())

    return answer


@contextlib.asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[tuple[str, list[str]]]:
    """Its address, and the requests that came: head and header lines."""
    requests: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            requests.append(request)
            await answer(request, writer)
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", requests
    finally:
        listening.close()


async def failure(settings: PrometheusSettings) -> str:
    """The words of the error that a query ends with."""
    one = Prometheus(settings)
    try:
        with pytest.raises(MetricsError) as caught:
            await one.query("up")
        return str(caught.value)
    finally:
        one.close()


def authorization(request: str) -> list[str]:
    return [line for line in request.split("\r\n") if line.lower().startswith("authorization:")]


async def ask(settings: PrometheusSettings) -> None:
    one = Prometheus(settings)
    try:
        assert await one.query("up") == []
    finally:
        one.close()


async def test_without_a_token_nothing_is_said_of_authorization() -> None:
    async with server(answering("200 OK", EMPTY)) as (url, requests):
        await ask(PrometheusSettings(url + "/prom/"))
    assert requests[0].startswith("GET /prom/api/v1/query?query=up&")
    assert authorization(requests[0]) == []


async def test_a_token_is_sent_with_every_query() -> None:
    async with server(answering("200 OK", EMPTY)) as (url, requests):
        await ask(PrometheusSettings(url, token=SECRET))
    assert authorization(requests[0]) == [f"Authorization: Bearer {SECRET}"]


async def test_a_token_file_is_read_anew_for_each_query(tmp_path: Path) -> None:
    file = tmp_path / "token"
    async with server(answering("200 OK", EMPTY)) as (url, requests):
        one = Prometheus(PrometheusSettings(url, token_file=file))
        for token in ("first", "second"):
            file.write_text(token + "\n")
            await one.query("up")
        one.close()
    assert [authorization(r) for r in requests] == [
        ["Authorization: Bearer first"],
        ["Authorization: Bearer second"],
    ]


async def test_a_token_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with server(answering("200 OK", EMPTY)) as (url, requests):
        message = await failure(PrometheusSettings(url, token_file=tmp_path / "gone"))
    assert message == f"the token file {tmp_path / 'gone'} cannot be read: No such file or directory"
    assert requests == []


@pytest.mark.parametrize("token", [f"{SECRET}\r\nx-evil: 1", f"{SECRET} more", f"{SECRET}é"])
async def test_a_token_that_no_header_can_carry_is_not_sent_and_not_shown(token: str) -> None:
    async with server(answering("200 OK", EMPTY)) as (url, requests):
        message = await failure(PrometheusSettings(url, token=token))
    assert "no header can carry" in message
    assert SECRET not in message
    assert requests == []


async def test_a_token_does_not_follow_to_another_host() -> None:
    async with server(answering("200 OK", EMPTY)) as (elsewhere, there):
        redirect = answering("307 Temporary Redirect", "", f"location: {elsewhere}/api/v1/query")
        async with server(redirect) as (url, here):
            await ask(PrometheusSettings(url, token=SECRET))
    assert authorization(here[0]) == [f"Authorization: Bearer {SECRET}"]
    assert authorization(there[0]) == []


async def test_the_environment_sends_queries_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with server(answering("200 OK", EMPTY)) as (url, requests):
        await ask(PrometheusSettings(url))
    assert len(requests) == 1


@pytest.mark.parametrize("url", ["prometheus:9090", "ftp://prometheus", "http://", ""])
def test_an_address_that_is_none_is_refused_with_the_right_form(url: str) -> None:
    with pytest.raises(ValueError, match="expected an address like"):
        PrometheusSettings(url)


def test_credentials_in_the_address_are_refused_without_being_repeated() -> None:
    with pytest.raises(ValueError, match="bearer token") as caught:
        PrometheusSettings(f"http://admin:{SECRET}@prometheus:9090")
    assert SECRET not in str(caught.value)


def test_settings_do_not_show_the_token() -> None:
    assert SECRET not in repr(PrometheusSettings("http://prometheus:9090", token=SECRET))


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        ("200 OK", "<html>", "answered something that is not JSON"),
        ("200 OK", "", "answered something that is not JSON"),
        ("200 OK", '{"status":"success"}', "JSON that is not Prometheus' own"),
        ("200 OK", "[]", "JSON that is not Prometheus' own"),
        ("200 OK", '{"data":{"result":[{"metric":{}}]}}', "no instant vector"),
        ("200 OK", '{"data":{"result":[1700000000,"1"]}}', "no instant vector"),
        ("401 Unauthorized", "no", "refused the query: 401 no; is the bearer token right?"),
        ("403 Forbidden", "", "refused the query: 403; is the bearer token right?"),
        ("503 Service Unavailable", '{"error":"starting up"}', "refused the query: 503 starting up"),
        ("500 Error", '{"error":"' + "x" * 5000 + '"}', "500 " + "x" * 200),
    ],
)
async def test_an_answer_that_cannot_be_used_is_told_in_a_sentence(
    status: str, body: str, message: str
) -> None:
    async with server(answering(status, body)) as (url, _):
        told = await failure(PrometheusSettings(url))
    assert message in told
    assert len(told) < 300


async def test_a_busy_prometheus_is_asked_once_and_not_waited_for() -> None:
    async with server(answering("503 Busy", "{}", "retry-after: 60")) as (url, requests):
        began = monotonic()
        await failure(PrometheusSettings(url))
    assert monotonic() - began < 5
    assert len(requests) == 1


async def test_an_answer_that_drips_is_given_up_at_the_timeout() -> None:
    async def drip(request: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with server(drip) as (url, _):
        began = monotonic()
        told = await failure(PrometheusSettings(url, timeout=0.3))
    assert "gave no answer within 0.3 s" in told
    assert monotonic() - began < 3


async def test_queries_that_hang_hold_up_no_more_than_their_timeout() -> None:
    async def hang(request: str, writer: asyncio.StreamWriter) -> None:
        if "slow" in request:
            await asyncio.sleep(30)
        else:
            await answering("200 OK", EMPTY)(request, writer)

    async with server(hang) as (url, _):
        one = Prometheus(PrometheusSettings(url, timeout=0.3, threads=2))
        try:
            slow = await asyncio.gather(*(one.query("slow") for _ in range(6)), return_exceptions=True)
            assert all(isinstance(answer, MetricsError) for answer in slow)
            deadline = monotonic() + 5
            while monotonic() < deadline:
                with contextlib.suppress(MetricsError):
                    assert await one.query("up") == []
                    return
            pytest.fail("no thread came free within 5 s of queries with a timeout of 0.3 s")
        finally:
            one.close()


async def test_each_query_is_counted_by_how_it_ended() -> None:
    counted: list[str] = []
    async with server(answering("200 OK", EMPTY)) as (url, _):
        one = Prometheus(PrometheusSettings(url), count=lambda outcome, seconds: counted.append(outcome))
        await one.query("up")
        await one.series("up[1m]")
        one.close()
    with refusing() as port:
        none = Prometheus(
            PrometheusSettings(f"http://127.0.0.1:{port}"),
            count=lambda outcome, seconds: counted.append(outcome),
        )
        with pytest.raises(MetricsError):
            await none.query("up")
        none.close()
    async with server(answering("400 Bad Request", "{}")) as (url, _):
        two = Prometheus(PrometheusSettings(url), count=lambda outcome, seconds: counted.append(outcome))
        with pytest.raises(MetricsError):
            await two.query("up")
        two.close()
    assert counted == ["ok", "ok", "unreachable", "refused"]


async def test_a_query_that_hangs_does_not_keep_the_process_from_ending() -> None:
    async def hang(request: str, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    program = """
import asyncio, sys
from rollout_controller.prometheus.client import Prometheus, PrometheusSettings
from tests.support.ports import refusing

async def main():
    one = Prometheus(PrometheusSettings(sys.argv[1], timeout=30))
    asking = asyncio.ensure_future(one.query("up"))
    await asyncio.sleep(0.3)
    asking.cancel()
    one.close()

asyncio.run(main())
print("ended")
"""
    async with server(hang) as (url, _):
        began = monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, url, stdout=subprocess.PIPE
        )
        out, _err = await asyncio.wait_for(process.communicate(), 20)
    assert out == b"ended\n"
    assert monotonic() - began < 15
