"""`ToolSet`: tools as a sequence, one call by its name, and who is read-only."""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import (
    BaseTool,
    InjectedToolCallId,
    StructuredTool,
    ToolException,
    tool,
)
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from pydantic import BaseModel
from typing_extensions import TypedDict

from langchain_toolstream import ToolMap, ToolSet, ToolStreamParser
from tests.unit_tests.scripted import (
    PATIENCE,
    Call,
    ScriptedChat,
    bad,
    chunk,
    good,
    pass_time,
    written,
)


def add(a: int, b: int) -> int:
    """Add two integers.

    Args:
        a: The one.
        b: The other.
    """
    return a + b


async def greet(name: str = "you") -> str:
    """Say hello."""
    return f"Hello {name}"


@tool(response_format="content_and_artifact")
def search(query: str) -> tuple[str, dict[str, str]]:
    """Search."""
    return f"found {query}", {"query": query}


@tool
def who(tool_call_id: Annotated[str, InjectedToolCallId]) -> str:
    """Say which call this is."""
    return f"I am {tool_call_id}"


class Schema(BaseModel):
    """A schema, not a tool."""

    a: int


class Typed(TypedDict):
    """A schema, not a tool."""

    a: int


TOOLS = ToolSet([add, search, who])
ADD = good("call_1", "add", a=3, b=12)

Run = Callable[[ToolSet, Call], Awaitable[ToolMessage]]


async def invoke(tools: ToolSet, call: Call) -> ToolMessage:
    return tools.invoke(call)


async def ainvoke(tools: ToolSet, call: Call) -> ToolMessage:
    return await tools.ainvoke(call)


async def map_invoke(tools: ToolSet, call: Call) -> ToolMessage:
    (message,) = tools.map().invoke([call])
    return message


async def map_ainvoke(tools: ToolSet, call: Call) -> ToolMessage:
    (message,) = await tools.map().ainvoke([call])
    return message


either_way = pytest.mark.parametrize("run", [invoke, ainvoke])
every_way = pytest.mark.parametrize("run", [invoke, ainvoke, map_invoke, map_ainvoke])


class TestASequence:
    def test_of_tools(self) -> None:
        assert len(TOOLS) == 3
        assert [one.name for one in TOOLS] == ["add", "search", "who"]
        assert all(isinstance(one, BaseTool) for one in TOOLS)
        assert TOOLS[1] is search
        assert search in TOOLS
        assert list(TOOLS[1:]) == [search, who]
        assert TOOLS.index(who) == 2
        assert repr(ToolSet([add, search], read_only=["search"])) == (
            "ToolSet(add, search (read-only))"
        )

    def test_in_which_a_tool_stays_what_it_is(self) -> None:
        """A model sees of a tool in a set what it would see of the tool alone."""
        tools = ToolSet([add, greet, search, who])
        for alone, one in zip([add, greet, search, who], tools, strict=True):
            assert convert_to_openai_tool(one) == convert_to_openai_tool(alone)

    def test_that_a_set_can_be_made_of(self) -> None:
        assert list(ToolSet(TOOLS)) == list(TOOLS)

    @pytest.mark.parametrize(
        "schema", [Schema, Typed, convert_to_openai_tool(Schema)], ids=["model", "typed", "dict"]
    )
    def test_takes_no_schema(self, schema: Any) -> None:
        with pytest.raises(TypeError, match="cannot run it"):
            ToolSet([add, schema])

    def test_takes_no_name_twice(self) -> None:
        with pytest.raises(ValueError, match="'add'"):
            ToolSet([add, search, StructuredTool.from_function(add)])


