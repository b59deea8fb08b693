"""Tools that return an artifact: the whole result for the application, a summary for the model."""

import inspect
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, NamedTuple, cast, overload

from langchain_core.callbacks import AsyncCallbackManagerForToolRun, CallbackManagerForToolRun
from langchain_core.messages.tool import ToolOutputMixin
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import ArgsSchema, StructuredTool

from langchain_toolstream.schema.tool_like import as_function
from langchain_toolstream.tools.artifacts.summary import is_content, summarize
from langchain_toolstream.tools.read_only import reader_of
from langchain_toolstream.tools.run.calls import Order
from langchain_toolstream.tools.run.map import ToolMap
from langchain_toolstream.tools.run.progress import CallAwareTool, arun_out, plain, run_out
from langchain_toolstream.tools.toolset import ToolSet

logger = logging.getLogger(__name__)

Summary = str | Callable[[Any], str | list[Any]]
"""What the model reads: a text, or a function that makes text or content blocks of the artifact."""


class ArtifactTool(CallAwareTool):
    """A tool whose `_run` or `_arun` returns an artifact.

    `artifact_tool` makes one of a function. What is returned becomes content and artifact:

    - `(content, artifact)`, where the content is text or content blocks, is taken as it is;
    - anything else is the artifact, and the model reads what `summary` says of it, or else a short
      text by what it is: the shape, columns and head of a data frame, the size and kind of an
      image, the length and beginning of a list;
    - content blocks (an image for the model to see) are both;
    - a `ToolMessage`, or a `Command` of LangGraph's, passes through.

    With `summary`, whatever is returned is the artifact, a pair too.

    Called with arguments the tool gives the content, called with a whole `ToolCall` the
    `ToolMessage` with its artifact, as all of LangChain's tools do. `_run` and `_arun` may be
    generators: each yield is sent as a custom event `tool_progress`, and what they return, or else
    their last yield, is the result.

    Example:
        ```python
        from langchain_toolstream import ArtifactTool


        class Dice(ArtifactTool):
            name: str = "dice"
            description: str = "Throw dice."
            sides: int = 6

            def _run(self, throws: int) -> list[int]:
                return [self.sides] * throws


        call = {"name": "dice", "args": {"throws": 3}, "id": "call_1", "type": "tool_call"}
        message = Dice().invoke(call)
        assert message.content == "list of 3 items: [6, 6, 6]"
        assert message.artifact == [6, 6, 6]
        ```
    """

    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    """Always with an artifact; see the class."""

    summary: Summary | None = None
    """What the model reads of the artifact: a text, or a function of the artifact. `None`: what
    the value is; see the class."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let what `_run` and `_arun` return become content and artifact."""
        super().__init_subclass__(**kwargs)
        if run := cls.__dict__.get("_run"):
            cls._run = _with_artifact(run)  # type: ignore[method-assign]
        if arun := cls.__dict__.get("_arun"):
            cls._arun = _with_artifact_async(arun)  # type: ignore[method-assign]

    @property
    def starts_early(self) -> bool:
        """Whether a parser that is given this tool in a plain list may hand its calls out early.

        `.map()` can take a call back, so it may where the tool says that it is read-only.
        """
        return reader_of((), trust_annotations=False)(self)

    def map(self, *, order: Order = "completed") -> ToolMap:  # type: ignore[override]
        """Run many calls, each as soon as it arrives, as `ToolSet.map` does.

        So `llm | ToolStreamParser([tool]) | tool.map()` runs the calls of a read-only tool while
        the model is still writing.

        Args:
            order: As for `ToolSet.map`.

        Returns:
            A runnable from calls to messages that works on streams.
        """
        return ToolSet([self]).map(order=order)

    def _as_result(self, made: Any) -> "_Result":
        if isinstance(made, _Result):  # a subclass called its parent's
            return made
        if isinstance(made, ToolOutputMixin) or (
            isinstance(made, list)
            and made
            and all(isinstance(item, ToolOutputMixin) for item in made)
        ):
            return _Result(made, None)
        if self.summary is None:
            if isinstance(made, tuple) and len(made) == 2 and is_content(made[0]):  # noqa: PLR2004
                return _Result(*made)
            return _Result(summarize(made), made)
        if isinstance(self.summary, str):
            return _Result(self.summary, made)
        try:
            content = self.summary(made)
        except Exception:  # the tool has done its work, and is not to be run again for this
            logger.exception("The summary of what the tool %r returned failed.", self.name)
            content = summarize(made)
        return _Result(content, made)


class _Result(NamedTuple):
    content: Any
    artifact: Any


