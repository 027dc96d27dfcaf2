"""How the application behaves: out of environment variables, decided per request. Pure."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

Z99 = 2.3263478740408408
"""The standard normal's 99th percentile."""
MASK = (1 << 64) - 1


class Dice:
    """Reproducible chance (splitmix64): the standard library's takes ten times as long to import."""

    def __init__(self, seed: str) -> None:
        self._state = 0
        for byte in seed.encode():
            self._state = (self._state * 131 + byte + 1) & MASK

    def roll(self) -> float:
        """A number from 0 to below 1."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        return ((mixed ^ (mixed >> 31)) >> 11) / (1 << 53)

    def normal(self) -> float:
        """A standard normal number, by Box and Muller."""
        return math.sqrt(-2.0 * math.log(1.0 - self.roll())) * math.cos(2.0 * math.pi * self.roll())


@dataclass(frozen=True)
class Behaviour:
    """The variables of the package's table, read. Rates from 0 to 1, times in milliseconds or seconds."""

    version: str
    error_rate: float
    error_status: int
    error_pattern: str
    errors_after: float
    latency_ms: float
    latency_p50_ms: float
    latency_p99_ms: float
    latency_list_ms: tuple[float, ...]
    crash_after: float
    crash_after_requests: float
    crash_status: int
    ready_after: float
    unready_after: float

    @staticmethod
    def read(environment: Mapping[str, str]) -> "Behaviour":
        """Raises ValueError naming the variable that does not make sense."""
        p50 = _number(environment, "LATENCY_P50_MS", 0.0)
        pattern = environment.get("ERROR_PATTERN", "even")
        if pattern not in ("even", "random"):
            raise ValueError(f"ERROR_PATTERN is {pattern!r}: give even or random")
        listed = environment.get("LATENCY_LIST_MS", "")
        try:
            latencies = tuple(float(one) for one in listed.split(",") if one.strip())
        except ValueError:
            raise ValueError(f"LATENCY_LIST_MS is {listed!r}: give numbers with commas") from None
        return Behaviour(
            version=environment.get("VERSION", "v1"),
            error_rate=_number(environment, "ERROR_RATE", 0.0),
            error_status=int(_number(environment, "ERROR_STATUS", 500)),
            error_pattern=pattern,
            errors_after=_number(environment, "ERRORS_AFTER", 0.0),
            latency_ms=_number(environment, "LATENCY_MS", 0.0),
            latency_p50_ms=p50,
            latency_p99_ms=_number(environment, "LATENCY_P99_MS", p50),
            latency_list_ms=latencies,
            crash_after=_number(environment, "CRASH_AFTER", math.inf),
            crash_after_requests=_number(environment, "CRASH_AFTER_REQUESTS", math.inf),
            crash_status=int(_number(environment, "CRASH_STATUS", 1)),
            ready_after=_number(environment, "READY_AFTER", 0.0),
            unready_after=_number(environment, "UNREADY_AFTER", math.inf),
        )


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    try:
        return float(text) if text else default
    except ValueError:
        raise ValueError(f"{name} is {text!r}: give a number") from None


class Conduct:
    """The behaviour over time: counts requests, so that even patterns come out even."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self.behaviour = Behaviour.read(environment)
        self.requests = 0
        self.forced_ready: bool | None = None
        self._dice = Dice(environment.get("SEED") or environment.get("POD_NAME", ""))
        self._start = time.monotonic()
        self._errors = 0.0
        self._before = 0

    def change(self, variables: Mapping[str, str]) -> None:
        """Set variables while running; raises ValueError and changes nothing if one makes no sense."""
        after = {**self.environment, **{name.upper(): value for name, value in variables.items()}}
        self.behaviour = Behaviour.read(after)
        self.environment = after

    @property
    def age(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    @property
    def ready(self) -> bool:
        if self.forced_ready is not None:
            return self.forced_ready
        return self.behaviour.ready_after <= self.age < self.behaviour.unready_after

    def next_status(self) -> int:
        """The status of the next answer."""
        now = self.behaviour
        self.requests += 1
        if now.error_rate <= 0 or self.age < now.errors_after:
            return 200
        if now.error_pattern == "random":
            return now.error_status if self._dice.roll() < now.error_rate else 200
        self._errors += now.error_rate
        due = math.floor(self._errors + 0.5 + 1e-9)  # so that the first error comes after half a period
        failed, self._before = due > self._before, due
        return now.error_status if failed else 200

    def next_delay(self) -> float:
        """Seconds that the next answer takes."""
        now = self.behaviour
        if now.latency_list_ms:
            return now.latency_list_ms[(self.requests - 1) % len(now.latency_list_ms)] / 1000
        if now.latency_p50_ms > 0:
            spread = math.log(max(now.latency_p99_ms, now.latency_p50_ms) / now.latency_p50_ms) / Z99
            return now.latency_p50_ms * math.exp(spread * self._dice.normal()) / 1000
        return now.latency_ms / 1000
