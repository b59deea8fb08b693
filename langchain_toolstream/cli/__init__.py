"""The `toolstream` command."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from langchain_toolstream.core.errors import ToolStreamError
from langchain_toolstream.vllm import VLLMError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments; those of the process if left out.

    Returns:
        The exit code: 0 when all went well, 1 when the server or the stream failed.
    """
    arguments = _parser().parse_args(argv)
    try:
        return asyncio.run(_demo(arguments))
    except (VLLMError, ToolStreamError) as error:
        print(f"toolstream: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


async def _demo(arguments: argparse.Namespace) -> int:
    from langchain_toolstream.cli._demo import demo  # noqa: PLC0415 - needs extras, `--help` not

    return await demo(
        base_url=arguments.base_url,
        model=arguments.model,
        prompt=arguments.prompt,
        pace=arguments.pace,
        live=False if arguments.plain else sys.stdout.isatty(),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="toolstream", description="Streamed tool calls from vLLM for LangChain."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="watch tools run while the model is still writing",
        description=(
            "Run ChatVLLM | ToolStreamParser | tools.map() over HTTP and show what happens when. "
            "Without --base-url a recorded answer of a real vLLM is replayed on loopback."
        ),
    )
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
    return parser
