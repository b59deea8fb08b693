"""What a model asks its server: where, with what, and what it makes of the answers."""

import inspect
import json
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest
from langchain_core import exceptions as core
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage, trim_messages
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_toolstream import ChatVLLM, VLLMError
from langchain_toolstream.vllm import (
    VLLMAuthenticationError,
    VLLMConnectionError,
    VLLMModelCard,
    VLLMNotFoundError,
    VLLMOverloadedError,
    VLLMServerError,
)
from tests.unit_tests.vllm.mocked import READS, MockedServer, Read, streamed
from tests.unit_tests.vllm.wire import body, chunk, usage

BASE_CARD = {
    "id": "base",
    "object": "model",
    "created": 17,
    "owned_by": "vllm",
    "root": "org/base",
    "parent": None,
    "max_model_len": 4096,
    "permission": [],
}
LORA = {**BASE_CARD, "id": "lora", "root": "/lora", "parent": "base", "max_model_len": None}
CARDS = [
    VLLMModelCard(id="base", max_model_len=4096, root="org/base", owned_by="vllm", created=17),
    VLLMModelCard(
        id="lora", max_model_len=4096, root="/lora", parent="base", owned_by="vllm", created=17
    ),
]
PROFILE = {
    "name": "base",
    "max_input_tokens": 4096,
    "text_inputs": True,
    "text_outputs": True,
    "temperature": True,
}
PAGES: dict[str, Any] = {
    "/v1/models": {"object": "list", "data": [BASE_CARD, LORA]},
    "/version": {"version": "0.32.0"},
    "/tokenize": {"count": 3, "max_model_len": 4096, "tokens": [7, 8, 9], "token_strs": None},
}


def answer(request: httpx2.Request) -> httpx2.Response:
    path = request.url.path.removeprefix("/team")
    if path in PAGES:
        return httpx2.Response(200, json=PAGES[path])
    if path == "/health":
        return httpx2.Response(200)
    return httpx2.Response(404, json={"detail": "Not Found"})


@pytest.fixture
def server() -> MockedServer:
    return MockedServer(answer)


Ask = Callable[[ChatVLLM], Any]
MESSAGES: list[BaseMessage] = [HumanMessage("Hi")]

# Every question, and where it goes.
QUESTIONS: dict[str, tuple[Ask, Ask, str]] = {
    "models": (ChatVLLM.list_models, ChatVLLM.alist_models, "/v1/models"),
    "profile": (ChatVLLM.load_profile, ChatVLLM.aload_profile, "/v1/models"),
    "health": (ChatVLLM.health, ChatVLLM.ahealth, "/health"),
    "version": (ChatVLLM.version, ChatVLLM.aversion, "/version"),
    "ids": (
        lambda llm: llm.get_token_ids("Hi"),
        lambda llm: llm.aget_token_ids("Hi"),
        "/tokenize",
    ),
    "text": (
        lambda llm: llm.get_num_tokens("Hi"),
        lambda llm: llm.aget_num_tokens("Hi"),
        "/tokenize",
    ),
    "messages": (
        lambda llm: llm.get_num_tokens_from_messages(MESSAGES),
        lambda llm: llm.aget_num_tokens_from_messages(MESSAGES),
        "/tokenize",
    ),
}
ANSWERS: dict[str, Any] = {
    "models": CARDS,
    "profile": PROFILE,
    "health": None,
    "version": "0.32.0",
    "ids": [7, 8, 9],
    "text": 3,
    "messages": 3,
}
questions = pytest.mark.parametrize("name", QUESTIONS)


async def both(name: str, llm: Callable[[], ChatVLLM]) -> list[Any]:
    """Ask synchronously, then asynchronously: results or errors."""
    ask, aask, _ = QUESTIONS[name]
    found: list[Any] = []
    try:
        found.append(ask(llm()))
    except VLLMError as error:
        found.append(error)
    try:
        found.append(await aask(llm()))
    except VLLMError as error:
        found.append(error)
    return found