class TestMistakes:
    """Of whoever makes a set, said at once."""

    @pytest.mark.parametrize("timeout", ["3", 0, -1, [1]])
    def test_in_the_timeout(self, timeout: Any) -> None:
        with pytest.raises(ValueError, match="timeout has to be a number of seconds above 0"):
            ToolSet([add], timeout=timeout)

    @pytest.mark.parametrize("read_only", [1, 0.5, None])
    def test_in_what_is_read_only(self, read_only: Any) -> None:
        with pytest.raises(TypeError, match="read_only takes True, names or a predicate"):
            ToolSet([add], read_only=read_only)

    def test_many_calls_without_map(self) -> None:
        calls: Any = [good("1", "add", a=1, b=2)]
        with pytest.raises(TypeError, match=r"got list. One list of calls is run by tools.map\(\)"):
            ToolSet([add]).invoke(calls)

    def test_one_call_with_map(self) -> None:
        call: Any = good("1", "add", a=1, b=2)
        with pytest.raises(TypeError, match=r"got one call. Write \[call\]"):
            ToolSet([add]).map().invoke(call)

    def test_a_coroutine_function_in_a_sync_chain(self) -> None:
        tools = ToolSet([greet])
        (message,) = tools.map().invoke([good("1", "greet")])
        assert message.status == "error"
        assert "'greet' is a coroutine function" in message.text
        assert "use ainvoke or astream" in message.text
        with pytest.raises(NotImplementedError, match="'greet' is a coroutine function"):
            ToolSet([greet], handle_tool_errors=False).invoke(good("1", "greet"))

    @pytest.mark.parametrize("order", ["x", None, 1])
    def test_in_the_order(self, order: Any) -> None:
        with pytest.raises(ValueError, match="order is one of 'completed', 'called', got"):
            ToolSet([add]).map(order=order)

    @pytest.mark.parametrize(
        "call", [AIMessage(content=""), [good("a", "add", a=1, b=2)], "add", {"name": "add"}]
    )
    async def test_in_the_call(self, call: Any) -> None:
        with pytest.raises(TypeError, match="A tool call"):
            ToolSet([add]).invoke(call)
        with pytest.raises(TypeError, match="A tool call"):
            await ToolSet([add]).ainvoke(call)


class TestACall:
    @every_way
    async def test_is_run_by_the_tool_it_names(self, run: Run) -> None:
        message = await run(TOOLS, ADD)
        assert message == ToolMessage(content="15", name="add", tool_call_id="call_1")

    @pytest.mark.parametrize("run", [ainvoke, map_ainvoke])
    async def test_is_run_by_a_coroutine_function(self, run: Run) -> None:
        message = await run(ToolSet([greet]), good("c", "greet", name="Ann"))
        assert message == ToolMessage(content="Hello Ann", name="greet", tool_call_id="c")

    @pytest.mark.parametrize("run", [invoke, map_invoke])
    async def test_of_a_coroutine_function_says_that_it_needs_async(self, run: Run) -> None:
        message = await run(ToolSet([greet]), good("c", "greet"))
        assert message.status == "error"
        assert "sync" in message.content

    @every_way
    async def test_keeps_the_artifact(self, run: Run) -> None:
        message = await run(TOOLS, good("c", "search", query="cats"))
        assert message.content == "found cats"
        assert message.artifact == {"query": "cats"}
        assert message.status == "success"

    @every_way
    async def test_tells_its_id_to_a_tool_that_asks(self, run: Run) -> None:
        assert (await run(TOOLS, good("call_7", "who"))).content == "I am call_7"

    @every_way
    async def test_without_an_id_gets_one(self, run: Run) -> None:
        message = await run(TOOLS, good(None, "search", query="cats"))
        assert isinstance(message, ToolMessage)
        assert message.tool_call_id
        assert message.artifact == {"query": "cats"}
        message = await run(TOOLS, good(None, "who"))
        assert message.content == f"I am {message.tool_call_id}"

    @every_way
    async def test_needs_no_type(self, run: Run) -> None:
        """`AIMessage` accepts calls without it."""
        call: Any = {"name": "add", "args": {"a": 3, "b": 12}, "id": "call_1"}
        assert (await run(TOOLS, call)).content == "15"

    @every_way
    async def test_of_an_unknown_tool_is_answered(self, run: Run) -> None:
        message = await run(TOOLS, good("c", "delete"))
        assert (message.status, message.tool_call_id, message.name) == ("error", "c", "delete")
        assert "delete is not a valid tool" in message.content
        assert "[add, search, who]" in message.content

    @every_way
    async def test_that_is_none_is_answered(self, run: Run) -> None:
        message = await run(TOOLS, bad("c", "add", '{"a": 3, "b": 12}', "It was cut."))
        assert (message.status, message.tool_call_id, message.name) == ("error", "c", "add")
        assert "It was cut." in message.content

    @every_way
    async def test_that_is_none_for_no_reason_is_answered(self, run: Run) -> None:
        message = await run(TOOLS, bad(None, "", error=None))
        assert (message.status, message.tool_call_id, message.name) == ("error", "", None)
        assert "not run" in message.content

    @every_way
    async def test_with_arguments_that_do_not_fit_is_answered(self, run: Run) -> None:
        message = await run(TOOLS, good("c", "add", a="three", b=1))
        assert (message.status, message.tool_call_id) == ("error", "c")
        assert "three" in message.content

    @either_way
    async def test_is_a_child_of_the_caller(self, run: Run) -> None:
        """And not of a run of ours: a `ToolSet` only finds the tool."""
        collector = RunCollectorCallbackHandler()
        config: Any = {"callbacks": [collector], "tags": ["mine"], "metadata": {"who": "me"}}
        if run is invoke:
            TOOLS.invoke(ADD, config)
        else:
            await TOOLS.ainvoke(ADD, config)
        (traced,) = collector.traced_runs
        assert (traced.run_type, traced.name, traced.tags) == ("tool", "add", ["mine"])
        assert traced.metadata["tool_call_id"] == "call_1"
        assert traced.metadata["who"] == "me"
        assert config["metadata"] == {"who": "me"}

    async def test_can_be_one_of_many(self) -> None:
        """`batch` and `abatch` are LangChain's."""
        calls = [ADD, good("c", "who")]
        assert [m.content for m in TOOLS.batch(calls)] == ["15", "I am c"]
        assert [m.content for m in await TOOLS.abatch(calls)] == ["15", "I am c"]


