"""The page's tools: two that only read, and two that do something."""

import time
from base64 import b64encode
from collections.abc import Generator
from html import escape
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from langchain_core.tools import ToolException
from pydantic import BaseModel, Field

from langchain_toolstream import ToolSet, artifact_tool

Rows = list[dict[str, Any]]

# Shelves of poems, by what they are about.
LIBRARY: dict[str, dict[str, dict[str, Any]]] = {
    "Songs": {
        "river boats": {
            "title": "Where Go the Boats?",
            "poet": "Robert Louis Stevenson",
            "year": 1885,
        },
        "wind": {
            "title": "Who Has Seen the Wind?",
            "poet": "Christina Rossetti",
            "year": 1872,
        },
    },
    "Victorians": {
        "river brook": {"title": "The Brook", "poet": "Alfred Tennyson", "year": 1855},
    },
    "Lyric": {
        "river sea": {"title": "The River", "poet": "Sara Teasdale", "year": 1915},
    },
    "Harlem": {
        "river history": {
            "title": "The Negro Speaks of Rivers",
            "poet": "Langston Hughes",
            "year": 1921,
        },
    },
}

# Mean temperature of each month in °C, January first; WMO normals, rounded.
CLIMATE = {
    "Berlin": [1, 2, 5, 10, 14, 18, 20, 20, 15, 10, 5, 2],
    "London": [6, 6, 8, 10, 14, 17, 19, 19, 16, 13, 9, 6],
    "Madrid": [6, 8, 11, 13, 18, 23, 26, 26, 21, 15, 10, 7],
    "Oslo": [-4, -3, 1, 6, 12, 16, 18, 17, 12, 6, 1, -3],
    "Paris": [5, 6, 9, 12, 16, 19, 21, 21, 17, 13, 9, 6],
    "Rome": [8, 9, 11, 14, 18, 22, 25, 25, 22, 17, 13, 9],
    "Tokyo": [5, 6, 9, 14, 19, 22, 26, 27, 23, 18, 13, 8],
}


def titles(rows: Rows) -> str:
    return f"{len(rows)} poems: {', '.join(row['title'] for row in rows)}." if rows else "No poems."


@artifact_tool(read_only=True, summary=titles)
def search(query: str) -> Generator[str, None, Rows]:
    """Search a small library, shelf by shelf, as slowly as a search engine."""
    words = query.lower().split()
    found: Rows = []
    for number, (shelf, poems) in enumerate(LIBRARY.items(), start=1):
        yield f"Shelf {number} of {len(LIBRARY)}: {shelf}"
        time.sleep(0.3)
        found += [poem for about, poem in poems.items() if any(word in about for word in words)]
    return found


@artifact_tool(read_only=True)
def get_weather(city: str) -> tuple[str, dict[str, Any]]:
    """Say how the weather is: what the city's climate says."""
    time.sleep(0.5)
    months = CLIMATE.get(city)
    if months is None:
        raise ToolException(f"There is no climate table for {city!r}.")
    coldest, warmest = min(months), max(months)
    return f"{city}: from {coldest} °C to {warmest} °C.", {
        "type": "image",
        "mime_type": "image/svg+xml",
        "base64": b64encode(chart(city, months).encode()).decode(),
        "extras": {"alt": f"Mean temperatures in {city}, from {coldest} to {warmest} °C"},
    }


def chart(city: str, months: list[int]) -> str:
    """Draw a bar for each month."""
    bars = []
    for month, degrees in enumerate(months):
        x, height = 14 + 26 * month, 2.5 * abs(degrees)
        top = 94 - max(2.5 * degrees, 0)
        bars.append(
            f'<rect x="{x}" y="{top:g}" width="18" height="{height:g}" rx="2" fill="#0d9488"/>'
            f'<text x="{x + 9}" y="{top - 5:g}" fill="#64748b">{degrees}</text>'
            f'<text x="{x + 9}" y="120" fill="#64748b">{"JFMAMJJASOND"[month]}</text>'
        )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 332 128" width="332" height="128" '
        'font-family="sans-serif" font-size="10" text-anchor="middle">'
        f"<title>{escape(city)}</title>"
        f'<rect width="332" height="128" rx="6" fill="#f8fafc"/>{"".join(bars)}</svg>'
    )


@artifact_tool
def write_file(path: str, content: str) -> tuple[str, dict[str, Any]]:
    """Write a text file; here, one for the browser to download."""
    name = PurePosixPath(path).name
    return f"Wrote {len(content)} characters to {name}.", {
        "type": "file",
        "mime_type": "text/plain",
        "base64": b64encode(content.encode()).decode(),
        "extras": {"filename": name},
    }


class Traveller(BaseModel):
    name: Literal["Ada", "Grace", "Alan"]
    window_seat: bool


class Stop(BaseModel):
    city: Literal["Berlin", "London", "Madrid", "Oslo", "Paris", "Rome", "Tokyo"]
    by: Literal["train", "ferry", "bus"]
    nights: int = Field(ge=1, le=9)


@artifact_tool
def plan_trip(
    traveller: Traveller,
    stops: Annotated[list[Stop], Field(min_length=2, max_length=2)],
    budget: int,
) -> tuple[str, Rows]:
    """Plan a trip."""
    nights = sum(stop.nights for stop in stops)
    left = budget - 100 * nights
    return f"{nights} nights for {traveller.name}, {left} left of {budget}.", [
        stop.model_dump() for stop in stops
    ]


TOOLS = ToolSet([search, get_weather, write_file, plan_trip])
