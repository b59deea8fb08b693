import pytest

# Their asserts tell as much as those of the tests that call them.
pytest.register_assert_rewrite("tests.unit_tests.core.helpers", "tests.unit_tests.core.messages")
