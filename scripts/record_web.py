"""Record what a real vLLM answers to the examples of the page in `docs/examples/web`.

`python -m scripts.record_web` starts the server of the integration tests and asks it, by the page's
own chains. A second run gives the same answers, with other ids and times.
"""

import asyncio

from docs.examples.web.app import EXAMPLES, RECORDINGS, make_chain
from langchain_toolstream import ChatVLLM
from langchain_toolstream.cli.record import Recorder
from langchain_toolstream.testing import Recording, save_recordings
from scripts.vllm_cpu.server import serve


async def record(base_url: str) -> list[Recording]:
    """Ask each example, and keep what the server sent.

    Args:
        base_url: The server.

    Returns:
        A recording of each, in their order.

    Raises:
        RuntimeError: The server did not answer.
    """
    recordings = []
    for example in EXAMPLES:
        recorder = Recorder(example.name.lower().replace(" ", "_"))
        async with recorder.client as client:
            llm = ChatVLLM(base_url=base_url, temperature=0, http_async_client=client)
            async for _ in make_chain(llm, example.prompt).astream(example.prompt):
                pass
        recording = recorder.recording()
        if recording is None or recording.status != 200:
            msg = f"no answer to {example.prompt!r}: {recording}"
            raise RuntimeError(msg)
        print(f"{len(recording.events):4} events  {recording.id}")
        recordings.append(recording)
    return recordings


def main() -> None:
    """Record everything, and write the file."""
    with serve() as server:
        save_recordings(asyncio.run(record(server.base_url)), RECORDINGS)
    print(f"{RECORDINGS.stat().st_size:,} bytes in {RECORDINGS.name}")


if __name__ == "__main__":
    main()