@questions
@pytest.mark.parametrize("base", ["http://server/v1", "http://server/team/v1", "http://server/v1/"])
async def test_goes_to_the_server_of_chat_requests_with_its_key(
    server: MockedServer, name: str, base: str
) -> None:
    found = await both(name, lambda: server.llm(model="base", base_url=base, api_key="sk-1"))
    assert found == [ANSWERS[name]] * 2
    prefix = "/team" if "team" in base else ""
    path = QUESTIONS[name][2]
    assert [request.url.path for request in server.requests] == [prefix + path] * 2
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer sk-1"] * 2


async def test_a_base_without_v1_is_its_own_root(server: MockedServer) -> None:
    server.llm(base_url="http://server/team").health()
    assert server.requests[0].url.path == "/team/health"


@pytest.mark.parametrize(
    "method",
    [
        "list_models",
        "load_profile",
        "health",
        "version",
        "get_token_ids",
        "get_num_tokens",
        "get_num_tokens_from_messages",
    ],
)
def test_both_ways_take_the_same(method: str) -> None:
    ways = [getattr(ChatVLLM, method), getattr(ChatVLLM, f"a{method}")]
    one, other = (inspect.signature(way).parameters.values() for way in ways)
    assert [(p.name, p.kind, p.default) for p in one] == [
        (p.name, p.kind, p.default) for p in other
    ]
    assert inspect.iscoroutinefunction(ways[1])


def refused(status: int, message: Any) -> Callable[[httpx2.Request], httpx2.Response]:
    return lambda _: httpx2.Response(status, json={"error": message})


REFUSALS: dict[
    str, tuple[Callable[[httpx2.Request], Any], type[VLLMError], type[Exception], str]
] = {
    "key": (
        refused(401, "Unauthorized"),
        VLLMAuthenticationError,
        core.ModelAuthenticationError,
        "--api-key",
    ),
    "page": (
        lambda _: httpx2.Response(404, json={"detail": "Not Found"}),
        VLLMNotFoundError,
        openai.NotFoundError,
        r"answered 404: Not Found\..*base_url",
    ),
    "dead": (refused(503, ""), VLLMOverloadedError, core.ModelAPIError, "later"),
    "broken": (refused(500, {"message": "oops"}), VLLMServerError, core.ModelAPIError, "oops"),
    "nobody": (
        lambda _: httpx2.ConnectError("refused"),
        VLLMConnectionError,
        core.ModelConnectionError,
        "vllm serve",
    ),
    "a web page": (
        lambda _: httpx2.Response(200, html="<h1>Welcome!</h1>"),
        VLLMServerError,
        core.ModelAPIError,
        "Welcome!.*perhaps a proxy",
    ),
}


@questions
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_fails_as_chat_requests_do(name: str, refusal: str) -> None:
    respond, kind, other, words = REFUSALS[refusal]
    server = MockedServer(respond)
    for error in await both(name, lambda: server.llm(model="base", api_key="sk-secret")):
        assert type(error) is kind
        assert isinstance(error, other)
        assert "sk-secret" not in repr(error)
        with pytest.raises(kind, match=words):
            raise error


@questions
async def test_is_tried_again_but_for_health(name: str) -> None:
    at_once = {"retry-after-ms": "1"}
    server = MockedServer(lambda _: httpx2.Response(503, headers=at_once, json={"error": "busy"}))
    await both(name, lambda: server.llm(model="base", max_retries=2))
    assert len(server.requests) == 2 * (1 if name == "health" else 3)


WRONG: list[tuple[str, Any]] = [
    ("models", []),
    ("models", {"data": None}),
    ("models", {"data": ["base"]}),
    ("models", {"data": [{"name": "base"}]}),
    ("models", {"data": [{"id": ["base"], "parent": {}}]}),
    ("profile", {"hello": "world"}),
    ("version", {"version": 32}),
    ("version", "0.32.0"),
    ("ids", {"tokens": None}),
    ("ids", {"tokens": ["x"]}),
    ("ids", {"tokens": [None]}),
    ("text", {"count": 3}),
    ("messages", [3]),
]


