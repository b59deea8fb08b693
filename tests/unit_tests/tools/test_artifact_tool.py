"""`artifact_tool` and `ArtifactTool`: what the model reads, and what the application gets."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import chain
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForToolRun
from langchain_core.messages import AIMessageChunk, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool, tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests
from langgraph.types import Command
from pydantic import BaseModel, Field

from langchain_toolstream import ArtifactTool, ToolSet, ToolStreamParser, artifact_tool
from tests.unit_tests.scripted import bad, chunk, good, written

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}


@artifact_tool
def count(to: int) -> list[int]:
    """Count up to a number."""
    return list(range(1, to + 1))


@artifact_tool("countdown", description="Count down.", read_only=True)
async def count_down(to: int) -> tuple[str, list[int]]:
    return f"From {to} to 1.", list(range(to, 0, -1))


class Count(ArtifactTool):
    name: str = "count"
    description: str = "Count up to a number."
    step: int = 1

    def _run(self, to: int) -> list[int]:
        return list(range(1, to + 1, self.step))


class AsyncCount(Count):
    async def _arun(self, to: int) -> tuple[str, list[int]]:
        return "Counted.", list(range(1, to + 1, self.step))


class Example:
    """What every tool here is called with."""

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"to": 3}


class OfAFunction(Example):
    @property
    def tool_constructor(self) -> BaseTool:
        return count


class OfAClass(Example):
    @property
    def tool_constructor(self) -> type[BaseTool]:
        return Count

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"step": 2}


class OfAnAsyncClass(OfAClass):
    @property
    def tool_constructor(self) -> type[BaseTool]:
        return AsyncCount


class OfAMemberOfAToolSet(Example):
    @property
    def tool_constructor(self) -> BaseTool:
        def plain(to: int) -> int:
            """Count."""
            return to

        return ToolSet([plain])[0]


class OfAGeneratorInAToolSet(Example):
    @property
    def tool_constructor(self) -> BaseTool:
        def plain(to: int) -> Iterator[int]:
            """Count."""
            yield from range(to)

        return ToolSet([plain])[0]


# LangChain's own tests, of both kinds: the second needs no network here.


class TestUnitOfAFunction(OfAFunction, ToolsUnitTests):
    pass


class TestIntegrationOfAFunction(OfAFunction, ToolsIntegrationTests):
    pass


class TestUnitOfAClass(OfAClass, ToolsUnitTests):
    pass


class TestIntegrationOfAClass(OfAClass, ToolsIntegrationTests):
    pass


class TestUnitOfAnAsyncClass(OfAnAsyncClass, ToolsUnitTests):
    pass


class TestIntegrationOfAnAsyncClass(OfAnAsyncClass, ToolsIntegrationTests):
    pass


class TestUnitOfAMemberOfAToolSet(OfAMemberOfAToolSet, ToolsUnitTests):
    pass


class TestIntegrationOfAMemberOfAToolSet(OfAMemberOfAToolSet, ToolsIntegrationTests):
    pass


class TestUnitOfAGeneratorInAToolSet(OfAGeneratorInAToolSet, ToolsUnitTests):
    pass


class TestIntegrationOfAGeneratorInAToolSet(OfAGeneratorInAToolSet, ToolsIntegrationTests):
    pass


async def invoke(one: BaseTool, value: Any) -> Any:
    return one.invoke(value)


async def ainvoke(one: BaseTool, value: Any) -> Any:
    return await one.ainvoke(value)


either_way = pytest.mark.parametrize("run", [invoke, ainvoke])


class TestWhatIsReturned:
    @pytest.mark.parametrize(
        ("returned", "kwargs", "content", "artifact"),
        [
            ([1, 2], {}, "list of 2 items: [1, 2]", [1, 2]),
            (("Two.", [1, 2]), {}, "Two.", [1, 2]),
            (([IMAGE], {"a": 1}), {}, [IMAGE], {"a": 1}),
            ([IMAGE], {}, [IMAGE], [IMAGE]),
            ("text", {}, "text", "text"),
            ((1, 2), {}, "tuple of 2 items: (1, 2)", (1, 2)),
            (("a", "b", "c"), {}, "tuple of 3 items: ('a', 'b', 'c')", ("a", "b", "c")),
            (None, {}, "Done; there is no result.", None),
            # With a summary, a pair is an artifact like any other.
            (("a", "b"), {"summary": "Two letters."}, "Two letters.", ("a", "b")),
            ([3, 4], {"summary": lambda made: f"{made[0]}!"}, "3!", [3, 4]),
            ([3, 4], {"summary": lambda _: [IMAGE]}, [IMAGE], [3, 4]),
            ([3, 4], {"summary": lambda made: {"sum": sum(made)}}, '{"sum": 7}', [3, 4]),
        ],
        ids=lambda value: repr(value)[:25],
    )
    @either_way
    async def test_becomes_content_and_artifact(
        self, run: Any, returned: Any, kwargs: Any, content: Any, artifact: Any
    ) -> None:
        @artifact_tool("make", **kwargs)
        def make() -> Any:
            """Make."""
            return returned

        message = await run(make, good("a", "make"))
        assert message == ToolMessage(content, artifact=artifact, name="make", tool_call_id="a")
        assert message.artifact is (returned if returned == artifact else returned[1])
        bare = await run(make, {})
        assert bare == content or isinstance(bare, dict)

    @either_way
    async def test_passes_through_where_it_is_a_message_or_a_command(self, run: Any) -> None:
        message = ToolMessage("Mine.", tool_call_id="a")
        kept: list[Any] = []
        for made in (message, Command(update={"seen": True}), [message]):

            @artifact_tool("make", summary="Not this.")
            def make() -> Any:
                """Make."""
                return kept[-1]

            kept.append(made)
            assert await run(make, good("a", "make")) is made

    @either_way
    async def test_of_a_parents_method_is_what_the_parent_made_of_it(self, run: Any) -> None:
        class Shouting(Count):
            summary: Any = "Counted."

            def _run(self, to: int) -> Any:
                content, artifact = super()._run(to)
                assert content == "Counted."
                return artifact * 2

        message = await run(Shouting(), good("a", "count", to=2))
        assert (message.content, message.artifact) == ("Counted.", [1, 2, 1, 2])

    async def test_of_a_coroutine_method(self) -> None:
        assert AsyncCount().invoke({"to": 2}) == "list of 2 items: [1, 2]"
        assert await AsyncCount().ainvoke({"to": 2}) == "Counted."

    @either_way
    async def test_fails_as_every_tool_does(self, run: Any) -> None:
        @artifact_tool
        def fail() -> None:
            """Fail."""
            raise ValueError("no luck")

        with pytest.raises(ValueError, match="no luck"):
            await run(fail, good("a", "fail"))


class TestADecorator:
    """With the forms and the schema of LangChain's `tool`."""

    def test_of_every_form(self) -> None:
        def add(a: int, b: int) -> int:
            """Add two integers."""
            return a + b

        bare, called = artifact_tool(add), artifact_tool()(add)
        named = artifact_tool("plus", description="Sum.", return_direct=True, extras={"x": 1})(add)
        assert isinstance(bare, ArtifactTool)
        assert isinstance(bare, StructuredTool)
        assert (bare.name, bare.description) == ("add", "Add two integers.")
        assert (called.name, named.name, named.description) == ("add", "plus", "Sum.")
        assert (named.return_direct, named.extras) == (True, {"x": 1})
        assert convert_to_openai_tool(bare) == convert_to_openai_tool(tool(add))
        assert bare.response_format == "content_and_artifact"

    def test_of_arguments_told_elsewhere(self) -> None:
        class Args(BaseModel):
            a: int = Field(description="The one.")

        def one(a: int) -> int:
            """Take one.

            Args:
                a: The one.
            """
            return a

        by_schema = artifact_tool(args_schema=Args)(one)
        by_docstring = artifact_tool(parse_docstring=True)(one)
        for made, expected in (
            (by_schema, tool(args_schema=Args)(one)),
            (by_docstring, tool(parse_docstring=True)(one)),
        ):
            assert convert_to_openai_tool(made) == convert_to_openai_tool(expected)

    def test_of_a_function_without_any_description(self) -> None:
        with pytest.raises(ValueError, match="docstring"):
            artifact_tool(lambda a: a)

    def test_says_who_is_read_only(self) -> None:
        assert count.metadata is None
        assert count_down.metadata == {"read_only": True}
        read_only = [one.read_only for one in ToolSet([count, count_down]).schemas.values()]
        assert read_only == [False, True]

    def test_keeps_the_signature_of_a_method(self) -> None:
        assert list(inspect.signature(Count()._run).parameters) == ["to"]

    async def test_gives_config_and_run_manager_as_ever(self) -> None:
        @artifact_tool
        def look(config: RunnableConfig) -> tuple[str, Any]:
            """Look."""
            return "Seen.", config["metadata"]["who"]

        class Look(ArtifactTool):
            name: str = "look"
            description: str = "Look."

            def _run(
                self, config: RunnableConfig, run_manager: CallbackManagerForToolRun | None = None
            ) -> tuple[str, Any]:
                assert run_manager is not None
                return "Seen.", config["metadata"]["who"]

        for one in (look, Look()):
            for run in (invoke, ainvoke):
                bound: Any = one.with_config(metadata={"who": "me"})
                assert (await run(bound, good("a", "look"))).artifact == "me"

    def test_has_a_twin_for_async(self) -> None:
        for name in ("run", "invoke"):
            assert [str(p) for p in inspect.signature(getattr(ArtifactTool, name)).parameters] == [
                str(p) for p in inspect.signature(getattr(ArtifactTool, f"a{name}")).parameters
            ]


