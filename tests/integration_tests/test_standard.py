"""LangChain's standard integration tests of chat models.

Once against a real vLLM with the tiny model, which shows that the server takes and gives what we
think; and once against a scripted server, which also knows what a model of that size does not.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_toolstream import ChatVLLM
from scripts.vllm_cpu.server import VLLMServer
from tests.integration_tests.scripted_server import Scripted, serve

QUESTION = "What is 3 * 12?"


class Standard(ChatModelIntegrationTests):
    base_url: str

    @property
    def chat_model_class(self) -> type[ChatVLLM]:
        return ChatVLLM

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": self.base_url, "temperature": 0}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supported_usage_metadata_details(self) -> dict[Any, Any]:
        return {"invoke": ["reasoning_output"], "stream": ["reasoning_output"]}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        thinking = {"chat_template_kwargs": {"enable_thinking": True}}
        llm = self.chat_model_class(**self.chat_model_params, extra_body=thinking)
        return reduce(add, llm.stream(QUESTION)) if stream else llm.invoke(QUESTION)


@pytest.fixture(scope="module")
def scripted() -> Iterator[str]:
    with serve(Scripted) as base_url:
        yield base_url


class TestScriptedServer(Standard):
    @pytest.fixture(autouse=True)
    def _serve(self, scripted: str, record_property: Callable[[str, object], None]) -> None:
        self.base_url = scripted
        record_property("suite", "a scripted server")

    @property
    def model_override_value(self) -> str:
        return "scripted-too"


# What only the second model has learned; `scripts/tiny_model` says what each of them can do.
_ITS_OWN_TOOLS = "This tiny model copies arguments only into calls of tools it was trained for."
_ITS_OWN_KEYS = "This tiny model does not know which keys it is asked for."
XFAILS = {
    ("hermes", "test_tool_calling"): _ITS_OWN_TOOLS,
    ("hermes", "test_tool_calling_async"): _ITS_OWN_TOOLS,
    ("hermes", "test_unicode_tool_call_integration"): _ITS_OWN_TOOLS,
    ("hermes", "test_json_mode"): _ITS_OWN_KEYS,
}


class StrictChatVLLM(ChatVLLM):
    """Binds strict tools: elsewhere vLLM leaves arguments to the model, even those of a call that
    it forces, and what a model of this size then writes need not fit."""

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any]],
        *,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return super().bind_tools(tools, tool_choice=tool_choice, **{"strict": True, **kwargs})


@pytest.mark.timeout(600)  # The first test also waits for the server.
class TestRealVLLM(Standard):
    parser: str

    @pytest.fixture(autouse=True)
    def _serve(
        self,
        vllm_server: VLLMServer,
        request: pytest.FixtureRequest,
        record_property: Callable[[str, object], None],
    ) -> None:
        self.base_url, self.parser = vllm_server.base_url, vllm_server.parser
        record_property("suite", f"a real vLLM, {self.parser}")
        reason = XFAILS.get((self.parser, request.function.__name__))
        if reason:
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
        if request.function.__name__.endswith("_model_override"):
            pytest.skip("vLLM answers by the model's first name, whichever it is asked by.")

    @property
    def chat_model_class(self) -> type[ChatVLLM]:
        return StrictChatVLLM

    @property
    def chat_model_params(self) -> dict[str, Any]:
        # Where a grammar leads it, the tiny model repeats itself until something stops it.
        stops = {"frequency_penalty": 0.5, "max_tokens": 400}
        return {**super().chat_model_params, **stops}
