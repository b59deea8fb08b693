"""The `toolstream` command."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from urllib.parse import urlsplit

from langchain_toolstream.core.errors import ToolStreamError
from langchain_toolstream.vllm import VLLMError

Command = Callable[[argparse.Namespace], Coroutine[None, None, int]]

_EXTRAS = {"rich": "cli", "starlette": "testing", "uvicorn": "testing"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments; those of the process if left out.

    Returns:
        The exit code: 0 when all went well, 1 when the server or the stream failed, 2 when the
        command was used wrongly.
    """
    arguments = _parser().parse_args(argv)
    command: Command = arguments.run
    try:
        return asyncio.run(command(arguments))
    except (VLLMError, ToolStreamError) as error:
        print(f"toolstream: {error}", file=sys.stderr)
        return 1
    except ImportError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        print(
            f"toolstream: {arguments.command} needs {error.name}: "
            f'pip install "langchain-toolstream[{extra}]"',
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return 130


# Each command is imported when it runs: it may need extras, `--help` does not.


async def _run_demo(arguments: argparse.Namespace) -> int:
    from langchain_toolstream.cli._demo import demo  # noqa: PLC0415

    return await demo(
        base_url=arguments.base_url,
        model=arguments.model,
        prompt=arguments.prompt,
        pace=arguments.pace,
        live=False if arguments.plain else sys.stdout.isatty(),
    )


async def _run_doctor(arguments: argparse.Namespace) -> int:
    from langchain_toolstream.cli._doctor import doctor  # noqa: PLC0415

    return await doctor(
        arguments.url, model=arguments.model, as_json=arguments.json, timeout=arguments.timeout
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="toolstream", description="Streamed tool calls from vLLM for LangChain."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_doctor(commands)
    return parser


def _add_demo(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    demo = commands.add_parser(
        "demo",
        help="watch tools run while the model is still writing",
        description=(
            "Run ChatVLLM | ToolStreamParser | tools.map() over HTTP and show what happens when. "
            "Without --base-url a recorded answer of a real vLLM is replayed on loopback."
        ),
    )
    demo.set_defaults(run=_run_demo)
    demo.add_argument("--base-url", help="a live vLLM server, such as http://localhost:8000/v1")
    demo.add_argument("--model", default="", help="its model; the first it has if left out")
    demo.add_argument("--prompt", help="what to ask; only a live server answers any prompt")
    demo.add_argument(
        "--pace",
        type=float,
        default=24.0,
        metavar="N",
        help="events per second of the replayed answer (default: %(default)g)",
    )
    demo.add_argument("--plain", action="store_true", help="plain lines, also on a terminal")


def _add_doctor(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    doctor = commands.add_parser(
        "doctor",
        help="examine a server, and say what to change",
        description=(
            "Ask a live server about ten short questions, each limited in tokens and time, and say "
            "what works, which tool-call parser it seems to run, and what to change. The exit code "
            "is 0 if a chain can rely on the server, 1 if not. The key is read from VLLM_API_KEY."
        ),
    )
    doctor.set_defaults(run=_run_doctor)
    doctor.add_argument(
        "url", type=_url, metavar="URL", help="the server, such as http://localhost:8000/v1"
    )
    doctor.add_argument("--model", default="", help="its model; the first it has if left out")
    doctor.add_argument("--json", action="store_true", help="print the diagnosis as JSON")
    doctor.add_argument(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="S",
        help="seconds for each question (default: %(default)g)",
    )


def _url(text: str) -> str:
    """A URL for OpenAI clients; a bare host means vLLM's own path."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises if it is none
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no URL of a server, such as http://localhost:8000/v1"
        )
    return text.rstrip("/") + ("/v1" if parts.path.strip("/") == "" else "")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds
