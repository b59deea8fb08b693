"""The `toolstream` command."""

import argparse
import asyncio
import io
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from langchain_toolstream.cli.usage import UsageError, printable
from langchain_toolstream.core.errors import ToolStreamError
from langchain_toolstream.vllm import VLLMError

if TYPE_CHECKING:
    from langchain_toolstream.cli.view import Kind

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001

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
    if isinstance(sys.stdout, io.TextIOWrapper):  # not every console has all characters
        sys.stdout.reconfigure(errors="replace")
    arguments = _parser().parse_args(argv)
    command: Command = arguments.run
    try:
        return asyncio.run(command(arguments))
    except (VLLMError, ToolStreamError) as error:
        print(f"toolstream: {printable(str(error))}", file=sys.stderr)
        return 1
    except UsageError as error:
        print(f"toolstream: {printable(str(error))}", file=sys.stderr)
        return 2
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
    except BrokenPipeError:
        # Whoever read the output has gone (`| head`). Python must not try to write the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


# Each command is imported when it runs: it may need extras, `--help` does not.


async def _run_run(arguments: argparse.Namespace) -> int:
    from langchain_toolstream.cli.run import run  # noqa: PLC0415

    return await run(
        arguments.prompt,
        base_url=arguments.base_url,
        model=arguments.model,
        tools=arguments.tools,
        read_only=arguments.read_only,
        max_tokens=arguments.max_tokens,
        record=arguments.record,
        kind=_kind(arguments),
        svg=arguments.svg,
    )


async def _run_replay(arguments: argparse.Namespace) -> int:
    from langchain_toolstream.cli.run import replay  # noqa: PLC0415

    return await replay(
        arguments.file,
        recording_id=arguments.id,
        pace=arguments.pace,
        tools=arguments.tools,
        read_only=arguments.read_only,
        kind=_kind(arguments),
        svg=arguments.svg,
    )


async def _run_demo(arguments: argparse.Namespace) -> int:
    from langchain_toolstream.cli.demo import demo  # noqa: PLC0415

    return await demo(
        base_url=arguments.base_url,
        model=arguments.model,
        prompt=arguments.prompt,
        pace=arguments.pace,
        kind=_kind(arguments),
        svg=arguments.svg,
    )


async def _run_doctor(arguments: argparse.Namespace) -> int:
    from langchain_toolstream.cli.doctor import doctor  # noqa: PLC0415

    return await doctor(
        arguments.url,
        model=arguments.model,
        forced=arguments.forced,
        as_json=arguments.json,
        timeout=arguments.timeout,
    )


def _kind(arguments: argparse.Namespace) -> "Kind":
    if arguments.json:
        return "json"
    return "plain" if arguments.plain or not sys.stdout.isatty() else "live"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="toolstream", description="Streamed tool calls from vLLM for LangChain."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_replay(commands)
    _add_demo(commands)
    _add_doctor(commands)
    return parser


def _add_run(commands: "Commands") -> None:
    run = commands.add_parser(
        "run",
        help="ask a server, and watch your tools run while its model is still writing",
        description=(
            "Ask a server one question and run the tools that its answer calls: "
            "ChatVLLM | ToolStreamParser | tools.map(). It ends with a timeline. The key is read "
            "from VLLM_API_KEY."
        ),
    )
    run.set_defaults(run=_run_run)
    run.add_argument("prompt", help="what to ask")
    _add_server(run)
    run.add_argument("--max-tokens", type=_count, metavar="N", help="how long the answer may be")
    _add_tools(run)
    run.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="keep what the server sends: .sse for its bytes alone, .jsonl with request and timing",
    )
    _add_looks(run)


def _add_replay(commands: "Commands") -> None:
    replay = commands.add_parser(
        "replay",
        help="play a recording back, with your tools or without",
        description=(
            "Replay a recorded answer over HTTP on loopback and show it as `run` does. Without "
            "--tools nothing is run."
        ),
    )
    replay.set_defaults(run=_run_replay)
    replay.add_argument("file", type=Path, metavar="FILE", help="an .sse, .jsonl or .jsonl.gz file")
    replay.add_argument("--id", help="which recording, if the file holds several")
    replay.add_argument(
        "--pace",
        type=_rate,
        metavar="N",
        help="events per second (default: as recorded, 24 where that is not known)",
    )
    _add_tools(replay)
    _add_looks(replay)


def _add_demo(commands: "Commands") -> None:
    demo = commands.add_parser(
        "demo",
        help="the same, with tools and a recorded answer that come with the package",
        description=(
            "Run ChatVLLM | ToolStreamParser | tools.map() over HTTP and show what happens when. "
            "Without --base-url a recorded answer of a real vLLM is replayed on loopback."
        ),
    )
    demo.set_defaults(run=_run_demo)
    _add_server(demo)
    demo.add_argument("--prompt", help="what to ask; only a live server answers any prompt")
    demo.add_argument(
        "--pace",
        type=_rate,
        default=24.0,
        metavar="N",
        help="events per second of the replayed answer (default: %(default)g)",
    )
    _add_looks(demo)


def _add_server(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--base-url",
        type=_url,
        metavar="URL",
        help="a live vLLM server, such as http://localhost:8000/v1",
    )
    command.add_argument("--model", default="", help="its model; the first it has if left out")


def _add_tools(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--tools",
        action="append",
        default=[],
        metavar="MODULE:ATTR",
        help="a ToolSet, a list of tools, a tool or a function; may be given several times",
    )
    command.add_argument(
        "--read-only",
        metavar="NAMES",
        help="tools that do no harm when run for nothing, and so start early: names separated by "
        "commas, or all",
    )


def _add_looks(command: argparse.ArgumentParser) -> None:
    looks = command.add_mutually_exclusive_group()
    looks.add_argument("--plain", action="store_true", help="plain lines, also on a terminal")
    looks.add_argument("--json", action="store_true", help="every event as a line of JSON")
    command.add_argument(
        "--svg", type=Path, metavar="FILE", help="write the timeline as an image too"
    )


def _add_doctor(commands: "Commands") -> None:
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
    doctor.add_argument(
        "--forced",
        action="store_true",
        help=(
            "ask for forced calls too (tool_choice required and named); the first constrained "
            "request since vLLM's start can decide its grammar backend, so not by default"
        ),
    )
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
    return _positive(text, "number of seconds")


def _rate(text: str) -> float:
    return _positive(text, "number of events per second")


def _count(text: str) -> int:
    count = _positive(text, "number of tokens")
    if count != int(count):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of tokens")
    return int(count)


def _positive(text: str, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no {what}")
    return number
