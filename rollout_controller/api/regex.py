"""Regular expressions as Envoy reads them. This is the only place that knows RE2."""

from __future__ import annotations

import re2


def regex_problem(pattern: str) -> str | None:
    """Why this is no regular expression of RE2, in its words, None if it is one."""
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as problem:
        (why,) = problem.args
        return why.decode() if isinstance(why, bytes) else str(why)
    return None
