"""Tests on the real parts, and what they share."""

import pytest

# So that a failed assertion of a helper shows its values, too.
pytest.register_assert_rewrite("e2e.tests.support", "e2e.tests.controller", "e2e.tests.world")
