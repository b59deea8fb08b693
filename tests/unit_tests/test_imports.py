"""Imports point one way, and `langchain_toolstream/__init__.py` is the only public door."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

PACKAGE = "langchain_toolstream"
ROOT = Path(__file__).parents[2] / PACKAGE

# What each room of the package may import of the others; a room may always import itself.
# The public door itself (`__init__`) may import anything, and only `cli` may go through it.
ALLOWED: dict[str, set[str]] = {
    "core": set(),
    "json_values": set(),
    "schema": {"core"},
    "streams": {"core"},
    "views": {"core", "schema"},
    "parsers": {"core", "schema", "streams", "views"},
    "compat": {"core", "schema", "streams", "views", "parsers"},
    "vllm": {"core", "json_values", "schema", "streams", "views"},
    "tools": {"core", "schema", "streams", "parsers"},
    "consume": {"core", "schema", "streams", "parsers"},
    "frontend": {"core", "json_values", "schema", "streams"},
    "agents": {"core", "schema", "parsers", "tools", "consume"},
    "timeline": {"core"},
    "testing": {"json_values"},
}
ALLOWED["cli"] = {*ALLOWED, "__init__"}

# The core is told what happens and when; it never waits, asks the time or does I/O.
NOT_IN_CORE = {"asyncio", "datetime", "selectors", "socket", "subprocess", "threading", "time"}

# Only an extra brings these, so `import langchain_toolstream` must do without.
EXTRAS = {"ag_ui", "langchain", "langgraph", "rich", "starlette", "uvicorn"}


def room_of(path: Path) -> str:
    """The row of `ALLOWED` that a file belongs to: its first name under the package."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_names(path: Path) -> Iterator[tuple[str, str]]:
    """Yield `file:line` and dotted name of each import of a file, wherever it stands in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                names = [alias.name for alias in node.names]
            case ast.ImportFrom(module=module, level=level):
                names = [f"{'.' * level}{module or ''}.{alias.name}" for alias in node.names]
            case _:
                continue
        for name in names:
            yield f"{path.relative_to(ROOT)}:{node.lineno}", name


def ours(name: str) -> str | None:
    """The room of the package that an import of `name` reaches, or `None` if it is not ours.

    A relative import reaches a room that no row allows: itself.
    """
    if name.startswith("."):
        return name
    package, _, rest = name.partition(".")
    if package != PACKAGE:
        return None
    part = rest.partition(".")[0]
    is_part = (ROOT / part).is_dir() or (ROOT / f"{part}.py").is_file()
    return part if part and is_part else "__init__"


def test_every_room_has_a_row() -> None:
    rooms = {room_of(path) for path in ROOT.rglob("*.py")}
    assert rooms == {*ALLOWED, "__init__"}


def test_imports_point_inward() -> None:
    wrong = [
        f"{place}: {room_of(path)} may not import {name}"
        for path in sorted(ROOT.rglob("*.py"))
        if room_of(path) != "__init__"
        for place, name in imported_names(path)
        if (target := ours(name)) and target not in {room_of(path), *ALLOWED.get(room_of(path), ())}
    ]
    assert not wrong, "\n".join(wrong)


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    return {
        ".".join((PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in ROOT.rglob("*.py")
    }


def test_no_module_imports_itself_through_others() -> None:
    known = modules()
    imports = {
        module: [
            name if name in known else name.rpartition(".")[0]
            for _, name in imported_names(path)
            if ours(name)
        ]
        for module, path in known.items()
    }
    order = TopologicalSorter(imports)
    try:
        order.prepare()
    except CycleError as circle:
        pytest.fail(" <- ".join(circle.args[1]))


def test_core_is_standard_library_only() -> None:
    permitted = {*sys.stdlib_module_names, PACKAGE} - NOT_IN_CORE
    wrong = [
        f"{place}: {name}"
        for path in sorted((ROOT / "core").rglob("*.py"))
        for place, name in imported_names(path)
        if name.partition(".")[0] not in permitted
    ]
    assert not wrong, "\n".join(wrong)


def test_all_is_sorted_and_complete() -> None:
    package = import_module(PACKAGE)
    names = list(package.__all__)
    assert names == sorted(set(names))
    public = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert {name for name in names if name != "__version__"} == public
    assert all(hasattr(package, name) for name in names)


def test_the_door_holds_nothing_else() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    for node in tree.body[1:]:
        match node:
            case ast.Import() | ast.ImportFrom():
                pass
            case (
                ast.Assign(targets=[ast.Name(id="__all__" | "__version__")])
                | ast.AnnAssign(target=ast.Name(id="__all__" | "__version__"))
            ):
                pass
            case _:
                raise AssertionError(f"__init__.py:{node.lineno}: {ast.unparse(node)}")


def test_importing_the_package_needs_no_extra() -> None:
    code = f"import sys, {PACKAGE}; print(*sorted({EXTRAS!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