def _with_artifact(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def _run(self: ArtifactTool, *args: Any, **kwargs: Any) -> _Result:
        made = method(self, *args, **kwargs)
        return self._as_result(run_out(made, self.name) if inspect.isgenerator(made) else made)

    return _run


def _with_artifact_async(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    async def _arun(self: ArtifactTool, *args: Any, **kwargs: Any) -> _Result:
        made = method(self, *args, **kwargs)
        if not inspect.isasyncgen(made):
            made = await made
        return self._as_result(
            await arun_out(made, self.name) if inspect.isasyncgen(made) else made
        )

    return _arun


class _FunctionTool(StructuredTool, ArtifactTool):
    """An `ArtifactTool` of a function, or of a coroutine function."""

    def _run(
        self,
        *args: Any,
        config: RunnableConfig,
        run_manager: CallbackManagerForToolRun | None = None,
        **kwargs: Any,
    ) -> Any:
        return super()._run(*args, config=config, run_manager=run_manager, **kwargs)

    async def _arun(
        self,
        *args: Any,
        config: RunnableConfig,
        run_manager: AsyncCallbackManagerForToolRun | None = None,
        **kwargs: Any,
    ) -> Any:
        return await super()._arun(*args, config=config, run_manager=run_manager, **kwargs)


@overload
def artifact_tool(
    *,
    description: str | None = None,
    summary: Summary | None = None,
    read_only: bool | None = None,
    return_direct: bool = False,
    args_schema: ArgsSchema | None = None,
    parse_docstring: bool = False,
    error_on_invalid_docstring: bool = True,
    extras: dict[str, Any] | None = None,
) -> Callable[[Callable[..., Any]], ArtifactTool]: ...


@overload
def artifact_tool(
    name_or_callable: Callable[..., Any],
    *,
    description: str | None = None,
    summary: Summary | None = None,
    read_only: bool | None = None,
    return_direct: bool = False,
    args_schema: ArgsSchema | None = None,
    parse_docstring: bool = False,
    error_on_invalid_docstring: bool = True,
    extras: dict[str, Any] | None = None,
) -> ArtifactTool: ...


@overload
def artifact_tool(
    name_or_callable: str,
    *,
    description: str | None = None,
    summary: Summary | None = None,
    read_only: bool | None = None,
    return_direct: bool = False,
    args_schema: ArgsSchema | None = None,
    parse_docstring: bool = False,
    error_on_invalid_docstring: bool = True,
    extras: dict[str, Any] | None = None,
) -> Callable[[Callable[..., Any]], ArtifactTool]: ...


def artifact_tool(  # noqa: PLR0913 - those of LangChain's `tool`
    name_or_callable: str | Callable[..., Any] | None = None,
    *,
    description: str | None = None,
    summary: Summary | None = None,
    read_only: bool | None = None,
    return_direct: bool = False,
    args_schema: ArgsSchema | None = None,
    parse_docstring: bool = False,
    error_on_invalid_docstring: bool = True,
    extras: dict[str, Any] | None = None,
) -> ArtifactTool | Callable[[Callable[..., Any]], ArtifactTool]:
    """Make a tool that returns an artifact of a function: LangChain's `@tool` for what is large.

    What the function may return, and what becomes of it, is told at `ArtifactTool`. It may be a
    coroutine function, a generator or an async generator.

    Args:
        name_or_callable: The function, or the name of the tool where that is not the function's.
        description: As for `tool`: instead of the docstring.
        summary: What the model reads of the artifact, see `ArtifactTool`.
        read_only: Whether running the tool for nothing, before any guard has seen the message, does
            no harm, costs nothing that matters and tells no one anything; then it may start while
            the model is still writing. Stands in `metadata["read_only"]`.
        return_direct: As for `tool`.
        args_schema: As for `tool`.
        parse_docstring: As for `tool`.
        error_on_invalid_docstring: As for `tool`.
        extras: As for `tool`.

    Returns:
        The tool, or the decorator that makes it.

    Raises:
        ValueError: There is neither docstring nor description.

    Example:
        ```python
        from langchain_toolstream import artifact_tool

        @artifact_tool(read_only=True, summary=lambda numbers: f"{len(numbers)} numbers")
        def count(to: int) -> list[int]:
            \"\"\"Count up to a number.\"\"\"
            return list(range(1, to + 1))

        assert count.invoke({"to": 3}) == "3 numbers"
        call = {"name": "count", "args": {"to": 3}, "id": "call_1", "type": "tool_call"}
        assert count.invoke(call).artifact == [1, 2, 3]
        ```
    """

    def make(function: Callable[..., Any]) -> ArtifactTool:
        function = as_function(function)
        name = name_or_callable if isinstance(name_or_callable, str) else function.__name__
        function = plain(function, name)
        is_async = inspect.iscoroutinefunction(function)
        made = _FunctionTool.from_function(
            func=None if is_async else function,
            coroutine=function if is_async else None,
            name=name,
            description=description,
            return_direct=return_direct,
            args_schema=args_schema,
            response_format="content_and_artifact",
            parse_docstring=parse_docstring,
            error_on_invalid_docstring=error_on_invalid_docstring,
            summary=summary,
            metadata=None if read_only is None else {"read_only": read_only},
            extras=extras,
        )
        return cast("ArtifactTool", made)

    return make(name_or_callable) if callable(name_or_callable) else make
