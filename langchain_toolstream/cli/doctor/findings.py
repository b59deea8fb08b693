"""What the doctor saw, and what it says."""

from dataclasses import dataclass, field
from typing import Literal

from langchain_toolstream.cli.doctor.answer import Answer
from langchain_toolstream.cli.doctor.probes import ProbeName
from langchain_toolstream.vllm import VLLMModelCard

Status = Literal["ok", "note", "warning", "failed", "unknown"]
"""`unknown` is for what the model did not show: that says nothing against the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the diagnosis."""

    check: str
    status: Status
    found: str
    change: str = ""
    """What to do about it, if there is anything to do."""


@dataclass(slots=True, kw_only=True)
class Observations:
    """What was seen of a server."""

    url: str
    unreachable: str = ""
    """Why nothing could be asked, if so."""

    unauthorized: str = ""
    """The server's words, if it wants another key."""

    version: str | None = None
    models: list[VLLMModelCard] = field(default_factory=list)
    model: str = ""
    """The one that was asked."""

    key_sent: bool = False
    open_without_key: bool | None = None
    """Whether it answers without a key; `None` if that was not tried."""

    answers: dict[ProbeName, Answer] = field(default_factory=dict)


def ok(check: str, found: str) -> Finding:
    """Say that all is well."""
    return Finding(check=check, status="ok", found=found)


def note(check: str, found: str) -> Finding:
    """Say what is worth knowing."""
    return Finding(check=check, status="note", found=found)


def unknown(check: str, found: str) -> Finding:
    """Say why nothing can be said."""
    return Finding(check=check, status="unknown", found=found)


def warning(check: str, found: str, change: str = "") -> Finding:
    """Say what this package can live with."""
    return Finding(check=check, status="warning", found=found, change=change)


def failed(check: str, found: str, change: str = "") -> Finding:
    """Say what a chain cannot rely on."""
    return Finding(check=check, status="failed", found=found, change=change)
