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
from tests.integration_tests.scripted_server import serve_scripted
from tests.integration_tests.vllm_server import VLLMServer

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
    def supported_usage_metadata_details(self) -> dict[Any, Any]:
        return {"invoke": ["reasoning_output"], "stream": ["reasoning_output"]}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        thinking = {"chat_template_kwargs": {"enable_thinking": True}}
        llm = self.chat_model_class(**self.chat_model_params, extra_body=thinking)
        return reduce(add, llm.stream(QUESTION)) if stream else llm.invoke(QUESTION)


@pytest.fixture(scope="module")
def scripted() -> Iterator[str]:
    with serve_scripted() as base_url:
        yield base_url


class TestScriptedServer(Standard):
    @pytest.fixture(autouse=True)
    def _serve(self, scripted: str) -> None:
        self.base_url = scripted

    @property
    def model_override_value(self) -> str:
        return "scripted-too"


class StrictChatVLLM(ChatVLLM):
    """Binds strict tools: elsewhere vLLM leaves arguments to the model, even those of a call that
    it forces, and this model only knows the tools that it was trained for."""

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any]],
        *,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return super().bind_tools(tools, tool_choice=tool_choice, **{"strict": True, **kwargs})


COPIES_NOTHING = pytest.mark.xfail(
    reason="The tiny model copies arguments only into calls of tools that it was trained for."
)


@pytest.mark.timeout(300)  # The first test also waits for the server.
class TestRealVLLM(Standard):
    @pytest.fixture(autouse=True)
    def _serve(self, vllm_server: VLLMServer) -> None:
        self.base_url = vllm_server.base_url

    @property
    def chat_model_class(self) -> type[ChatVLLM]:
        return StrictChatVLLM

    @property
    def chat_model_params(self) -> dict[str, Any]:
        # Where a grammar leads it, the tiny model repeats itself until something stops it.
        stops = {"frequency_penalty": 0.5, "max_tokens": 400}
        return {**super().chat_model_params, **stops}

    @property
    def supports_model_override(self) -> bool:
        return False  # The server has one model.

    @COPIES_NOTHING
    @pytest.mark.parametrize("model", [{}, {"output_version": "v1"}], indirect=True)
    def test_tool_calling(self, model: ChatVLLM) -> None:
        super().test_tool_calling(model)

    @COPIES_NOTHING
    async def test_tool_calling_async(self, model: ChatVLLM) -> None:
        await super().test_tool_calling_async(model)

    @COPIES_NOTHING
    def test_unicode_tool_call_integration(self, model: ChatVLLM, **_: Any) -> None:
        super().test_unicode_tool_call_integration(model)

    @pytest.mark.xfail(reason="The tiny model does not know which keys it is asked for.")
    def test_json_mode(self, model: ChatVLLM) -> None:
        super().test_json_mode(model)
