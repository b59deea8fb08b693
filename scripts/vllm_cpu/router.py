"""vLLM's own router before some servers, and relays between them that can be killed."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from scripts.vllm_cpu.server import HOST, PYTHON, REPOSITORY, free_port, get

ROUTER = PYTHON.with_name("vllm-router")
NO_ROUTER = "There is no vllm-router in .vllm; `make vllm` installs it"
RELAY = REPOSITORY / "scripts" / "vllm_cpu" / "relay.py"
_START_SECONDS = 60


@dataclass(kw_only=True)
class Relay:
    """A process before a server, which can be told to die in the middle of an answer."""

    server: int
    fate: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> str:
        """Its URL."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start it, if it is not running."""
        if self.process is not None and self.process.poll() is None:
            return
        self.stop()
        arguments = [str(self.port), str(self.server), str(self.fate)]
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-E", str(RELAY), *arguments], stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None  # noqa: S101 - for type checkers
        self.process.stdout.readline()

    def stop(self) -> None:
        """Kill it, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@dataclass(frozen=True, kw_only=True)
class Routed:
    """A router, and the relays before its servers."""

    root: str
    relays: list[Relay]
    fate: Path

    @property
    def base_url(self) -> str:
        """The URL for OpenAI clients."""
        return f"{self.root}/v1"

    def kill_after(self, events: int) -> None:
        """Have the replica that serves the next stream killed after so many events of it."""
        self.fate.write_text(str(events))

    def revive(self) -> bool:
        """Start the relays that were killed.

        Returns:
            Whether there was one.
        """
        dead = [one for one in self.relays if one.process is None or one.process.poll() is not None]
        for one in dead:
            one.start()
        return bool(dead)


@contextmanager
def route(*servers: int, options: tuple[str, ...] = ()) -> Iterator[Routed]:
    """Run a router before some servers until the end of the block.

    Args:
        servers: Their ports.
        options: More of the router's options.

    Yields:
        The router, when it is ready.

    Raises:
        RuntimeError: It does not become ready; with the end of its log.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="router-") as folder:
        fate = Path(folder) / "fate"
        relays = [Relay(server=server, fate=fate) for server in servers]
        log = Path(folder) / "log.txt"
        process = None
        try:
            for relay in relays:
                relay.start()
            with log.open("wb") as output:
                process = subprocess.Popen(
                    _command(port, [one.root for one in relays], options),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            root = f"http://{HOST}:{port}"
            _wait_until_ready(process, root, log)
            yield Routed(root=root, relays=relays, fate=fate)
        finally:
            if process is not None:
                process.kill()
                process.wait()
            for relay in relays:
                relay.stop()


def _command(port: int, workers: list[str], options: tuple[str, ...]) -> list[str]:
    return [
        *(str(ROUTER), "--host", HOST, "--port", str(port)),
        *("--worker-urls", *workers),
        *(() if "--policy" in options else ("--policy", "round_robin")),
        *("--prometheus-port", str(free_port())),
        *("--health-check-interval-secs", "1", "--cb-timeout-duration-secs", "1"),
        *options,
    ]


def _wait_until_ready(process: subprocess.Popen[bytes], root: str, log: Path) -> None:
    for _ in range(4 * _START_SECONDS):
        try:
            process.wait(0.25)
        except subprocess.TimeoutExpired:
            pass
        else:
            break
        try:
            get(f"{root}/health")
        except OSError:
            continue
        return
    msg = (
        f"vllm-router is not ready. The end of its log:\n{log.read_text(errors='replace')[-4000:]}"
    )
    raise RuntimeError(msg)
