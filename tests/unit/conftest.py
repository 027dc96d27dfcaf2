"""One Hypothesis profile for all unit tests."""

from hypothesis import settings

# No deadline per example: on a machine that does other work besides, a slow one is no defect.
settings.register_profile("here", deadline=None)
settings.load_profile("here")
