"""`ChatVLLM` before anything is on the wire: what it is made of, and what it asks for."""

import inspect
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import httpx2
import pytest
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_toolstream import ChatVLLM, ToolSet, VLLMError
from langchain_toolstream.core.errors import ServerStreamError
from tests.unit_tests.vllm.wire import body, chunk, event, part, usage

LOCAL = "http://localhost:8000/v1"
HELLO = body(chunk(content="Hello"), chunk(content="!", finish_reason="stop"), usage(3, 2))


def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@tool
def search(query: str) -> str:
    """Search."""
    return query


class Wire:
    """What the other end of the model's HTTP clients sees, and answers."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []
        self.models = ["tiny"]
        self.pieces = [HELLO]
        self.page: str | None = None

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if self.page is not None:
            return httpx2.Response(200, html=self.page)
        if request.url.path.endswith("/models"):
            cards = [{"id": name, "object": "model"} for name in self.models]
            return httpx2.Response(200, json={"object": "list", "data": cards})
        stream = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=stream, stream=Pieces(self.pieces))

    @property
    def last(self) -> dict[str, Any]:
        """The body of the last request."""
        sent: dict[str, Any] = json.loads(self.requests[-1].content)
        return sent


class Pieces(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that is read in given pieces, sync and async."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def llm_with(wire: Wire) -> Callable[..., ChatVLLM]:
    def make(**fields: Any) -> ChatVLLM:
        transport = httpx2.MockTransport(wire.answer)
        return ChatVLLM(
            http_client=httpx2.Client(transport=transport),
            http_async_client=httpx2.AsyncClient(transport=transport),
            **{"model": "tiny", **fields},
        )

    return make


@pytest.fixture
def llm(llm_with: Callable[..., ChatVLLM]) -> ChatVLLM:
    return llm_with()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VLLM_API_BASE", "VLLM_API_KEY"):
        monkeypatch.delenv(name, raising=False)


class TestConstruction:
    def test_needs_nothing(self) -> None:
        llm = ChatVLLM()
        assert llm.openai_api_base == LOCAL
        assert llm.model_name == llm.model == ""
        for client in (llm.root_client, llm.root_async_client):
            assert str(client.base_url) == LOCAL + "/"
            assert client.auth_headers == {"Authorization": "Bearer EMPTY"}

    def test_reads_its_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VLLM_API_BASE", "http://env.test/v1")
        monkeypatch.setenv("VLLM_API_KEY", "env-key")
        llm = ChatVLLM()
        assert llm.openai_api_base == "http://env.test/v1"
        for client in (llm.root_client, llm.root_async_client):
            assert str(client.base_url) == "http://env.test/v1/"
            assert client.auth_headers == {"Authorization": "Bearer env-key"}

    @pytest.mark.parametrize(
        "fields",
        [
            {"base_url": "http://arg.test/v1", "api_key": "arg-key", "model": "m"},
            {
                "openai_api_base": "http://arg.test/v1",
                "openai_api_key": "arg-key",
                "model_name": "m",
            },
        ],
    )
    def test_arguments_come_before_the_environment(
        self, fields: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VLLM_API_BASE", "http://env.test/v1")
        monkeypatch.setenv("VLLM_API_KEY", "env-key")
        llm = ChatVLLM(**fields)
        assert llm.model == "m"
        for client in (llm.root_client, llm.root_async_client):
            assert str(client.base_url) == "http://arg.test/v1/"
            assert client.auth_headers == {"Authorization": "Bearer arg-key"}

    async def test_a_key_may_be_a_function(
        self, wire: Wire, llm_with: Callable[..., ChatVLLM]
    ) -> None:
        keys = iter(["first", "second"])
        llm = llm_with(api_key=lambda: next(keys))
        llm.invoke("Hi")
        await llm.ainvoke("Hi")
        sent = [request.headers["authorization"] for request in wire.requests]
        assert sent == ["Bearer first", "Bearer second"]

    async def test_a_key_may_be_a_coroutine_function(
        self, wire: Wire, llm_with: Callable[..., ChatVLLM]
    ) -> None:
        async def key() -> str:
            return "fresh"

        llm = llm_with(api_key=key)
        await llm.ainvoke("Hi")
        assert wire.requests[-1].headers["authorization"] == "Bearer fresh"
        with pytest.raises(ValueError, match=r"[Ss]ync"):
            llm.invoke("Hi")

    def test_what_is_given_is_sent(self, wire: Wire, llm_with: Callable[..., ChatVLLM]) -> None:
        llm_with(
            organization="ours", default_headers={"x-ours": "1"}, default_query={"q": "2"}
        ).invoke("Hi")
        request = wire.requests[-1]
        assert request.headers["openai-organization"] == "ours"
        assert request.headers["x-ours"] == "1"
        assert request.url.params["q"] == "2"

    def test_a_copy_is_one(self, wire: Wire, llm: ChatVLLM) -> None:
        copy = llm.model_copy(update={"temperature": 0.5})
        copy.invoke("Hi")
        assert wire.last["temperature"] == 0.5
        llm.invoke("Hi")
        assert "temperature" not in wire.last

    def test_its_type(self) -> None:
        assert ChatVLLM()._llm_type == "vllm-chat"


class TestModelName:
    def test_is_asked_for_once(self, wire: Wire, llm_with: Callable[..., ChatVLLM]) -> None:
        wire.models = ["first", "second"]
        llm = llm_with(model="")
        for _ in range(2):
            llm.invoke("Hi")
            assert wire.last["model"] == "first"
        asked = [request.url.path for request in wire.requests]
        assert asked == ["/v1/models", "/v1/chat/completions", "/v1/chat/completions"]
        assert llm.model == "first"

    async def test_is_asked_for_once_async(
        self, wire: Wire, llm_with: Callable[..., ChatVLLM]
    ) -> None:
        llm = llm_with(model="")
        for _ in range(2):
            await llm.ainvoke("Hi")
            assert wire.last["model"] == "tiny"
        asked = [request.url.path for request in wire.requests]
        assert asked == ["/v1/models", "/v1/chat/completions", "/v1/chat/completions"]

    async def test_a_server_without_models_is_told(
        self, wire: Wire, llm_with: Callable[..., ChatVLLM]
    ) -> None:
        wire.models = []
        llm = llm_with(model="")
        with pytest.raises(ValueError, match=r"lists no model.*model=\.\.\."):
            llm.invoke("Hi")
        with pytest.raises(ValueError, match=r"lists no model.*model=\.\.\."):
            await llm.ainvoke("Hi")

    @pytest.mark.parametrize("model", ["", "tiny"])
    async def test_something_else_than_vllm_is_told(
        self, wire: Wire, llm_with: Callable[..., ChatVLLM], model: str
    ) -> None:
        wire.page = "<h1>Welcome!</h1>"
        llm = llm_with(model=model)
        with pytest.raises(VLLMError, match=rf"{LOCAL}\S* answered 200.*Welcome!.*check base_url"):
            llm.invoke("Hi")
        with pytest.raises(VLLMError, match=rf"{LOCAL}\S* answered 200.*Welcome!.*check base_url"):
            await llm.ainvoke("Hi")

    def test_of_the_call_is_sent_and_not_kept(
        self, wire: Wire, llm_with: Callable[..., ChatVLLM]
    ) -> None:
        llm = llm_with(model="")
        llm.invoke("Hi", model="other")
        assert wire.last["model"] == "other"
        llm.bind(model="bound").invoke("Hi")
        assert wire.last["model"] == "bound"
        assert llm.model == ""

    @pytest.mark.parametrize("name", ["o1", "o3-mini", "gpt-5", "gpt-5-codex", "gpt-6", "gpt-4o"])
    def test_of_openai_changes_nothing_else(
        self, wire: Wire, llm_with: Callable[..., ChatVLLM], name: str
    ) -> None:
        messages = [SystemMessage("Be brief."), HumanMessage("Hi")]
        settings = {"temperature": 0.2, "max_tokens": 9}
        llm_with(**settings).bind_tools([add]).invoke(messages)
        expected = wire.last
        llm_with(**settings, model=name).bind_tools([add]).invoke(messages)
        assert wire.last == {**expected, "model": name}


class TestLangSmith:
    def test_params(self) -> None:
        llm = ChatVLLM(model="tiny", temperature=0.5, max_tokens=7)
        params = llm._get_ls_params(stop=["END"])
        assert params["ls_provider"] == "vllm"
        assert params["ls_model_name"] == "tiny"
        assert params["ls_temperature"] == 0.5
        assert params["ls_max_tokens"] == 7
        assert params["ls_stop"] == ["END"]

    def test_params_follow_the_model_of_the_call(self) -> None:
        params = ChatVLLM(model="tiny")._get_ls_params(model="other")
        assert (params["ls_provider"], params["ls_model_name"]) == ("vllm", "other")


KEY = "sk-very-secret"


class TestSecrets:
    def test_the_key_is_in_no_view(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        llm = ChatVLLM(api_key=KEY, model="tiny")
        views = [
            repr(llm),
            str(llm),
            repr(llm.bind_tools([add])),
            dumps(llm),
            dumps(llm.bind_tools([add])),
            llm.model_dump_json(),
            repr(llm.model_dump()),
            repr(llm._get_invocation_params()),
            repr(llm._identifying_params),
            repr(llm._get_ls_params()),
            repr(llm.lc_attributes),
            caplog.text,
        ]
        assert [view for view in views if KEY in view] == []

    def test_a_password_in_the_url_is_not_shown(self) -> None:
        llm = ChatVLLM(base_url=f"http://user:{KEY}@server/v1", model="tiny")
        assert KEY not in repr(llm)
        assert "http://server/v1" in repr(llm)

    def test_where_it_comes_from_is_named(self) -> None:
        assert ChatVLLM(api_key=KEY).lc_secrets == {"openai_api_key": "VLLM_API_KEY"}


def sources(folder: Traversable) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from sources(entry)
        elif entry.name.endswith(".py"):
            yield entry.read_text(encoding="utf-8")


# Read from what is installed, so that a variable of a later release is in the test at once.
FOREIGN = {
    "LANGSMITH_GATEWAY",
    "LANGSMITH_GATEWAY_API_KEY",
    *(
        name
        for package in ("openai", "langchain_openai")
        for source in sources(files(package))
        for name in re.findall(r"\bOPENAI_[A-Z][A-Z0-9_]*\b", source)
    ),
}


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable of OpenAI's is set, each to something that could be seen."""
    for name in FOREIGN:
        is_url = name.endswith(("_BASE", "_URL", "_PROXY", "GATEWAY"))
        value = f"http://foreign.test/{name}" if is_url else f"foreign-{name}"
        monkeypatch.setenv(name, value)
    custom = "x-foreign: 1\nAuthorization: Bearer foreign\nOpenAI-Organization: foreign"
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", custom)