@pytest.mark.parametrize(("name", "page"), WRONG)
async def test_what_is_not_vllms_is_told(name: str, page: Any) -> None:
    server = MockedServer(lambda _: httpx2.Response(200, json=page))
    for error in await both(name, lambda: server.llm(model="base")):
        assert type(error) is VLLMServerError
        assert "nothing of vLLM's" in str(error)


@pytest.mark.parametrize("name", ["models", "profile", "version", "ids"])
async def test_what_is_nested_too_deeply_is_told(name: str) -> None:
    deep = b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    headers = {"content-type": "application/json"}
    server = MockedServer(lambda _: httpx2.Response(200, content=deep, headers=headers))
    for error in await both(name, lambda: server.llm(model="base")):
        assert type(error) is VLLMServerError
        assert len(str(error)) < 2000


def test_cards_of_other_servers_may_lack_all_but_the_name() -> None:
    cards = [{"id": "a"}, {"id": "b", "max_model_len": "long", "created": None, "root": 3}]
    server = MockedServer(lambda _: httpx2.Response(200, json={"data": cards}))
    llm = server.llm(model="b")
    assert llm.list_models() == [VLLMModelCard(id="a"), VLLMModelCard(id="b")]
    assert llm.profile == {key: PROFILE[key] for key in PROFILE if key != "max_input_tokens"} | {
        "name": "b"
    }


# The profile.


class TestProfile:
    def test_making_a_model_asks_nothing(self, server: MockedServer) -> None:
        assert server.llm(model="base").profile is None
        assert server.llm(model="").profile is None
        assert server.requests == []

    def test_is_that_of_the_adapters_parent(self, server: MockedServer) -> None:
        assert server.llm(model="lora").load_profile() == {**PROFILE, "name": "lora"}

    async def test_comes_with_the_name_that_a_model_is_given(self) -> None:
        def respond(request: httpx2.Request) -> httpx2.Response:
            if request.method == "GET":
                return answer(request)
            return streamed(body(chunk(content="Hi", finish_reason="stop"), usage(1, 2)))

        server = MockedServer(respond)
        for read in (
            lambda llm: llm.invoke("Hi"),
            lambda llm: list(llm.stream("Hi")),
        ):
            llm = server.llm(model="")
            read(llm)
            assert (llm.model_name, llm.profile) == ("base", PROFILE)
        llm = server.llm(model="")
        await llm.ainvoke("Hi")
        assert (llm.model_name, llm.profile) == ("base", PROFILE)

    def test_changes_with_the_server(self) -> None:
        cards = [{**BASE_CARD}]
        server = MockedServer(lambda _: httpx2.Response(200, json={"data": cards}))
        llm = server.llm(model="base")
        assert llm.load_profile()["max_input_tokens"] == 4096
        cards[0]["max_model_len"] = 8192
        assert llm.load_profile()["max_input_tokens"] == 8192
        assert llm.profile == {**PROFILE, "max_input_tokens": 8192}

    def test_that_was_given_is_not_touched(self, server: MockedServer) -> None:
        llm = server.llm(model="base", profile={"max_input_tokens": 100})
        assert llm.load_profile() == {"max_input_tokens": 100}
        llm.list_models()
        assert llm.profile == {"max_input_tokens": 100}

    async def test_of_a_model_that_the_server_does_not_have(self, server: MockedServer) -> None:
        for error in await both("profile", lambda: server.llm(model="other")):
            assert type(error) is VLLMNotFoundError
            assert "no model 'other'" in str(error)
            assert "'base', 'lora'" in str(error)

    def test_does_not_promise_a_form_that_keeps_tools_from_being_called(
        self, server: MockedServer
    ) -> None:
        assert "structured_output" not in server.llm(model="base").load_profile()


# Tokens.


@tool
def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


class Point(BaseModel):
    """Name a point."""

    x: int


def sent(server: MockedServer) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(server.requests[-1].content)
    return body


