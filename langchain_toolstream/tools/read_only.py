"""Who is read-only: the caller's word, then the tool's, then a trusted server's."""

from collections.abc import Callable, Iterable

from langchain_core.tools import BaseTool

ReadOnly = bool | Iterable[str] | Callable[[BaseTool], bool]
"""Which tools are read-only: all or none, those of these names, or those a predicate says it of."""


def names_in(read_only: ReadOnly) -> frozenset[str]:
    """The names that were given, if names were.

    Args:
        read_only: What the caller says; names may come in anything that can be iterated over once.

    Raises:
        TypeError: It is one name, or has something else than names, or says of no one that it is
            read-only.
    """
    if isinstance(read_only, str):
        msg = f"read_only takes a list of names, not one name: [{read_only!r}]."
        raise TypeError(msg)
    if isinstance(read_only, Iterable):
        names = tuple(read_only)
        for name in names:
            if not isinstance(name, str):
                called = getattr(name, "name", None) or getattr(name, "__name__", name)
                msg = f"read_only takes names of tools, not tools: write {called!r}."
                raise TypeError(msg)
        return frozenset(names)
    if not (isinstance(read_only, bool) or callable(read_only)):
        msg = f"read_only takes True, names or a predicate on the tool, got {read_only!r}."
        raise TypeError(msg)
    return frozenset()


def reader_of(read_only: ReadOnly, *, trust_annotations: bool) -> Callable[[BaseTool], bool]:
    """Make the predicate that says of a tool whether it is read-only.

    Args:
        read_only: What the caller says.
        trust_annotations: Whether an MCP server is believed that its tool is read-only. Its
            `destructiveHint` is believed in any case.

    Raises:
        TypeError: As for `names_in`.
    """
    names = names_in(read_only)

    def is_read_only(tool: BaseTool) -> bool:
        metadata = tool.metadata or {}
        if metadata.get("destructiveHint") is True:
            return False
        if read_only is True or tool.name in names:
            return True
        if callable(read_only):
            return bool(read_only(tool))
        if "read_only" in metadata:
            return metadata["read_only"] is True
        return trust_annotations and metadata.get("readOnlyHint") is True

    return is_read_only
