"""Progress for a person: a line per event, with the seconds since the start."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

Say = Callable[[str], None]
"""Receives one line of progress, without the seconds."""


def silent(text: str) -> None:
    """Progress for nobody."""


@dataclass
class Progress:
    """Writes `[  3.2 s] text` lines, the same on a terminal and off it."""

    out: TextIO = field(default_factory=lambda: sys.stderr)
    start: float = field(default_factory=time.monotonic)

    def __call__(self, text: str) -> None:
        self.out.write(f"[{time.monotonic() - self.start:6.1f} s] {text}\n")
        self.out.flush()