class TestTokens:
    def test_of_a_text_have_no_special_ones(self, server: MockedServer) -> None:
        server.llm(model="base").get_token_ids("Hi")
        assert sent(server) == {"model": "base", "prompt": "Hi", "add_special_tokens": False}

    def test_of_messages_are_asked_for_as_messages_are_sent(self, server: MockedServer) -> None:
        call = {"name": "add", "args": {"a": 1, "b": 2}, "id": "a"}
        messages = [
            HumanMessage("1 + 2?"),
            AIMessage("", tool_calls=[call], additional_kwargs={"reasoning_content": "Add."}),
            ToolMessage("3", tool_call_id="a"),
        ]
        llm = server.llm(model="base", top_k=3, stop=["x"], max_tokens=5)
        llm.get_num_tokens_from_messages(messages, [add, Point, add.func])
        counted = sent(server)
        payload = llm._get_request_payload(
            messages, **llm.bind_tools([add, Point, add.func]).kwargs
        )
        assert counted == {name: payload[name] for name in ("model", "messages", "tools")}
        assert counted["messages"][1]["reasoning"] == "Add."
        assert [tool["function"]["name"] for tool in counted["tools"]] == ["add", "Point", "add"]

    def test_need_no_name_of_a_model(self, server: MockedServer) -> None:
        server.llm(model="").get_num_tokens_from_messages([HumanMessage("Hi")])
        assert [request.url.path for request in server.requests] == ["/tokenize"]
        assert "model" not in sent(server)

    def test_no_tools_are_none(self, server: MockedServer) -> None:
        server.llm().get_num_tokens_from_messages([HumanMessage("Hi")], [])
        assert "tools" not in sent(server)

    @pytest.mark.parametrize("given", ["model", "call"])
    def test_what_changes_the_prompt_counts(self, server: MockedServer, given: str) -> None:
        fields = {
            "chat_template_kwargs": {"tone": "dry"},
            "add_special_tokens": True,
            "documents": [{"text": "..."}],
            "reasoning_effort": "none",
        }
        llm = server.llm(**(fields if given == "model" else {}))
        llm.get_num_tokens_from_messages(
            [HumanMessage("Hi")], **(fields if given == "call" else {})
        )
        body = sent(server)
        assert body["add_special_tokens"] is True
        assert body["chat_template_kwargs"] == {
            "tone": "dry",
            "documents": [{"text": "..."}],
            "reasoning_effort": "none",
            "enable_thinking": False,
        }
        assert body.keys() == {"model", "messages", "add_special_tokens", "chat_template_kwargs"}

    def test_thinking_that_was_set_stays_set(self, server: MockedServer) -> None:
        llm = server.llm(chat_template_kwargs={"enable_thinking": False}, reasoning_effort="high")
        llm.get_num_tokens_from_messages([HumanMessage("Hi")])
        kwargs = sent(server)["chat_template_kwargs"]
        assert kwargs == {"enable_thinking": False, "reasoning_effort": "high"}
        assert llm.chat_template_kwargs == {"enable_thinking": False}

    def test_openais_option_about_images_means_nothing(self, server: MockedServer) -> None:
        llm = server.llm()
        llm.get_num_tokens_from_messages([HumanMessage("Hi")], allow_fetching_images=False)
        assert sent(server).keys() == {"model", "messages"}

    async def test_of_a_tokenizer_of_ones_own(self, server: MockedServer) -> None:
        llm = server.llm(custom_get_token_ids=lambda text: [*text.encode()])
        assert llm.get_token_ids("Hi") == [72, 105]
        assert await llm.aget_token_ids("Hi") == [72, 105]
        assert (llm.get_num_tokens("Hi"), await llm.aget_num_tokens("Hi")) == (2, 2)
        assert server.requests == []

    def test_trim_messages_counts_by_them(self) -> None:
        def respond(request: httpx2.Request) -> httpx2.Response:
            count = 10 * len(json.loads(request.content)["messages"])
            return httpx2.Response(200, json={"count": count, "tokens": [0] * count})

        llm = MockedServer(respond).llm()
        history = [HumanMessage("a"), AIMessage("b"), HumanMessage("c"), AIMessage("d")]
        kept = trim_messages(history, max_tokens=25, token_counter=llm, strategy="last")
        assert [message.content for message in kept] == ["c", "d"]


