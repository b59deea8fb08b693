"""What is printed: ratios first, µs second, and whether the requirements hold."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PEERS = ("langchain-core", "pydantic-core", "jiter")


@dataclass(frozen=True)
class Requirement:
    """Something that must hold, and what was measured."""

    name: str
    measured: float
    bound: float
    at_least: bool

    @property
    def holds(self) -> bool:
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound

    def __str__(self) -> str:
        verdict = "PASS" if self.holds else "FAIL"
        sign = ">=" if self.at_least else "<="
        return f"  {verdict}  {self.name}: {ratio(self.measured)} (required {sign} {self.bound:g}x)"


@dataclass
class Report:
    """Prints as it goes, and keeps the numbers."""

    results: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    requirements: list[Requirement] = field(default_factory=list)

    def title(self, text: str) -> None:
        print(f"\n{text}\n")

    def note(self, text: str) -> None:
        print(f"  {text}")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table, its first column to the left, the others to the right."""
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        for row in (head, *rows):
            first, *others = (
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            print("  " + "   ".join([first, *others]).rstrip())
        print()

    def keep(self, section: str, row: str, microseconds: dict[str, float]) -> None:
        """Keep what was measured, in µs per delta, for the JSON file."""
        self.results.setdefault(section, {})[row] = microseconds

    def require(
        self, name: str, measured: float, *, at_least: float = 0, at_most: float = 0
    ) -> None:
        requirement = Requirement(name, measured, at_least or at_most, bool(at_least))
        self.requirements.append(requirement)
        print(requirement)

    @property
    def failed(self) -> list[Requirement]:
        return [requirement for requirement in self.requirements if not requirement.holds]

    def write(self, path: Path, *, quick: bool) -> None:
        data: dict[str, Any] = {
            "python": platform.python_version(),
            "versions": {name: version(name) for name in _PEERS},
            "quick": quick,
            "microseconds": self.results,
            "requirements": [asdict(r) | {"holds": r.holds} for r in self.requirements],
        }
        path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def versions() -> str:
    peers = ", ".join(f"{name} {version(name)}" for name in _PEERS)
    return f"Python {platform.python_version()}, {peers}"


def ratio(value: float) -> str:
    return f"{value:,.0f}x" if value >= 99.5 else f"{value:.3g}x"


def us(value: float) -> str:
    return f"{value:,.0f} µs" if value >= 99.5 else f"{value:.3g} µs"
