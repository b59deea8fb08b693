"""No secret stands in a `repr`, a dump, a trace, the key of a cache or an error."""

import json
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from langchain_core.load import dumpd, load
from langchain_core.tracers import BaseTracer
from langchain_core.tracers.schemas import Run

from langchain_toolstream import ChatVLLM
from langchain_toolstream.vllm import VLLMError
from langchain_toolstream.vllm.refusals import public_url
from tests.unit_tests.vllm.mocked import READS, MockedServer, Read, streamed
from tests.unit_tests.vllm.wire import body, chunk

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.LangChainBetaWarning",
    "ignore:The default value of `allowed_objects`",
)

CANARY = "s3cret-canary"
OF_MODELS: dict[str, dict[str, Any]] = {
    "api_key": {"api_key": CANARY},
    "password in base_url": {"base_url": f"http://user:{CANARY}@server/v1"},
    "query of base_url": {"base_url": f"http://server/v1?key={CANARY}"},
    "base_url without scheme": {"base_url": f"user:{CANARY}@server/v1"},
    "default_headers": {"default_headers": {"Authorization": CANARY}},
    "default_query": {"default_query": {"token": CANARY}},
    "cache_salt": {"cache_salt": CANARY},
    "unknown field": {"extra_body": {"gateway_key": CANARY}},
    "transfer": {"kv_transfer_params": {"remote_key": CANARY}},
    "model_kwargs": {"model_kwargs": {"extra_headers": {"X-Key": CANARY}}},
}
OF_CALLS: dict[str, dict[str, Any]] = {
    "extra_headers": {"extra_headers": {"X-Key": CANARY}},
    "extra_query": {"extra_query": {"key": CANARY}},
    "extra_body": {"extra_body": {"gateway_key": CANARY}},
    "cache_salt": {"cache_salt": CANARY},
}


class Traces(BaseTracer):
    """Everything that a tracer is told, as text."""

    run_inline = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def _persist_run(self, run: Run) -> None:
        self.seen.append(repr(run))

    def _on_run_create(self, run: Run) -> None:
        self.seen.append(repr(run))


def answer(_: httpx2.Request) -> httpx2.Response:
    return streamed(body(chunk(content="Hi"), chunk(finish_reason="stop")))


