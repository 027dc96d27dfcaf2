"""Errors of the local cluster: each is one sentence that says what to do."""


class LocalClusterError(Exception):
    """Something the person at the keyboard can cure; the text is one sentence and says how."""