def settings_of(client: Any) -> dict[str, str]:
    """All that a client of the SDK knows, but for its connections."""
    known = {**vars(client), **client.default_headers, **client.auth_headers}
    # What prints its address are its parts, and headers that are left out.
    shown = {name: repr(value) for name, value in known.items()}
    return {name: value for name, value in shown.items() if " object at 0x" not in value}


def sent(request: httpx2.Request) -> tuple[str, dict[str, str], bytes]:
    return str(request.url), dict(request.headers), request.content


class TestForeignVariables:
    def test_are_known(self) -> None:
        assert {"OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROXY"} <= FOREIGN
        assert {"OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS", "OPENAI_ADMIN_KEY"} <= FOREIGN

    @pytest.mark.parametrize(
        "fields", [{}, {"base_url": "http://arg.test/v1", "api_key": "arg-key"}]
    )
    def test_change_no_setting(
        self, fields: dict[str, str], request: pytest.FixtureRequest
    ) -> None:
        before = ChatVLLM(**fields)
        request.getfixturevalue("foreign")
        after = ChatVLLM(**fields)
        assert after.model_dump() == before.model_dump()
        assert "foreign" not in repr(after)
        for name in ("root_client", "root_async_client"):
            settings = settings_of(getattr(after, name))
            assert settings == settings_of(getattr(before, name))
            assert "organization" in settings
            assert "foreign" not in repr(settings)

    async def test_change_no_byte_that_is_sent(
        self, wire: Wire, llm_with: Callable[..., ChatVLLM], request: pytest.FixtureRequest
    ) -> None:
        for _ in range(2):
            for fields in ({}, {"model": ""}, {"api_key": "arg-key"}):
                llm_with(**fields).invoke("Hi")
                await llm_with(**fields).ainvoke("Hi")
            request.getfixturevalue("foreign")
        requests = [sent(one) for one in wire.requests]
        half = len(requests) // 2
        assert requests[half:] == requests[:half]
        assert "foreign" not in repr(requests)

    @pytest.mark.parametrize("value", [None, ""])
    @pytest.mark.usefixtures("foreign")
    def test_are_not_asked_when_an_argument_is_empty(
        self, wire: Wire, llm_with: Callable[..., ChatVLLM], value: str | None
    ) -> None:
        llm_with(base_url=value, api_key=value, organization=value, openai_proxy=value).invoke("Hi")
        assert str(wire.requests[-1].url) == LOCAL + "/chat/completions"
        assert "foreign" not in repr(sent(wire.requests[-1]))

    @pytest.mark.usefixtures("foreign")
    def test_are_not_asked_when_our_variables_are_empty(
        self,
        wire: Wire,
        llm_with: Callable[..., ChatVLLM],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("VLLM_API_BASE", "")
        monkeypatch.setenv("VLLM_API_KEY", "")
        llm_with().invoke("Hi")
        assert str(wire.requests[-1].url) == LOCAL + "/chat/completions"
        assert "foreign" not in repr(sent(wire.requests[-1]))


class TestRequest:
    def test_in_full(self, wire: Wire, llm: ChatVLLM) -> None:
        llm.invoke("Hi")
        assert wire.last == {
            "model": "tiny",
            "messages": [{"role": "user", "content": "Hi"}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    async def test_is_the_same_on_every_path(self, wire: Wire, llm_with: Any) -> None:
        llm = llm_with(temperature=0).bind_tools([add], tool_choice="any")
        llm.invoke("Hi", stop=["END"])
        await llm.ainvoke("Hi", stop=["END"])
        list(llm.stream("Hi", stop=["END"]))
        _ = [chunk async for chunk in llm.astream("Hi", stop=["END"])]
        llm.batch(["Hi"], stop=["END"])
        _ = [one async for one in llm.astream_events("Hi", stop=["END"], version="v2")]
        first, *others = [json.loads(request.content) for request in wire.requests]
        assert len(others) == 5
        assert all(other == first for other in others)
        assert first["stop"] == ["END"]
        assert first["temperature"] == 0

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"temperature": 0.0}, {"temperature": 0.0}),
            ({"max_tokens": 7}, {"max_tokens": 7}),
            ({"top_p": 0.5, "seed": 3}, {"top_p": 0.5, "seed": 3}),
            ({"n": 2}, {"n": 2}),
            ({"stop": ["END"]}, {"stop": ["END"]}),
            ({"logprobs": True, "top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
            (
                {"extra_body": {"top_k": 4, "chat_template_kwargs": {"enable_thinking": False}}},
                {"top_k": 4, "chat_template_kwargs": {"enable_thinking": False}},
            ),
            ({"model_kwargs": {"user": "me"}}, {"user": "me"}),
        ],
    )
    def test_has_the_fields_of_the_model(
        self,
        wire: Wire,
        llm_with: Callable[..., ChatVLLM],
        fields: dict[str, Any],
        expected: dict[str, Any],
    ) -> None:
        llm_with(**fields).invoke("Hi")
        assert wire.last == {
            "model": "tiny",
            "messages": [{"role": "user", "content": "Hi"}],
            "stream": True,
            "stream_options": {"include_usage": True},
            **expected,
        }

    def test_has_the_history(self, wire: Wire, llm: ChatVLLM) -> None:
        call = {"name": "add", "args": {"a": 1, "b": 2}, "id": "call_1"}
        llm.invoke(
            [
                SystemMessage("Add."),
                HumanMessage("1 + 2"),
                AIMessage("", tool_calls=[call]),
                ToolMessage("3", tool_call_id="call_1"),
            ]
        )
        system, human, asked, answered = wire.last["messages"]
        assert [m["role"] for m in (system, human, asked, answered)] == [
            "system",
            "user",
            "assistant",
            "tool",
        ]
        (function,) = [one["function"] for one in asked["tool_calls"]]
        assert (function["name"], json.loads(function["arguments"])) == ("add", {"a": 1, "b": 2})
        assert answered["tool_call_id"] == "call_1"

    @pytest.mark.parametrize(
        ("fields", "kwargs", "expected"),
        [
            ({}, {}, {"include_usage": True}),
            ({"stream_usage": False}, {}, None),
            ({}, {"stream_usage": False}, None),
            ({"stream_usage": False}, {"stream_usage": True}, {"include_usage": True}),
            (
                {},
                {"stream_options": {"continuous_usage_stats": True}},
                {"continuous_usage_stats": True, "include_usage": True},
            ),
        ],
    )
    async def test_asks_for_the_usage(
        self,
        wire: Wire,
        llm_with: Callable[..., ChatVLLM],
        fields: dict[str, Any],
        kwargs: dict[str, Any],
        expected: dict[str, Any] | None,
    ) -> None:
        llm = llm_with(**fields)
        list(llm.stream("Hi", **kwargs))
        _ = [chunk async for chunk in llm.astream("Hi", **kwargs)]
        llm.invoke("Hi", **kwargs)
        await llm.ainvoke("Hi", **kwargs)
        options = [json.loads(one.content).get("stream_options") for one in wire.requests]
        assert options == [expected] * 4
        assert all("stream_usage" not in json.loads(one.content) for one in wire.requests)


NAMED = {"type": "function", "function": {"name": "add"}}


class TestTools:
    def test_are_bound_by_the_names_that_chat_open_ai_has(self) -> None:
        theirs = inspect.signature(ChatOpenAI.bind_tools).parameters
        assert inspect.signature(ChatVLLM.bind_tools).parameters.keys() == theirs.keys()

    @pytest.mark.parametrize(("one", "name"), [(add, "add"), (search, "search")])
    def test_one_tool_is_no_list_of_tools(self, one: Any, name: str) -> None:
        with pytest.raises(TypeError, match=rf"A list of tools is needed.* Write \[{name}\]"):
            ChatVLLM().bind_tools(one)

    @pytest.mark.parametrize(
        ("choice", "expected"),
        [
            ("any", "required"),
            (True, "required"),
            ("required", "required"),
            ("auto", "auto"),
            ("none", "none"),
            ("add", NAMED),
            (NAMED, NAMED),
        ],
    )
    def test_choice(
        self,
        wire: Wire,
        llm: ChatVLLM,
        choice: str | bool | dict[str, Any],  # noqa: FBT001
        expected: Any,
    ) -> None:
        llm.bind_tools([add, search], tool_choice=choice).invoke("Hi")
        assert wire.last["tool_choice"] == expected
        assert [one["function"]["name"] for one in wire.last["tools"]] == ["add", "search"]

    @pytest.mark.parametrize("choice", [None, False])
    def test_no_choice(self, wire: Wire, llm: ChatVLLM, *, choice: bool | None) -> None:
        llm.bind_tools([add], tool_choice=choice).invoke("Hi")
        assert "tools" in wire.last
        assert "tool_choice" not in wire.last

    def test_a_choice_of_null_is_left_out(self, wire: Wire, llm: ChatVLLM) -> None:
        llm.bind_tools([add]).invoke("Hi", tool_choice=None)
        assert "tool_choice" not in wire.last

    @pytest.mark.parametrize("tools", [[], None])
    async def test_no_tools(self, wire: Wire, llm: ChatVLLM, tools: list[Any] | None) -> None:
        llm.invoke("Hi", tools=tools, tool_choice="auto")
        await llm.ainvoke("Hi", tools=tools)
        list(llm.stream("Hi", tools=tools))
        if tools is not None:
            llm.bind_tools(tools).invoke("Hi")
        for request in wire.requests:
            assert not {"tools", "tool_choice"} & json.loads(request.content).keys()

    @pytest.mark.parametrize("value", [True, False])
    def test_in_parallel_or_not(self, wire: Wire, llm: ChatVLLM, *, value: bool) -> None:
        llm.bind_tools([add], parallel_tool_calls=value).invoke("Hi")
        assert wire.last["parallel_tool_calls"] is value
        llm.bind_tools([add]).invoke("Hi")
        assert "parallel_tool_calls" not in wire.last

    def test_strict(self, wire: Wire, llm: ChatVLLM) -> None:
        llm.bind_tools([add], strict=True).invoke("Hi")
        assert wire.last["tools"][0]["function"]["strict"] is True

    def test_a_tool_set_is_bound_as_its_tools(self, wire: Wire, llm: ChatVLLM) -> None:
        llm.bind_tools(ToolSet([add, search], read_only=True)).invoke("Hi")
        bound = wire.last["tools"]
        llm.bind_tools([*ToolSet([add, search])]).invoke("Hi")
        assert bound == wire.last["tools"]

    def test_two_of_one_name_are_sent_as_vllm_takes_them(self, wire: Wire, llm: ChatVLLM) -> None:
        llm.bind_tools([add, add]).invoke("Hi")
        assert [one["function"]["name"] for one in wire.last["tools"]] == ["add", "add"]

    def test_a_servers_own_tool_is_passed_over(self, wire: Wire, llm: ChatVLLM) -> None:
        llm.invoke("Hi", tools=[{"type": "web_search"}, *llm.bind_tools([add]).kwargs["tools"]])
        assert [one["type"] for one in wire.last["tools"]] == ["web_search", "function"]

    def test_structured_output_forces_the_one_tool(self, wire: Wire, llm: ChatVLLM) -> None:
        class Answer(BaseModel):
            """The answer."""

            text: str

        wire.pieces = [
            body(
                chunk(part('{"text": "yes"}', id="call_1", name="Answer")),
                chunk(finish_reason="stop"),
            )
        ]
        structured = llm.with_structured_output(Answer, method="function_calling")
        assert structured.invoke("Hi") == Answer(text="yes")
        choice = {"type": "function", "function": {"name": "Answer"}}
        assert wire.last["tool_choice"] == choice

    def test_structured_output_by_schema_is_read(self, wire: Wire, llm: ChatVLLM) -> None:
        class Answer(BaseModel):
            """The answer."""

            text: str

        wire.pieces = [body(chunk(content='{"text": "yes"}', finish_reason="stop"))]
        structured = llm.with_structured_output(Answer, method="json_schema")
        assert structured.invoke("Hi") == Answer(text="yes")
        assert wire.last["response_format"]["type"] == "json_schema"
        assert wire.last["stream"] is True


class TestWhatIsKnownComesBeforeTheError:
    """However the reads fall: text that had come is out before the stream raises."""

    WIRE = (
        event(chunk(content="Hello")),
        event(chunk(content=", world")),
        event({"error": {"message": "out of luck", "code": 500}}),
    )

    @pytest.mark.parametrize("pieces", [WIRE, [b"".join(WIRE)]], ids=["apart", "one read"])
    async def test_stream(self, wire: Wire, llm: ChatVLLM, pieces: list[bytes]) -> None:
        async def aread() -> None:
            async for one in llm.astream("Hi"):
                seen.append(one.text)  # noqa: PERF401 - what came before the error is kept

        wire.pieces = list(pieces)
        seen: list[str] = []
        with pytest.raises(ServerStreamError, match="out of luck") as raised:
            seen.extend(one.text for one in llm.stream("Hi"))
        assert "".join(seen) == raised.value.partial_message.content == "Hello, world"
        seen.clear()
        with pytest.raises(ServerStreamError, match="out of luck") as raised:
            await aread()
        assert "".join(seen) == raised.value.partial_message.content == "Hello, world"


def test_the_responses_api_is_said_to_be_missing() -> None:
    with pytest.raises(ValueError, match="reads /v1/chat/completions only"):
        ChatVLLM(model="tiny", use_responses_api=True)
