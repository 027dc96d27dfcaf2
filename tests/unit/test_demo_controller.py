"""The controller's process as the demo sees it, and its log."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest

from e2e.demo.controller import Controller, ControllerError, first_weight, level_of, readable, tail
from tests.support.ports import refusing

DEFECT = json.dumps(
    {
        "event": "pass ended by a defect",
        "stage": "1/5",
        "namespace": "demo",
        "rollout": "web",
        "level": "error",
        "time": "2026-11-20T21:35:57.542180Z",
        "exception": 'Traceback (most recent call last):\n  File "x.py", line 1\nTypeError: no such thing',
    }
)


def controller(log: Path, program: str) -> Controller:
    """One whose program is a line of Python."""
    made = Controller(Path("kubeconfig"), "http://127.0.0.1:1", "demo", log)
    made._command = [sys.executable, "-c", program]
    return made


def test_a_line_of_the_log_reads_as_a_sentence_with_the_end_of_its_exception() -> None:
    assert readable(DEFECT) == "21:35:57 error pass ended by a defect stage=1/5 TypeError: no such thing"
    assert level_of(DEFECT) == "error"


@pytest.mark.parametrize("line", ["Traceback (most recent call last):", "", "[1]", "7"])
def test_what_is_no_line_of_the_controllers_is_left_as_it_is(line: str) -> None:
    assert readable(line) == line
    assert level_of(line) == ""


def test_the_first_weight_above_0_is_found_in_the_log(tmp_path: Path) -> None:
    def line(second: int, effect: str) -> str:
        return (
            json.dumps({"level": "info", "effect": effect, "time": f"2026-01-01T00:00:{second:02}.5Z"}) + "\n"
        )

    log = [
        line(1, "SetTraffic(weight=25, mirror=0)"),
        line(2, "SetTraffic(weight=0, mirror=0)"),
        "Traceback (most recent call last):\n",
        line(3, "Pin(stable='a')"),
        line(4, "SetTraffic(weight=5, mirror=0)"),
        line(5, "SetTraffic(weight=10, mirror=0)"),
    ]
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    assert first_weight(log, begin) == begin + timedelta(seconds=1.5)
    assert first_weight(log, begin + timedelta(seconds=2)) == begin + timedelta(seconds=4.5)
    assert first_weight(log, begin + timedelta(seconds=6)) is None
    made = controller(tmp_path / "log", "")
    ago = (datetime.now(UTC) - timedelta(seconds=3)).isoformat()
    made.log.write_text(json.dumps({"level": "info", "effect": "SetTraffic(weight=5)", "time": ago}) + "\n")
    assert made.weighted(monotonic() - 10) == pytest.approx(monotonic() - 3, abs=1)
    assert made.weighted(monotonic() - 1) is None


def test_the_tail_is_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"{number}\n" for number in range(30)))
    assert tail(log, 2) == "28\n29"
    assert tail(tmp_path / "none") == ""


async def test_a_controller_that_does_not_start_says_its_status(tmp_path: Path) -> None:
    with pytest.raises(ControllerError, match="ended by itself, with status 3"):
        async with controller(tmp_path / "log", "raise SystemExit(3)"):
            pass


async def test_an_error_in_the_log_is_raised_once_its_line_is_whole(tmp_path: Path) -> None:
    log = tmp_path / "log"
    made = controller(log, "")
    made._process = None
    log.write_text('{"level": "info", "event": "ä"}\n' + DEFECT)
    made.check()
    with log.open("a") as more:
        more.write("\n")
    with pytest.raises(ControllerError, match=r"logged an error: .*no such thing"):
        made.check()
    made.check()


async def test_the_controller_is_ready_when_it_says_so_and_ends_when_told(tmp_path: Path) -> None:
    made = controller(tmp_path / "log", "")
    with refusing() as port:
        made._port = port
        made._command = [sys.executable, "-c", SERVER, str(port)]
        async with made:
            assert made.running
    assert (made.status, made.ending_problems()) == (0, [])


async def test_a_controller_that_ends_with_an_error_is_a_problem(tmp_path: Path) -> None:
    made = controller(tmp_path / "log", "")
    with refusing() as port:
        made._port = port
        made._command = [sys.executable, "-c", SERVER, str(port), "4"]
        async with made:
            pass
    (problem,) = made.ending_problems()
    assert "ended with status 4" in problem


SERVER = """
import http.server, os, signal, sys
status = int(sys.argv[2]) if len(sys.argv) > 2 else 0
signal.signal(signal.SIGTERM, lambda *_: os._exit(status))
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
class Server(http.server.HTTPServer):
    allow_reuse_port = True
Server(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""
