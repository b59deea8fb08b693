"""The user's tools, by `module:attr`."""

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool

from langchain_toolstream.cli.usage import UsageError
from langchain_toolstream.tools import ToolSet


def load_tools(names: Sequence[str], read_only: str | None) -> ToolSet:
    """Find tools.

    Args:
        names: Of tools, functions, lists of them and tool sets, each as `module:attr`; modules are
            looked for in the current folder too.
        read_only: The names of those that may run early, separated by commas, or `all`. `None`
            leaves it to the tools.

    Returns:
        All of them; a single `ToolSet` as it is.

    Raises:
        UsageError: Something is not there, or is no tool.
    """
    found = [_find(name) for name in names]
    if len(found) == 1 and isinstance(found[0], ToolSet) and read_only is None:
        return found[0]
    tools: list[BaseTool | Callable[..., Any]] = []
    for one in found:
        tools += [one] if isinstance(one, BaseTool) or not isinstance(one, Sequence) else one
    marked: Any = () if read_only is None else read_only == "all" or read_only.split(",")
    try:
        return ToolSet(tools, read_only=marked)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{' '.join(names)}: {error}") from error


def _find(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    if not (module_name and attribute):
        raise UsageError(f"--tools takes module:attr, such as my_tools:tools, not {name!r}.")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        value: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise UsageError(
                f"There is no module {module_name!r}, neither installed nor in {here}."
            ) from error
        raise UsageError(f"{module_name} cannot be imported: {error}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"{module_name} cannot be imported: {reason}") from error
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError as error:
            raise UsageError(f"{module_name} has no {attribute!r}.") from error
    return value