async def a_failing(kind: str) -> None:
    """Fail."""
    raise KINDS[kind]


def failing(kind: str) -> None:
    """Fail."""
    raise KINDS[kind]


KINDS = {
    "value": ValueError("bad value"),
    "key": KeyError("bad key"),
    "tool": ToolException("bad tool"),
}
FAILING = StructuredTool.from_function(func=failing, coroutine=a_failing)


def named(error: Exception) -> str:
    return f"named {type(error).__name__}"


class TestAToolThatFails:
    @pytest.mark.parametrize(
        ("handle", "answers"),
        [
            (
                True,
                {
                    "value": "Error: ValueError('bad value')\n Please fix your mistakes.",
                    "key": "Error: KeyError('bad key')\n Please fix your mistakes.",
                    "tool": "Error: ToolException('bad tool')\n Please fix your mistakes.",
                },
            ),
            (False, {"value": None, "key": None, "tool": None}),
            ("Sorry.", {"value": "Sorry.", "key": "Sorry.", "tool": "Sorry."}),
            (
                ValueError,
                {
                    "value": "Error: ValueError('bad value')\n Please fix your mistakes.",
                    "key": None,
                },
            ),
            (
                (KeyError, ToolException),
                {
                    "value": None,
                    "key": "Error: KeyError('bad key')\n Please fix your mistakes.",
                    "tool": "Error: ToolException('bad tool')\n Please fix your mistakes.",
                },
            ),
            (named, {"value": "named ValueError", "key": "named KeyError"}),
        ],
        ids=["True", "False", "text", "type", "types", "function"],
    )
    @every_way
    async def test_is_handled_as_told(
        self,
        run: Run,
        handle: Any,
        answers: dict[str, str | None],
    ) -> None:
        tools = ToolSet([FAILING], handle_tool_errors=handle)
        for kind, answer in answers.items():
            call = good("c", "failing", kind=kind)
            if answer is None:
                with pytest.raises(type(KINDS[kind])) as caught:
                    await run(tools, call)
                assert caught.value is KINDS[kind]
            else:
                message = await run(tools, call)
                assert (message.content, message.status) == (answer, "error")
                assert (message.name, message.tool_call_id) == ("failing", "c")

    @every_way
    async def test_may_handle_its_errors_itself(self, run: Run) -> None:
        own = StructuredTool.from_function(
            func=failing, coroutine=a_failing, handle_tool_error="I am sorry."
        )
        message = await run(ToolSet([own]), good("c", "failing", kind="tool"))
        assert (message.content, message.status) == ("I am sorry.", "error")

    @pytest.mark.parametrize("error", [GraphBubbleUp(), GraphInterrupt(())], ids=repr)
    @pytest.mark.parametrize(
        "handle", [True, "Sorry.", Exception, pytest.param(named, id="named")], ids=str
    )
    @every_way
    async def test_by_an_interrupt_of_a_graph_always_raises(
        self,
        run: Run,
        handle: Any,
        error: Exception,
    ) -> None:
        def ask() -> None:
            """Ask a human."""
            raise error

        with pytest.raises(GraphBubbleUp):
            await run(ToolSet([ask], handle_tool_errors=handle), good("c", "ask"))


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds the threads of tools, and lets them go at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