class Swapped:
    """A server behind one URL, whose model may change."""

    def __init__(self, model: str = "first") -> None:
        self.model = model
        self.asked: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v1/models":
            return httpx2.Response(200, json={"data": [{**BASE_CARD, "id": self.model}]})
        name = json.loads(request.content)["model"]
        self.asked.append(name)
        if name != self.model:
            message = f"The model `{name}` does not exist."
            error = {"message": message, "type": "NotFoundError", "param": "model", "code": 404}
            return httpx2.Response(404, json={"error": error})
        return streamed(body(chunk(content=f"I am {name}"), chunk(finish_reason="stop")))


class TestASwappedModel:
    """The server was started again with another model."""

    @pytest.mark.parametrize("read", READS)
    async def test_is_asked_for_anew_where_the_name_was_found(self, read: Read) -> None:
        swapped = Swapped()
        llm = MockedServer(swapped).llm(model="")
        await read(llm)
        swapped.model = "second"
        await read(llm)
        await read(llm)
        assert swapped.asked == ["first", "first", "second", "second"]
        assert llm.model_name == "second"
        assert llm.profile is not None
        assert llm.profile["name"] == "second"

    @pytest.mark.parametrize("read", READS)
    async def test_is_an_error_where_the_name_was_given(self, read: Read) -> None:
        swapped = Swapped()
        llm = MockedServer(swapped).llm(model="first")
        await read(llm)
        swapped.model = "second"
        with pytest.raises(VLLMNotFoundError, match="does not exist"):
            await read(llm)
        assert swapped.asked == ["first", "first"]

    @pytest.mark.parametrize("read", READS)
    async def test_is_an_error_where_the_server_lists_what_it_does_not_have(
        self, read: Read
    ) -> None:
        swapped = Swapped()

        def lists_first(request: httpx2.Request) -> httpx2.Response:
            if request.url.path == "/v1/models":
                return httpx2.Response(200, json={"data": [{**BASE_CARD, "id": "first"}]})
            return swapped(request)

        llm = MockedServer(lists_first).llm(model="")
        await read(llm)
        swapped.model = "second"
        with pytest.raises(VLLMNotFoundError, match="does not exist"):
            await read(llm)
        assert swapped.asked == ["first", "first"]

    async def test_tokens_are_those_of_the_model_that_is_there(self, server: MockedServer) -> None:
        llm = server.llm(model="")
        llm.list_models()
        llm._find_model()
        llm.get_token_ids("Hi")
        llm.get_num_tokens_from_messages(MESSAGES)
        asked = [json.loads(one.content) for one in server.requests if one.method == "POST"]
        assert [one.get("model") for one in asked] == [None, None]


class Names(BaseCallbackHandler):
    """The model's names that a trace begins with."""

    run_inline = True

    def __init__(self) -> None:
        self.names: list[Any] = []

    def on_chat_model_start(self, *_: Any, **kwargs: Any) -> None:
        params, metadata = kwargs["invocation_params"], kwargs["metadata"]
        self.names.append((params["model"], metadata["ls_model_name"]))


class TestTheNameInTraces:
    @pytest.mark.parametrize("read", READS)
    async def test_is_there_from_the_first_call(self, read: Read) -> None:
        names = Names()
        server = MockedServer(Swapped())
        await read(server.llm(model="", callbacks=[names]))
        assert names.names == [("first", "first")]
        assert [one.method for one in server.requests] == ["GET", "POST"]

    @pytest.mark.parametrize("read", READS)
    async def test_where_no_server_answers_the_run_fails(self, read: Read) -> None:
        names = Names()
        server = MockedServer(lambda _: httpx2.ConnectError("refused"))
        with pytest.raises(VLLMConnectionError):
            await read(server.llm(model="", callbacks=[names]))
        assert names.names == [("", "")]
