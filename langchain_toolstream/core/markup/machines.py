"""The machines of the table of formats, in the form that an `Opening` takes.

Each reads on behind the markers of a call. Some are made from a format's own tags.
"""

from collections.abc import Callable

from langchain_toolstream.core.markup.json_calls import (
    arguments_of,
    call_list,
    call_object,
    call_row,
    named_list,
)
from langchain_toolstream.core.markup.literals import (
    Quoted,
    python_lines,
    python_list,
    quoted_call,
)
from langchain_toolstream.core.markup.patterns import pattern
from langchain_toolstream.core.markup.tagged import Tags, TypesOf, element_call, tagged_call
from langchain_toolstream.core.markup.tape import Steps, Tape

Machine = Callable[[Tape, TypesOf, dict[str, str]], Steps]
"""Read on behind the markers of a call; the last argument is what stood in their holes."""


def one_object(tape: Tape, types_of: TypesOf, holes: dict[str, str]) -> Steps:
    """Read a JSON object."""
    del types_of, holes
    yield from call_object(tape)


def k2_object(tape: Tape, types_of: TypesOf, holes: dict[str, str]) -> Steps:
    """Read k2_horizon's JSON object."""
    del types_of, holes
    yield from tape.expect((pattern("<ifm|tool_call>~^{"),), "a call")
    yield from call_object(tape)


def object_row(tape: Tape, types_of: TypesOf, holes: dict[str, str]) -> Steps:
    """Read JSON objects with semicolons between them."""
    del types_of, holes
    yield from call_row(tape)


def object_list(tape: Tape, types_of: TypesOf, holes: dict[str, str]) -> Steps:
    """Read a list of JSON objects."""
    del types_of, holes
    yield from call_list(tape)


def named_object_list(tape: Tape, types_of: TypesOf, holes: dict[str, str]) -> Steps:
    """Read a list of JSON objects, each under its name."""
    del types_of, holes
    yield from named_list(tape)


def python_calls(tape: Tape, types_of: TypesOf, holes: dict[str, str]) -> Steps:
    """Read a list of Python calls."""
    del holes
    yield from python_list(tape, types_of)


def python_call_lines(tape: Tape, types_of: TypesOf, holes: dict[str, str]) -> Steps:
    """Read Python calls one behind another."""
    del holes
    yield from python_lines(tape, types_of)


def quoted(quote: str, *, exact: bool) -> Machine:
    """Read objects with quotes of their own."""
    dialect = Quoted(quote, exact=exact)

    def machine(tape: Tape, types_of: TypesOf, holes: dict[str, str]) -> Steps:
        del holes
        yield from quoted_call(tape, types_of, dialect)

    return machine


def tags(tags: Tags) -> Machine:
    """Read parameters in tags."""

    def machine(tape: Tape, types_of: TypesOf, holes: dict[str, str]) -> Steps:
        yield from tagged_call(tape, types_of, tags, holes.get("suffix", ""))

    return machine


def elements(prefix: str) -> Machine:
    """Read an element for each parameter."""

    def machine(tape: Tape, types_of: TypesOf, holes: dict[str, str]) -> Steps:
        del holes
        yield from element_call(tape, types_of, prefix)

    return machine


def headed(*headers: str) -> Machine:
    """Read the name in a header, then JSON arguments."""
    patterns = tuple(pattern(one) for one in headers)

    def machine(tape: Tape, types_of: TypesOf, holes: dict[str, str]) -> Steps:
        del types_of, holes
        tape.current = None
        _, found = yield from tape.expect(patterns, "the tool's name")
        name = found.groupdict().get("name") or found.groupdict().get("word")
        call_id = found.groupdict().get("id")
        if name is None:  # kimi_k2 writes `functions.name:0`, and that is the id too
            name = call_id.removeprefix("functions.")
            head, colon, tail = name.rpartition(":")
            name = head if colon and tail.isdigit() else name
        yield from arguments_of(tape, name.strip(), call_id)

    return machine


# The tags of families that several formats share.


def functions(*, newline: bool) -> Machine:
    """Read the tags of the qwen family."""
    return tags(
        Tags(
            name=("<function={name}>",),
            parameter=("<parameter={key}>",),
            value_end="</parameter>",
            end="</function>",
            newline=newline,
        )
    )


def invokes(prefix: str = "", before: str = "") -> Machine:
    """Read `invoke` and `parameter` tags."""
    return tags(
        Tags(
            name=(f'{before}<{prefix}invoke name="{{name}}">',),
            parameter=(f'<{prefix}parameter name="{{key}}">',),
            value_end=f"</{prefix}parameter>",
            end=f"</{prefix}invoke>",
        )
    )


def dsml(space: str = "") -> Machine:
    """Read the tags of the newer deepseek formats."""
    return tags(
        Tags(
            name=(f'<｜DSML｜{space}invoke name="{{name}}">',),
            parameter=(
                f'<｜DSML｜{space}parameter name="{{key}}" string="{{type}}">',
                f'<｜DSML｜{space}parameter name="{{key}}">',
            ),
            value_end=f"</｜DSML｜{space}parameter>",
            end=f"</｜DSML｜{space}invoke>",
        )
    )


def pairs(name: str | tuple[str, ...], end: str, tag: str = "arg", *, suffix: str = "") -> Machine:
    """Read keys and values in turns."""
    key = f"<{tag}_key{suffix}>{{key}}</{tag}_key{suffix}>~"
    return tags(
        Tags(
            name=(name,) if isinstance(name, str) else name,
            parameter=(
                f"{key}<{tag}_value{suffix}>",
                f"{key}<{tag}_type{suffix}>{{type}}</{tag}_type{suffix}>~<{tag}_value{suffix}>",
            ),
            value_end=f"</{tag}_value{suffix}>",
            end=end,
        )
    )