class TestATimeout:
    """The only clock in these tests is the one under test."""

    @pytest.mark.parametrize("run", [invoke, map_invoke, ainvoke, map_ainvoke])
    async def test_gives_up_a_function(self, run: Run, gate: threading.Event) -> None:
        done = threading.Event()
        loop = asyncio.get_running_loop()

        def hang() -> str:
            """Hang."""
            loop.call_soon_threadsafe(pass_time, 1)
            gate.wait(PATIENCE)
            done.set()
            return "late"

        message = await run(ToolSet([hang], timeout=1), good("c", "hang"))
        assert not done.is_set()
        assert (message.status, message.tool_call_id) == ("error", "c")
        assert message.content == "Error: hang did not finish within 1 seconds."
        gate.set()
        assert await asyncio.to_thread(done.wait, PATIENCE)

    @pytest.mark.parametrize("run", [ainvoke, map_ainvoke])
    async def test_cancels_a_coroutine(self, run: Run) -> None:
        cancelled = asyncio.Event()

        async def hang() -> None:
            """Hang."""
            try:
                pass_time(10)
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        message = await run(ToolSet([hang], timeout=10), good("c", "hang"))
        assert cancelled.is_set()
        assert message.content == "Error: hang did not finish within 10 seconds."
        assert asyncio.all_tasks() == {asyncio.current_task()}

    @every_way
    async def test_leaves_those_alone_that_finish(self, run: Run) -> None:
        assert (await run(ToolSet([add], timeout=5), ADD)).content == "15"

    @every_way
    async def test_is_not_an_error_of_the_tools_own(self, run: Run) -> None:
        def ask_far_away() -> None:
            """Ask."""
            raise TimeoutError("no answer")

        call = good("c", "ask_far_away")
        message = await run(ToolSet([ask_far_away], timeout=5), call)
        assert message.content == ("Error: TimeoutError('no answer')\n Please fix your mistakes.")
        with pytest.raises(TimeoutError, match="no answer"):
            await run(ToolSet([ask_far_away], timeout=5, handle_tool_errors=False), call)


@pytest.mark.parametrize("seconds", [None, 5])
@every_way
async def test_contextvars_reach_the_tool(run: Run, seconds: float | None) -> None:
    def look() -> str:
        """Look."""
        return user.get()

    token = user.set("Ann")
    try:
        assert (await run(ToolSet([look], timeout=seconds), good("c", "look"))).content == "Ann"
    finally:
        user.reset(token)


user: ContextVar[str] = ContextVar("user")


def described(**metadata: Any) -> BaseTool:
    """A tool that says something about itself."""
    return StructuredTool.from_function(add, metadata=metadata)


