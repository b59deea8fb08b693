"""Record what a real vLLM answers to the examples of the page in `docs/examples/web`.

`python -m scripts.record_web` starts the server of the integration tests and asks it, by the page's
own chains. A second run gives the same answers, with other ids and times.
"""

import asyncio
from typing import Any

from langchain.agents.middleware import AgentMiddleware

from docs.examples.web.app import EXAMPLES, RECORDINGS, make_chain
from docs.examples.web.chat import CHAT_EXAMPLES, Answer, Conversations, Say, recording_id
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


class Keeping(AgentMiddleware[Any, Any, Any]):
    """Keeps each answer of an agent's model."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        super().__init__()
        self.kept: dict[str, Recording] = {}

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        """Ask the model by a client that keeps its answer."""
        name = recording_id(request.messages)
        recorder = Recorder(name)
        async with recorder.client as client:
            base = request.model.openai_api_base
            llm = ChatVLLM(base_url=base, temperature=0, http_async_client=client)
            answer = await handler(request.override(model=llm))
        if (recording := recorder.recording()) is not None:
            print(f"{len(recording.events):4} events  {name}")
            self.kept.setdefault(name, recording)
        return answer


async def record_chat(base_url: str) -> list[Recording]:
    """Hold each conversation of the other page, and keep what the server sent.

    Args:
        base_url: The server.

    Returns:
        The first answer to each prompt, and the one after its result or its refusal.
    """
    keeping = Keeping()
    conversations = Conversations(ChatVLLM(base_url=base_url, temperature=0), keeping)
    for number, prompt in enumerate(CHAT_EXAMPLES):
        for decision in ("approve", "reject"):
            thread = f"{number}-{decision}"
            async for _ in await conversations.say(Say(thread=thread, prompt=prompt)):
                pass
            parts = (await conversations.shown(thread))[-1]["parts"]
            if ids := [one["approval"]["id"] for one in parts if "approval" in one]:
                decisions = {key: {"type": decision} for key in ids}
                answer = Answer(thread=thread, decisions=decisions)
                async for _ in await conversations.answer(answer):
                    pass
    return [*keeping.kept.values()]


async def record_all(base_url: str) -> list[Recording]:
    """Record both pages.

    Args:
        base_url: The server.
    """
    return [*await record(base_url), *await record_chat(base_url)]


def main() -> None:
    """Record everything, and write the file."""
    with serve() as server:
        save_recordings(asyncio.run(record_all(server.base_url)), RECORDINGS)
    print(f"{RECORDINGS.stat().st_size:,} bytes in {RECORDINGS.name}")


if __name__ == "__main__":
    main()