def refuse(_: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(400, json={"error": {"message": "No.", "code": 400}})


def views(llm: ChatVLLM, **kwargs: Any) -> list[str]:
    """All that can be looked at without a call."""
    bound = llm.bind(**kwargs)
    return [
        *(repr(one) for one in (llm, bound, llm | str)),
        *(json.dumps(dumpd(one)) for one in (llm, bound, llm | str)),
        str(llm._identifying_params),
        str(llm._get_invocation_params(**kwargs)),
        str(llm._get_ls_params(**kwargs)),
        llm._get_llm_string(**kwargs),
    ]


@pytest.mark.parametrize("name", OF_MODELS)
@pytest.mark.parametrize("read", READS)
async def test_none_of_a_models_secrets_is_seen(name: str, read: Read) -> None:
    traces = Traces()
    fields = {**OF_MODELS[name], "callbacks": [traces]}
    llm = MockedServer(answer).llm(**fields)
    with suppress(VLLMError):
        await read(llm)
    refused = MockedServer(refuse).llm(**OF_MODELS[name])
    with pytest.raises(VLLMError) as raised:
        await read(refused)
    seen = [*traces.seen, *views(llm), str(raised.value), repr(raised.value)]
    assert traces.seen
    assert [one for one in seen if CANARY in one] == []


@pytest.mark.parametrize("name", OF_CALLS)
@pytest.mark.parametrize("read", READS)
async def test_none_of_a_calls_secrets_is_seen(name: str, read: Read) -> None:
    traces = Traces()
    server = MockedServer(answer)
    llm = server.llm(callbacks=[traces])
    await read(llm.bind(**OF_CALLS[name]))
    (request,) = server.requests
    everything = f"{request.url} {request.headers} {request.content.decode()}"
    assert CANARY in everything, "the server gets it"
    assert traces.seen
    assert [one for one in [*traces.seen, *views(llm, **OF_CALLS[name])] if CANARY in one] == []


async def test_a_call_without_a_binding_is_wrapped_too() -> None:
    traces = Traces()
    server = MockedServer(answer)
    llm = server.llm(callbacks=[traces])
    for kwargs in OF_CALLS.values():
        llm.invoke("go", **kwargs)
        await llm.ainvoke("go", **kwargs)
        list(llm.stream("go", **kwargs))
        async for _ in llm.astream("go", **kwargs):
            pass
    assert len(server.requests) == 4 * len(OF_CALLS)
    assert [one for one in traces.seen if CANARY in one] == []


PROXY = f"http://user:{CANARY}@proxy:1"


def test_the_password_of_a_proxy_is_not_seen() -> None:
    llm = ChatVLLM(model="tiny", openai_proxy=PROXY)
    assert [one for one in views(llm) if CANARY in one] == []
    with pytest.raises(ValueError, match="openai_proxy") as raised:
        MockedServer(answer).llm(openai_proxy=PROXY)
    assert CANARY not in str(raised.value)


def test_a_url_that_cannot_be_used_is_not_quoted() -> None:
    with pytest.raises(ValueError, match="http://server/v1") as raised:
        ChatVLLM(model="tiny", base_url=f"http://user:{CANARY}/x@server/v1")
    assert CANARY not in str(raised.value)


def test_what_may_be_shown_is_shown() -> None:
    llm = ChatVLLM(model="tiny", top_k=3, temperature=0.5, extra_body={"min_p": 0.1})
    for view in (repr(llm), str(llm._get_invocation_params(seed=7))):
        for words in ("tiny", "top_k", "0.5", "min_p"):
            assert words in view


def test_a_model_is_dumped_and_loaded_with_its_secrets_by_name() -> None:
    llm = ChatVLLM(
        model="tiny",
        api_key=CANARY,
        base_url="http://server/v1",
        default_headers={"X-Key": CANARY},
        structured_outputs={"choice": ["a", "b"]},
        top_k=3,
    )
    dumped = dumpd(llm)
    assert dumped["kwargs"]["openai_api_key"]["id"] == ["VLLM_API_KEY"]
    assert dumped["kwargs"]["default_headers"]["id"] == ["VLLM_DEFAULT_HEADERS"]
    loaded = load(
        dumped,
        allowed_objects=[ChatVLLM],
        valid_namespaces=["langchain_toolstream"],
        secrets_map={"VLLM_API_KEY": "key", "VLLM_DEFAULT_HEADERS": {"X-Key": "other"}},
    )
    assert isinstance(loaded, ChatVLLM)
    for name in ("model_name", "openai_api_base", "structured_outputs", "top_k"):
        assert getattr(loaded, name) == getattr(llm, name)
    assert loaded.default_headers == {"X-Key": "other"}


def test_keys_of_cached_answers_differ_by_what_they_do_not_show() -> None:
    keys = {
        ChatVLLM(model="tiny", **fields)._get_llm_string(**kwargs)
        for fields in ({}, {"extra_body": {"new": 1}}, {"extra_body": {"new": 2}})
        for kwargs in ({}, {"cache_salt": "a"}, {"extra_headers": {"tenant": "b"}})
    }
    assert len(keys) == 9


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("http://server:8000/v1", "http://server:8000/v1"),
        ("http://u:p@server:8000/v1", "http://server:8000/v1"),
        ("http://u:p/q@server/v1", "http://server/v1"),
        ("http://u:p@q@server/v1", "http://server/v1"),
        ("u:p@server/v1", "server/v1"),
        ("http://server:80/@team/v1", "http://server:80/@team/v1"),
        ("http://server/v1?key=k", "http://server/v1?..."),
        ("http://[::1]:80/v1", "http://[::1]:80/v1"),
    ],
)
def test_a_url_is_shown_without_credentials(url: str, public: str) -> None:
    assert public_url(url) == public
