"""The whole package, live: `toolstream demo` against a real vLLM on this machine's CPU.

`PROMPT="..." make demo-vllm` installs what is missing and runs this.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from scripts.vllm_cpu.server import PARSERS, serve

TOOLSTREAM = Path(sys.executable).with_name("toolstream")


def main() -> int:
    """Start the server, run the demo, and on a terminal ask for further prompts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parser", choices=PARSERS, default=PARSERS[0])
    parser.add_argument(
        "prompt", nargs="?", default="", help="what to ask; the demo's own if empty"
    )
    arguments = parser.parse_args()
    print(f"Starting vLLM on the CPU, --tool-call-parser {arguments.parser}: a minute.", flush=True)
    began = time.monotonic()
    try:
        with serve(arguments.parser) as server:
            seconds = time.monotonic() - began
            print(f"It answers at {server.base_url} after {seconds:.0f} s.\n", flush=True)
            code = demo(server.base_url, arguments.prompt)
            while sys.stdin.isatty() and (prompt := input("\nAnother prompt, or Enter to stop: ")):
                code = demo(server.base_url, prompt)
            return code
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError):
        return 130


def demo(base_url: str, prompt: str) -> int:
    """Run the command once, as a user would."""
    asked = ["--prompt", prompt] if prompt else []
    command = [str(TOOLSTREAM), "demo", "--base-url", base_url, *asked]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
