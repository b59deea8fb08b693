"""A pytest plugin: the suite's `ToolNode` is ours, or every agent of it has our middleware."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import MagicMock

import langchain.agents
import pytest
from langchain.agents import factory
from langchain.agents.middleware import AgentMiddleware
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import _default_handle_tool_errors

from langchain_toolstream import ToolSet
from langchain_toolstream.agents import EagerToolMiddleware

SWAP = "TOOLSTREAM_SWAP"
"""The environment variable that says what to swap."""


def _tool_node(module: Any) -> None:
    """Let the module's `ToolNode` be the node of a `ToolSet`."""

    def node(
        tools: Any, *, handle_tool_errors: Any = _default_handle_tool_errors, **kwargs: Any
    ) -> Any:
        return ToolSet(tools).node(handle_tool_errors=handle_tool_errors, **kwargs)

    if getattr(module, "ToolNode", None) is ToolNode:
        module.ToolNode = node


def _create_agent(make: Callable[[], Any]) -> None:
    """Let `create_agent` add a middleware to every agent, outside of all others."""
    theirs = factory.create_agent

    def create_agent(*args: Any, middleware: Sequence[Any] = (), **kwargs: Any) -> Any:
        return theirs(*args, middleware=[make(), *middleware], **kwargs)

    langchain.agents.create_agent = factory.create_agent = create_agent


def _does_nothing() -> Any:
    """A middleware with the hooks that ours has, and nothing in them."""

    class Nothing(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            return handler(request)

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            return await handler(request)

        def after_model(self, state: Any, runtime: Any) -> None:
            pass

        async def aafter_model(self, state: Any, runtime: Any) -> None:
            pass

        def wrap_tool_call(self, request: Any, handler: Any) -> Any:
            return handler(request)

        async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
            return await handler(request)

    return Nothing()


def _ours() -> Any:
    return EagerToolMiddleware()


def _without_databases() -> None:
    """Let LangGraph's conftest be imported; the tests that are run use the memory alone."""
    for name in ("langgraph.checkpoint.postgres", "langgraph.checkpoint.sqlite"):
        for module in (name, f"{name}.aio"):
            sys.modules.setdefault(module, MagicMock())
    for module in ("langgraph.store.postgres", "psycopg", "psycopg_pool"):
        sys.modules.setdefault(module, MagicMock())


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Swap what is asked of everywhere, before any test is imported."""
    _without_databases()
    swap = os.environ.get(SWAP)
    if swap in ("middleware", "nothing"):
        _create_agent(_ours if swap == "middleware" else _does_nothing)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Swap what the modules of the tests have imported."""
    if os.environ.get(SWAP) == "node":
        for module in {item.module for item in items if isinstance(item, pytest.Function)}:
            _tool_node(module)
