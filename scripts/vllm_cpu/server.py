"""A real vLLM on this machine, serving a tiny model: started, waited for, and always stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
PYTHON = REPOSITORY / ".vllm" / "bin" / "python"
INSTALLED = REPOSITORY / ".vllm" / ".installed"
# For each of two tool-call parsers, a model that writes what it reads. qwen3_coder is one of those
# that vLLM calls engine-based: they put a call's JSON together from markup that has none.
MODELS = REPOSITORY / "tests" / "integration_tests" / "tiny_models"
PARSERS = ("hermes", "qwen3_coder")
HOST = "127.0.0.1"
MISSING = "There is no real vLLM in .vllm; `make vllm` installs it (2 GB)"

# A start takes half a minute to a minute on two cores, and more on a busy machine.
_START_SECONDS = 480
_TAIL = 60

# Kills the group when its standard input ends, so also when whoever started it was killed.
_GUARD = "import os, signal, sys; sys.stdin.read(); os.killpg(int(sys.argv[1]), signal.SIGKILL)"


@dataclass(frozen=True, slots=True, kw_only=True)
class VLLMServer:
    """A running server."""

    parser: str
    """Its tool-call parser."""

    root: str
    """Its URL, such as `http://127.0.0.1:8000`."""

    log: Path
    """What it writes."""

    group: int
    """The group of its processes."""

    def kill(self) -> None:
        """Kill all of its processes, as `kill -9` does."""
        os.killpg(self.group, signal.SIGKILL)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.root.rpartition(":")[2])

    @property
    def base_url(self) -> str:
        """The URL for OpenAI clients."""
        return f"{self.root}/v1"

    def running(self) -> int:
        """How many requests the engine is generating for."""
        return self._metric("vllm:num_requests_running")

    def generated(self) -> int:
        """How many tokens the engine has generated since its start."""
        return self._metric("vllm:generation_tokens_total")

    def openapi(self) -> dict[str, Any]:
        """What the server says of its own requests and answers."""
        described: dict[str, Any] = json.loads(get(f"{self.root}/openapi.json"))
        return described

    def _metric(self, name: str) -> int:
        lines = get(f"{self.root}/metrics").splitlines()
        values = [float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{")]
        if not values:
            msg = f"the server has no metric {name}"
            raise LookupError(msg)
        return round(sum(values))


@contextmanager
def serve(
    parser: str = "hermes",
    *,
    model: str | None = None,
    reads_calls: bool = True,
    reads_thoughts: bool = True,
    flags: Sequence[str] = (),
) -> Iterator[VLLMServer]:
    """Run a server until the end of the block.

    Args:
        parser: The tool-call parser, one of `PARSERS`; its model comes with it.
        model: The parser whose model is served instead, so that the two do not fit.
        reads_calls: Whether it has the parser at all.
        reads_thoughts: Whether it has a reasoning parser.
        flags: Further flags of `vllm serve`.

    Yields:
        The server, when it is ready.

    Raises:
        RuntimeError: If it ends, or does not become ready; with the end of its log.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="vllm-") as folder:
        log = Path(folder) / "log.txt"
        with log.open("wb") as output:
            # A group of its own: vLLM is several processes, and Ctrl-C is for pytest.
            process = subprocess.Popen(
                [
                    *_command(model or parser, port),
                    *(_tool_flags(parser) if reads_calls else ()),
                    *(_THOUGHT_FLAGS if reads_thoughts else ()),
                    *flags,
                ],
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        root = f"http://{HOST}:{port}"
        server = VLLMServer(parser=parser, root=root, log=log, group=process.pid)
        guard = subprocess.Popen(
            [sys.executable, "-c", _GUARD, str(process.pid)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _wait_until_ready(process, server)
            yield server
        finally:
            _stop(process, guard)


# The reasoning parser takes text for thoughts unless it is told that there are none.
_THOUGHT_FLAGS = ("--reasoning-parser", "qwen3")


def _tool_flags(parser: str) -> tuple[str, ...]:
    return ("--enable-auto-tool-choice", "--tool-call-parser", parser)


def _command(model: str, port: int) -> list[str]:
    return [
        *(str(PYTHON), "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", str(MODELS / model), "--served-model-name", "tiny"),
        *("--host", HOST, "--port", str(port)),
        # Far more than the model was trained on, so that a generation can be long enough to leave.
        *("--hf-overrides", '{"max_position_embeddings": 65536}'),
        *("--max-model-len", "65536", "--max-num-seqs", "8"),
        *("--dtype", "float32", "--enforce-eager"),
        *("--default-chat-template-kwargs", '{"enable_thinking": false}'),
        # A model this small writes white space for ever where JSON allows it.
        *("--structured-outputs-config", '{"disable_any_whitespace": true, "backend": "xgrammar"}'),
    ]


def _environment(folder: str) -> dict[str, str]:
    return {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_HOST_IP": HOST,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        # One thread on any core: enough for these models, the same sums on every machine, and no
        # waiting for the one core that vLLM would choose, when a neighbour is on it.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        # Else the first request for log probabilities waits for a C++ compiler, on a busy machine
        # until the engine gives up.
        "TORCHDYNAMO_DISABLE": "1",
        "TMPDIR": folder,  # it is killed, so it does not tidy up
        "VLLM_CACHE_ROOT": folder,
        "VLLM_CONFIG_ROOT": folder,
        "NO_COLOR": "1",
    }


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], server: VLLMServer) -> None:
    for _ in range(2 * _START_SECONDS):
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            pass
        else:
            why = f"vLLM ended with code {process.returncode} before it was ready"
            break
        try:
            get(f"{server.root}/health")
        except OSError:
            continue
        return
    else:
        why = f"vLLM was not ready after {_START_SECONDS} s"
    tail = server.log.read_text(errors="replace").splitlines()[-_TAIL:]
    raise RuntimeError("\n".join([f"{why}. The end of its log:", *tail]))


def get(url: str) -> str:
    """The page at a URL."""
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - our own URL
        body: bytes = response.read()
    return body.decode()


def _stop(process: subprocess.Popen[bytes], guard: subprocess.Popen[bytes]) -> None:
    # There is nothing to save, and a worker that is told politely may take its time.
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        process.wait()
        guard.kill()
        guard.communicate()
