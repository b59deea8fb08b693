"""What `make demo-vllm` runs against the server that it starts."""

import pytest

from scripts.vllm_cpu.demo import demo
from scripts.vllm_cpu.server import VLLMServer


@pytest.mark.timeout(600)  # Perhaps it has to wait for the server.
@pytest.mark.parametrize(
    ("prompt", "content"), [("What is 12 * 34?", "408"), ("", "36")], ids=["given", "its own"]
)
def test_the_demo(
    vllm_server: VLLMServer, capfd: pytest.CaptureFixture[str], prompt: str, content: str
) -> None:
    assert demo(vllm_server.base_url, prompt) == 0
    found = capfd.readouterr().out
    assert content in found
    assert vllm_server.base_url in found
