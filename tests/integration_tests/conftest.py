import os
from collections.abc import Iterator

import pytest

from tests.integration_tests.vllm_server import INSTALLED, MISSING, VLLMServer, serve


@pytest.fixture(scope="session")
def vllm_server() -> Iterator[VLLMServer]:
    """A real vLLM with the tiny model; in CI it has to be there."""
    if not INSTALLED.exists():
        if os.environ.get("CI", "").lower() in ("", "0", "false"):
            pytest.skip(MISSING)
        pytest.fail(MISSING)
    with serve() as server:
        yield server
