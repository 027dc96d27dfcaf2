"""What ends a measurement."""


class BenchError(Exception):
    """A scene did not go as it must for its figures to mean anything; the message says what was seen."""
