"""The half of `ChatVLLM` that asks for structured answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from langchain_core.language_models import LanguageModelInput
from langchain_core.runnables import Runnable

from langchain_toolstream.vllm.request.payload import VLLMRequests
from langchain_toolstream.vllm.structured.constraint import AnswerSchema, choices, one_of, text_of
from langchain_toolstream.vllm.structured.parser import AnswerParser, Form, JSONForm, TextForm

Method = Literal["json_schema", "function_calling", "json_mode", "regex", "choice", "grammar"]

_CONSTRAINTS = ("response_format", "structured_outputs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """How to ask for an answer, and how to read it."""

    fields: dict[str, Any]
    """Of the request, in the words of `bind`."""

    form: Callable[[bool], Form]
    """Makes what reads one answer; with `True`, one that shows it while it grows."""

    tool: dict[str, Any] | None = None
    """The tool whose arguments are the answer; without it the text is."""


def ask(schema: Any, method: Method, *, strict: bool | None) -> Ask:
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
        asked = _ask_text(schema, method)
    elif schema is None and method == "json_mode":
        asked = _ask_json(None, method, strict)
    else:
        answer = AnswerSchema.of(schema)
        asked = _ask_json(answer, method, strict)
        traced = answer.traced
    kwargs: dict[str, Any] = {"method": method, "strict": strict}
    asked.fields["ls_structured_output_format"] = {"kwargs": kwargs, "schema": traced}
    return asked


def _ask_text(schema: Any, method: Method) -> Ask:
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
    return Ask(
        fields={"structured_outputs": constraint},
        form=lambda grows: TextForm(read, grows=grows and may_grow),
    )


def _ask_json(answer: AnswerSchema | None, method: Method, strict: bool | None) -> Ask:  # noqa: FBT001
    def form(grows: bool) -> Form:  # noqa: FBT001
        return JSONForm(answer, grows=grows)

    if answer is None or method == "json_mode":
        return Ask(fields={"response_format": {"type": "json_object"}}, form=form)
    if method == "json_schema":
        return Ask(fields={"response_format": answer.response_format(strict=strict)}, form=form)
    fields = {"tool_choice": answer.name, "parallel_tool_calls": False}
    return Ask(fields=fields, form=form, tool=answer.tool(strict=strict))


class VLLMStructures(VLLMRequests):
    """A chat model whose answers can be made to have a form."""

    def with_structured_output(
        self,
        schema: Any = None,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        r"""Make the model answer in a form that can be relied on.

        Args:
            schema: What the answer has to be.

                - For `json_schema`, `function_calling` and `json_mode`: a pydantic model, a
                  `TypedDict`, a dataclass or another type that pydantic knows, or a dict: a JSON
                  schema, or an OpenAI function. `json_mode` also does without.
                - For `regex` and `grammar`: the expression or grammar as text.
                - For `choice`: texts or whole numbers, as a list, a `Literal` or an `Enum`.
            method: How the model is made to.

                - `json_schema`: vLLM generates nothing but JSON that fits the schema.
                - `function_calling`: the answer is the arguments of a call that is forced.
                - `json_mode`: vLLM generates nothing but JSON, and the prompt says which.
                - `regex`, `choice`, `grammar`: vLLM's `structured_outputs`.
            include_raw: Whether to return a dict of `raw` (the message), `parsed` and
                `parsing_error` instead of the answer alone.
            strict: For `json_schema` and `function_calling`: `True` requires all properties and
                allows no others, whatever the schema says; `False` leaves the arguments of a call
                to the model, to be refused when they do not fit.
            **kwargs: Further fields of the request, as for `bind`.

        Returns:
            A runnable that gives an object of the class, a member of the `Enum`, text, or what the
            JSON says. It streams dicts that grow, objects with just the fields that are known (see
            `PartialToolsParser` for what is shown when), and pieces of text; the last one is the
            answer.

        Raises:
            ValueError: The schema cannot be asked for by that method.

        When run, it raises `OutputParserException`, or returns it as `parsing_error`, if the answer
        was cut off (`finish_reason`), is not strict JSON or does not fit the schema; nothing is
        completed or converted by guessing.

        Example:
            ```python
            from pydantic import BaseModel

            from langchain_toolstream import ChatVLLM


            class Multiply(BaseModel):
                a: int
                b: int


            llm = ChatVLLM()
            product = llm.with_structured_output(Multiply)
            number = llm.with_structured_output(r"\d+", method="regex")
            mood = llm.with_structured_output(["good", "bad"], method="choice")
            ```
        """
        if "tools" in kwargs:
            msg = (
                "with_structured_output takes no tools: the answer would be either a call or the "
                "structure. Bind them by bind_tools(tools, response_format=...)."
            )
            raise ValueError(msg)
        asked = ask(schema, method, strict=strict)
        fields = self._filter_disabled_params(**{**asked.fields, **kwargs})
        bound = self.bind_tools([asked.tool], **fields) if asked.tool else self.bind(**fields)
        # What the model itself is constrained to is not sent beside what is asked for here.
        bound = bound.bind(**{name: None for name in _CONSTRAINTS if name not in fields})
        parser = AnswerParser(asked.form, in_call=asked.tool is not None, include_raw=include_raw)
        return bound | parser