class TestMap:
    CALLS = (good("a", "count", to=1), good("b", "count", to="x"), bad("c", "count"))

    async def test_answers_every_call(self) -> None:
        runner = count.map()
        messages = runner.invoke(list(self.CALLS))
        assert [(m.tool_call_id, m.status, m.artifact) for m in messages] == [
            ("a", "success", [1]),
            ("b", "error", None),
            ("c", "error", None),
        ]
        assert await runner.ainvoke(list(self.CALLS)) == messages

    def test_is_for_its_own_calls(self) -> None:
        (message,) = count.map().invoke([good("a", "delete")])
        assert (message.status, message.tool_call_id) == ("error", "a")

    @pytest.mark.parametrize("read_only", [True, False, None])
    async def test_is_eager_behind_a_parser_that_knows_only_the_tool(
        self, *, read_only: bool | None
    ) -> None:
        """`llm | parser | tool.map()`, without a `ToolSet`."""
        started = False

        @artifact_tool(read_only=read_only)
        async def look() -> list[int]:
            """Look."""
            nonlocal started
            started = True
            return [1]

        async def says() -> AsyncIterator[AIMessageChunk]:
            for one in written(0, "a", "look", "{}"):
                yield one
            for one in written(1, "b", "look", "{}"):
                yield one
            assert started is (read_only is True)
            yield chunk(finish_reason="tool_calls")

        whole: Any = ToolStreamParser([look]) | look.map()
        messages = [m async for batch in whole.atransform(says()) for m in batch]
        assert sorted((m.tool_call_id, m.artifact) for m in messages) == [("a", [1]), ("b", [1])]

    async def test_takes_back_what_it_started(self) -> None:
        runs: list[str] = []

        @artifact_tool(read_only=True)
        def look(key: str) -> list[str]:
            """Look."""
            runs.append(key)
            return [key]

        chunks = [
            *written(0, "a", "look", '{"key": "x"}'),
            chunk({"index": 0, "id": None, "name": None, "args": '{"key": "y"}'}),  # type: ignore[arg-type, typeddict-item]
            chunk(finish_reason="tool_calls"),
        ]
        whole: Any = ToolStreamParser([look]) | look.map()
        messages = list(chain.from_iterable(whole.transform(iter(chunks))))
        assert [m.tool_call_id for m in messages] == ["a"]
        assert "y" not in runs