class TestWhoIsReadOnly:
    @pytest.mark.parametrize(
        ("metadata", "kwargs", "expected"),
        [
            # Nothing is, until someone says so.
            ({}, {}, False),
            ({}, {"read_only": ()}, False),
            ({}, {"trust_annotations": True}, False),
            # The argument.
            ({}, {"read_only": True}, True),
            ({}, {"read_only": ["add"]}, True),
            ({}, {"read_only": {"add"}}, True),
            ({}, {"read_only": lambda one: one.name == "add"}, True),
            ({}, {"read_only": lambda one: one.name != "add"}, False),
            ({}, {"read_only": lambda _: 1}, True),
            # It goes before what the tool says of itself, where it says anything of this tool.
            ({"read_only": False}, {"read_only": True}, True),
            ({"read_only": False}, {"read_only": ["add"]}, True),
            ({"read_only": True}, {"read_only": lambda _: False}, False),
            # The tool's own word.
            ({"read_only": True}, {}, True),
            ({"read_only": True}, {"read_only": []}, True),
            ({"read_only": False}, {}, False),
            ({"read_only": "no"}, {}, False),
            # It goes before what a server says of it.
            ({"read_only": False, "readOnlyHint": True}, {"trust_annotations": True}, False),
            # A server's word, where it is trusted.
            ({"readOnlyHint": True}, {}, False),
            ({"readOnlyHint": True}, {"trust_annotations": True}, True),
            ({"readOnlyHint": False}, {"trust_annotations": True}, False),
            ({"readOnlyHint": "true"}, {"trust_annotations": True}, False),
            ({"readOnlyHint": True, "destructiveHint": None}, {"trust_annotations": True}, True),
            ({"readOnlyHint": True, "destructiveHint": False}, {"trust_annotations": True}, True),
            # A server's warning, always.
            ({"destructiveHint": True}, {"read_only": True}, False),
            ({"destructiveHint": True}, {"read_only": ["add"]}, False),
            ({"destructiveHint": True}, {"read_only": lambda _: True}, False),
            ({"destructiveHint": True, "read_only": True}, {}, False),
            ({"destructiveHint": True, "readOnlyHint": True}, {"trust_annotations": True}, False),
        ],
    )
    def test_in_every_way(
        self, metadata: dict[str, Any], kwargs: dict[str, Any], *, expected: bool
    ) -> None:
        tools = ToolSet([described(**metadata)], **kwargs)
        assert tools.schemas["add"].read_only is expected
        # What it is for: a call that comes while its message goes on.
        chunks = [*written(0, "c", "add", '{"a": 3, "b": 12}'), chunk(content="And so on.")]
        stream = iter(chunks)
        next(ToolStreamParser(tools).transform(stream))
        assert bool(list(stream)) is expected

    def test_each_tool_for_itself(self) -> None:
        tools = ToolSet([add, search, who], read_only=["search", "who"])
        assert [schema.read_only for schema in tools.schemas.values()] == [False, True, True]

    @pytest.mark.parametrize("kind", [list, tuple, frozenset, iter])
    def test_names_in_any_form(self, kind: Callable[[list[str]], Iterable[str]]) -> None:
        tools = ToolSet([add, search], read_only=kind(["search"]))
        assert [schema.read_only for schema in tools.schemas.values()] == [False, True]

    @pytest.mark.parametrize("kind", [list, tuple, frozenset, iter])
    def test_a_name_that_no_tool_has_is_an_error(
        self, kind: Callable[[list[str]], Iterable[str]]
    ) -> None:
        """A misspelt name would otherwise quietly make everything slow."""
        with pytest.raises(ValueError, match="'nope'"):
            ToolSet([add], read_only=kind(["add", "nope"]))

    @pytest.mark.parametrize("one", [add, search])
    def test_tools_are_no_names(self, one: Any) -> None:
        name = "add" if one is add else "search"
        with pytest.raises(TypeError, match=f"takes names of tools, not tools: write '{name}'"):
            ToolSet([add, search], read_only=[one])

    def test_one_text_is_no_list_of_names(self) -> None:
        with pytest.raises((TypeError, ValueError), match="read_only"):
            ToolSet([add, search], read_only="search")


def test_a_model_is_bound_to_it() -> None:
    tools = ToolSet([add, search], read_only=True)
    llm = ScriptedChat(
        chunks=[*written(0, "c", "add", '{"a": 3, "b": 12}'), chunk(finish_reason="stop")]
    )
    bound: Any = llm.bind_tools(tools)
    assert bound.kwargs["tools"] == [convert_to_openai_tool(add), convert_to_openai_tool(search)]
    chain = bound | ToolStreamParser(tools) | tools.map()
    assert [message.content for message in chain.invoke("hi")] == ["15"]


PAIRS = ["invoke", "stream", "transform", "batch"]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("kind", [ToolSet, ToolMap])
def test_sync_and_async_take_the_same_arguments(kind: type[ToolSet | ToolMap], name: str) -> None:
    def parameters(method: str) -> list[tuple[str, Any, Any]]:
        signature = inspect.signature(getattr(kind, method))
        return [(p.name, p.kind, p.default) for p in signature.parameters.values()]

    assert parameters(name) == parameters(f"a{name}")
