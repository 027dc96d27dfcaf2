"""Something wrong with what the user gave us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with what the user gave us: which object, where, why, and what to do about it.

    An error holds the release; a warning is told and nothing else. Findings are recomputed in every pass
    and never stored, so that they go away by themselves when cured.
    """

    code: str
    severity: Literal["error", "warning"]
    object: str
    path: str
    sentence: str
    fix: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same finding in the next look: code, object and path; numbers may move."""
        return (self.code, self.object, self.path)

    def __str__(self) -> str:
        where = f"{self.object} {self.path}".strip()
        return f"{where}: {self.sentence}. {self.fix}" if self.fix else f"{where}: {self.sentence}"


WRITE_FAILS: Final = "WriteFails"
"""The code of the finding that tells of a write of ours that the API server does not take."""

MISSING_SUBSET: Final = "MissingSubset"
MISSING_SERVICE: Final = "MissingService"
"""Codes of the findings about what leads to one of the two sides, and does not exist."""