def test_types() -> None:
    """What a type checker reads of each form; mypy and pyright see the package, pytest runs it."""
    one: ArtifactTool = artifact_tool(lambda_with_doc)
    two: Callable[[Callable[..., Any]], ArtifactTool] = artifact_tool()
    three: Callable[[Callable[..., Any]], ArtifactTool] = artifact_tool("three")
    assert one.name == two(lambda_with_doc).name
    assert three(lambda_with_doc).name == "three"


def lambda_with_doc(a: int) -> int:
    """Give it back."""
    return a


def test_a_summary_that_fails_does_not_run_the_tool_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The tool has done its work; the model reads what the value is instead."""
    runs = []

    @artifact_tool(summary=lambda made: made["missing"])
    def transfer(amount: int) -> dict[str, int]:
        """Transfer money."""
        runs.append(amount)
        return {"transferred": amount}

    call = {"name": "transfer", "args": {"amount": 1}, "id": "c", "type": "tool_call"}
    message = ToolSet([transfer], retries={"transfer": 2}).invoke(call)  # type: ignore[arg-type]
    assert (message.status, runs) == ("success", [1])
    assert message.content.startswith("dict of 1 key")
    assert message.artifact == {"transferred": 1}
    assert "The summary of what the tool 'transfer' returned failed." in caplog.text
