"""Bad releases: what users see of a canary with errors before it is taken back."""

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import median

from bench import shop
from bench.figures import BY_NAME, Figure
from bench.lab import Lab, side_by_side, wall
from bench.shop import Plan, Shop, failures_by_kind

NAMES = ("bad_release_errors_p50", "bad_release_last_answer_ms")
RATE = 100
REPLICAS = 4
SIDE_BY_SIDE = 2
PLAN = Plan(
    REPLICAS,
    {
        "strategy": {"canary": {"steps": [{"weight": weight} for weight in (5, 10, 25, 50, 100)]}},
        "analysis": {
            "interval": "10s",
            "window": "30s",
            "warmup": "0s",
            "failureLimit": 2,
            "checks": [{"errorRate": {"max": "1%"}}],
        },
        "minDuration": "30s",
        "bake": "30s",
        "drain": "5s",
    },
    env={"ERROR_PATTERN": "random"},
)


@dataclass(frozen=True)
class Run:
    """One bad release. Seconds count from the first answer of the canary."""

    errors: int
    answers: int
    """By the canary."""
    others: Mapping[str, int]
    """Failed requests that no canary pod answered, by what became of them."""
    seconds_to_zero: float
    highest_weight: int
    last_answer_ms: float
    sentence: str


async def measure(lab: Lab, wanted: Collection[str]) -> list[Figure]:
    """bad_release_errors_p50: failed requests of a release whose canary answers 5 % of its requests with 500,
    each by chance: 100 requests/s, steps 5-10-25-50-100 of at least 30 s, success limit 99 %, window 30 s,
    interval 10 s, failureLimit 2, no warmup; the median of 10 releases, two services side by side.

    bad_release_last_answer_ms: from the API server's answer to the write that takes the VirtualService to 0,
    to the client's end of the last answer by the canary; the largest of the same releases. Negative where no
    request came to the canary any more.
    """
    runs = lab.runs(10, 2)
    async with lab.controller() as controller:
        series = await side_by_side(_series(lab, runs // SIDE_BY_SIDE, n) for n in range(SIDE_BY_SIDE))
        controller.check()
    done = [run for runs_of_one in series for run in runs_of_one]
    errors = [float(run.errors) for run in done]
    last = [run.last_answer_ms for run in done]
    figures = [
        Figure(
            BY_NAME["bad_release_errors_p50"],
            median(errors),
            f"median of {len(done)} releases, {RATE} requests/s each, {SIDE_BY_SIDE} services side by side",
            {
                "each": [run.errors for run in done],
                "answers_by_the_canary": [run.answers for run in done],
                "errors_not_by_the_canary": [dict(run.others) for run in done],
                "seconds_from_first_answer_to_zero": [round(run.seconds_to_zero, 1) for run in done],
                "highest_weight": [run.highest_weight for run in done],
            },
        ),
        Figure(
            BY_NAME["bad_release_last_answer_ms"],
            max(last),
            f"largest of {len(done)} releases: answer to the write in the API server's log → last answer of"
            " the canary at the client",
            {"each": [round(value, 1) for value in last], "p50": round(median(last), 1)},
        ),
    ]
    return [figure for figure in figures if figure.key.name in wanted]


async def _series(lab: Lab, runs: int, number: int) -> list[Run]:
    async with shop.opened(lab, PLAN) as web:
        done = []
        for turn in range(1, runs + 1):
            done.append(await _run(web, f"bad{turn}"))
            run = done[-1]
            lab.say(
                f"bad release {number + 1}.{turn}/{runs}: {run.errors} errors in {run.answers}"
                f" answers ({sum(run.others.values())} by others), weight 0 after"
                f" {run.seconds_to_zero:.1f} s (at {run.highest_weight} %), last answer"
                f" {run.last_answer_ms:.0f} ms later: {run.sentence}"
            )
        return done


async def _run(web: Shop, version: str) -> Run:
    async with web.load(RATE) as load:
        begun = time.time()
        await web.release(version, ERROR_RATE="0.05")
        await web.sent_home()
        sentence = str(web.status.get("reason"))
        await asyncio.sleep(1)  # so that a late answer would be seen
        await web.settled("Reverted", within=120)
    write = await web.home_write(since=begun)
    first, last = load.first(version), load.last(version)
    assert first is not None
    assert last is not None
    weights = [
        shop.canary_weight(change.item)
        for change in web.records.changes
        if change.kind == "virtualservices" and change.wall > begun
    ]
    return Run(
        errors=len(load.failures()),
        answers=load.versions()[version],
        others=failures_by_kind(answer for answer in load.failures() if answer.version != version),
        seconds_to_zero=write.answered - wall(first.done),
        highest_weight=max(weights),
        last_answer_ms=(wall(last.done) - write.answered) * 1000,
        sentence=sentence,
    )
