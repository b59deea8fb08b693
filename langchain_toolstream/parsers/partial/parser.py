"""The parser that shows calls while they are written."""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain
from typing import Any, Literal

from langchain_core.messages import BaseMessage
from pydantic import PrivateAttr

from langchain_toolstream.core.calls import unknown_tool
from langchain_toolstream.core.errors import JSONPath, format_path
from langchain_toolstream.parsers.base import ToolsParser
from langchain_toolstream.parsers.partial.picks import ListItems, TextPieces
from langchain_toolstream.parsers.partial.reading import OnInvalid, Part, PartReading, ViewReading
from langchain_toolstream.parsers.partial.view import ToolCallView
from langchain_toolstream.schema.tool_like import ToolLike
from langchain_toolstream.views.places import Kind, follow
from langchain_toolstream.views.schema_places import Scope


class PartialToolsParser(ToolsParser[Any]):
    """Show the tool calls of a chat model's message while they are written.

    Streams a `ToolCallView` of a call each time that more of it is known, typed: pydantic models
    with just the fields that are known, numbers when they are finished, strings as they grow.
    `invoke` gives a list of the last view of each call.

    What a view promises:

    - A path in `finished` never changes again, in this view and all that follow.
    - Numbers, booleans and nulls appear only when they are finished; strings grow by whole
      characters.
    - `model` holds exactly the fields that are known, validated where they are finished, nested
      models as those models. A string is shown while it grows where it is going to be a string; a
      date or a member of an `Enum` is not. Where a validator of the model's own runs first, or the
      branch of a union is not known yet, that part comes when it closes.
    - The last view of a call has its `tool_call`, and `model` is what the tool makes of it; or it
      has its `error`.
    - A view that is kept stays as it was.

    A finished field that the tool's schema refuses makes the call invalid at that moment: the view
    has `error` and `error_path`. Nothing is refused before the end that the whole schema would
    take. What else is no call (cut off, malformed, unknown, contradicted) is said as soon as
    `ToolStreamParser` would say it.

    Example:
        ```python
        from langchain_core.messages import AIMessageChunk
        from langchain_toolstream import PartialToolsParser
        from pydantic import BaseModel

        class Pay(BaseModel):
            \"\"\"Pay somebody.\"\"\"

            to: str
            amount: int

        def chunk(args, **first):
            call = {"index": 0, "id": None, "name": None, "args": args, **first}
            return AIMessageChunk(content="", tool_call_chunks=[call])

        chunks = [chunk('{"to": "al', id="call_1", name="Pay"), chunk('ice", "amount": 12')]
        chunks += [chunk("50}"), AIMessageChunk(content="")]
        views = list(PartialToolsParser([Pay]).transform(iter(chunks)))
        assert [str(view.model) for view in views] == [
            "to='al'",
            "to='alice'",
            "to='alice' amount=1250",
            "to='alice' amount=1250",
        ]
        assert views[-1].tool_call["args"] == {"to": "alice", "amount": 1250}
        ```
    """

    on_invalid: OnInvalid = "emit"
    """What to do with what is no call: show it by its view; or raise one `ToolCallError` behind all
    views; or raise it at once, which closes the stream, so that the server stops writing."""

    _kinds: dict[str, Kind | None] = PrivateAttr(default_factory=dict)

    def __init__(
        self,
        tools: Iterable[ToolLike] | None = None,
        *,
        on_invalid: OnInvalid = "emit",
        **kwargs: Any,
    ) -> None:
        """Look at the tools.

        Args:
            tools: The tools that were bound, see `tools`.
            on_invalid: See `on_invalid`.
            **kwargs: Fields of the base class.

        Raises:
            TypeError: `tools` is no list of tools.
            ValueError: A tool cannot be understood, or two have the same name.
        """
        super().__init__(tools, on_invalid=on_invalid, **kwargs)

    @property
    def _type(self) -> str:
        return "partial_tools_parser"

    def _parse(self, message: BaseMessage) -> list[ToolCallView]:
        reading = self._start()
        last = {view.id: view for view in chain(reading.feed(message), reading.close())}
        return sorted(last.values(), key=lambda view: view.index)

    def _start(self) -> ViewReading:
        return ViewReading(self._schemas, self._kind, self.on_invalid)

    def items(
        self,
        path: str | JSONPath,
        *,
        tool: str | None = None,
        on_invalid: Literal["skip", "abort"] | None = None,
    ) -> ListItems:
        """Stream the items of a list among the arguments, each the moment that it closes.

        Args:
            path: The name of the list, or `"report.rows"` for one further inside; a tuple where a
                name has a dot in it or a list is on the way: `("files", 0, "lines")`.
            tool: The name of the tool; without it the list of any tool that has one.
            on_invalid: What to do about an item that does not fit. `"skip"` goes on with the next
                one, and raises at the end; `"abort"` raises at once, which closes the stream, so
                that the server stops writing. By default it skips, but for a parser with
                `on_invalid="abort"`.

        Returns:
            A runnable for a chain: `llm.bind_tools(tools) | parser.items("rows")`. It streams the
            items, typed and validated; `invoke` gives a list of them. An item comes before its
            message has ended, so `ToolCallError` is raised at the end where the call is invalid,
            where items were skipped (their paths are in `skipped`), and where the message has no
            such call.

        Raises:
            ValueError: No tool has a list there, or what it has is only known as a whole.

        Example:
            ```python
            from langchain_core.messages import AIMessageChunk
            from langchain_toolstream import PartialToolsParser
            from pydantic import BaseModel

            class Person(BaseModel):
                name: str

            class Extract(BaseModel):
                \"\"\"Extract persons.\"\"\"

                people: list[Person]

            def chunk(args, **first):
                call = {"index": 0, "id": None, "name": None, "args": args, **first}
                return AIMessageChunk(content="", tool_call_chunks=[call])

            def chunks():
                yield chunk('{"people": [{"name": "Ada"}, {"na', id="call_1", name="Extract")
                print("more is on its way")
                yield chunk('me": "Alan"}]}')

            for person in PartialToolsParser([Extract]).items("people").transform(chunks()):
                print(person)
            ```

            ```text
            name='Ada'
            more is on its way
            name='Alan'
            ```
        """
        steps, tools = self._checked(path, tool, "list", lambda kind: kind.opened([]) is not None)
        part = Part(
            path=steps,
            tool=tool,
            tools=tools,
            items=True,
            on_invalid=on_invalid or self._of_parts,
        )
        return ListItems(partial(self._part, part))

    def text(self, path: str | JSONPath, *, tool: str | None = None) -> TextPieces:
        """Stream a text among the arguments in pieces, decoded, as it is written.

        Args:
            path: As for `items`.
            tool: As for `items`.

        Returns:
            A runnable for a chain, that streams the pieces; `invoke` gives the whole text. It
            raises `ToolCallError` as `items` does.

        Raises:
            ValueError: No tool has a text there.
        """
        steps, tools = self._checked(path, tool, "text", lambda kind: kind.grows)
        part = Part(path=steps, tool=tool, tools=tools, items=False, on_invalid=self._of_parts)
        return TextPieces(partial(self._part, part))

    @property
    def _of_parts(self) -> Literal["skip", "abort"]:
        return "abort" if self.on_invalid == "abort" else "skip"

    def _checked(
        self, path: str | JSONPath, tool: str | None, what: str, fits: Callable[[Kind], bool]
    ) -> tuple[JSONPath, frozenset[str] | None]:
        """Look up a path, and the tools that have what is wanted there."""
        steps = tuple(path.split(".")) if isinstance(path, str) else tuple(path)
        if self._schemas is None:
            return steps, None if tool is None else frozenset({tool})
        if tool is not None and tool not in self._schemas:
            raise ValueError(unknown_tool(tool, self._schemas))
        names = self._schemas if tool is None else [tool]
        kinds = {name: follow(Scope(self._schemas[name].shape).root(), steps) for name in names}
        having = frozenset(name for name, kind in kinds.items() if kind is not None and fits(kind))
        if not having:
            msg = (
                f"The arguments of {', '.join(map(repr, names)) or 'no tool'} have no {what} at "
                f"{format_path(steps)} that can be shown while it is written."
            )
            raise ValueError(msg)
        return steps, having

    def _part(self, part: Part) -> PartReading:
        return PartReading(self._schemas, self._kind, part)

    def _kind(self, name: str) -> Kind | None:
        """Find what the arguments of a tool have to be."""
        if name not in self._kinds:
            schema = (self._schemas or {}).get(name)
            self._kinds[name] = None if schema is None else Scope(schema.core_schema).root()
        return self._kinds[name]
