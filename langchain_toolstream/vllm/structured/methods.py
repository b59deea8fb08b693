"""How a structured answer is request for and read, by each method of `with_structured_output`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from langchain_core.language_models import LanguageModelInput
from langchain_core.runnables import Runnable
from langchain_openai.chat_models.base import BaseChatOpenAI

from langchain_toolstream.vllm.structured.constraint import AnswerSchema, choices, one_of, text_of
from langchain_toolstream.vllm.structured.parser import AnswerParser, Form, JSONForm, TextForm

Method = Literal["json_schema", "function_calling", "json_mode", "regex", "choice", "grammar"]

_CONSTRAINTS = ("response_format", "structured_outputs")


@dataclass(frozen=True, slots=True, kw_only=True)
class StructuredRequest:
    """How to ask for a structured answer, and how to read it."""

    fields: dict[str, Any]
    """Of the request, in the words of `bind`."""

    form: Callable[[bool], Form]
    """Makes what reads one answer; with `True`, one that shows it while it grows."""

    output_type: Any
    """What the answer is, as a type; chains make their output schema of it."""

    tool: dict[str, Any] | None = None
    """The tool whose arguments are the answer; without it the text is."""

    def chain(
        self, model: BaseChatOpenAI, fields: dict[str, Any], *, include_raw: bool
    ) -> Runnable[LanguageModelInput, Any]:
        """Bind a model to the answer, and put the parser behind it.

        Args:
            model: Which answers.
            fields: More fields of the request, as for `bind`.
            include_raw: As for `ChatVLLM.with_structured_output`.

        Raises:
            ValueError: There are tools among the fields.
        """
        if "tools" in fields:
            msg = (
                "with_structured_output takes no tools: the answer would be either a call or the "
                "structure. Bind them by bind_tools(tools, response_format=...)."
            )
            raise ValueError(msg)
        fields = model._filter_disabled_params(**{**self.fields, **fields})  # noqa: SLF001
        bound = model.bind_tools([self.tool], **fields) if self.tool else model.bind(**fields)
        # What the model itself is constrained to is not sent beside what is asked for here.
        bound = bound.bind(**{name: None for name in _CONSTRAINTS if name not in fields})
        name = self.tool["function"]["name"] if self.tool else None
        return bound | AnswerParser(
            self.form, tool=name, include_raw=include_raw, output_type=self.output_type
        )


def structured_request(schema: Any, method: Method, *, strict: bool | None) -> StructuredRequest:
    """Find out how to ask for an answer.

    Args:
        schema: As for `ChatVLLM.with_structured_output`.
        method: Likewise.
        strict: Likewise.

    Raises:
        ValueError: The arguments do not go together.
    """
    if method not in get_args(Method):
        msg = f"method={method!r} is not known; it is one of {get_args(Method)}."
        raise ValueError(msg)
    if strict is not None and method not in ("json_schema", "function_calling"):
        msg = f"strict={strict} means nothing with method={method!r}; leave it out."
        raise ValueError(msg)
    traced: dict[str, Any] = {"title": method}
    if method in ("regex", "choice", "grammar"):
        request = _text_request(schema, method)
    elif schema is None and method == "json_mode":
        request = _json_request(None, method, strict=strict)
    else:
        answer = AnswerSchema.of(schema)
        request = _json_request(answer, method, strict=strict)
        traced = answer.traced
    kwargs: dict[str, Any] = {"method": method, "strict": strict}
    request.fields["ls_structured_output_format"] = {"kwargs": kwargs, "schema": traced}
    return request


def _text_request(schema: Any, method: Method) -> StructuredRequest:
    constraint: dict[str, Any] = {method: schema}
    if method == "choice":
        texts = choices(schema)
        constraint = {"choice": list(texts)}
        read, may_grow = one_of(texts), False
    elif isinstance(schema, str) and schema:
        read, may_grow = text_of(schema) if method == "regex" else str, True
    else:
        msg = f"method={method!r} needs schema to be the {method}, as text; got {schema!r}."
        raise ValueError(msg)
    return StructuredRequest(
        fields={"structured_outputs": constraint},
        output_type=_chosen_type(schema) if method == "choice" else str,
        form=lambda grows: TextForm(read, grows=grows and may_grow),
    )


def _json_request(
    answer: AnswerSchema | None, method: Method, *, strict: bool | None
) -> StructuredRequest:
    def form(grows: bool) -> Form:  # noqa: FBT001
        return JSONForm(answer, grows=grows)

    output_type = dict[str, Any] if answer is None else answer.output_type
    fields: dict[str, Any] = {"response_format": {"type": "json_object"}}
    tool = None
    if answer is not None and method == "json_schema":
        fields = {"response_format": answer.response_format(strict=strict)}
    elif answer is not None and method == "function_calling":
        fields = {"tool_choice": answer.name, "parallel_tool_calls": False}
        tool = answer.tool(strict=strict)
    return StructuredRequest(fields=fields, form=form, output_type=output_type, tool=tool)


def _chosen_type(schema: Any) -> Any:
    is_list = isinstance(schema, Sequence)
    return Literal[tuple(schema)] if is_list else schema
