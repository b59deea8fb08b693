"""What the second tiny model learns on top of the first: to call any tool that it is shown.

The names of tools and of their parameters are drawn like values, so the model has to find them in
the list of tools. Some texts are in scripts whose characters are several tokens each.
"""

import json
from typing import ClassVar

from data import SMALL_TALK, Example, Generator, _capitalized, _json, _Request

# First and last character of a run, as often as it is drawn.
_SCRIPTS = {
    ("一", "鿿"): 4,  # Chinese
    ("ぁ", "ん"): 2,  # Hiragana
    ("ァ", "ヶ"): 1,  # Katakana
    ("가", "힣"): 1,  # Korean
    ("а", "я"): 1,  # noqa: RUF001 - Cyrillic is meant
    ("α", "ω"): 1,  # noqa: RUF001 - and Greek
}
_GLOSSES = ("Hello Group", "Hello Corporation")
_ABOUT_CITIES = ("city", "city", "location", "place")


class ByNameGenerator(Generator):
    """Makes examples of calls of any tool, besides those of `Generator`."""

    weights: ClassVar[dict[str, int]] = Generator.weights | {
        "by name": 18,
        "record": 8,
        "as JSON": 6,
    }

    def of_kind(self, kind: str) -> Example:
        """An example of one kind."""
        make = {
            "by name": self._by_name,
            "record": self._record,
            "as JSON": self._as_json,
        }
        self._weather_tool = ("get_weather", (self._random.choice(_ABOUT_CITIES),))
        return self._example(kind, [make[kind]()]) if kind in make else super().of_kind(kind)

    def _by_name(self) -> _Request:
        """A call by the tool's name and its values; the list of tools has the parameters' names."""
        count = self._random.choices([0, 1, 2, 3], [3, 6, 3, 1])[0]
        keys = self._keys(count)
        if count == 1 and self._random.random() < 0.3:
            noun, value = self._word(), self._held(self._word)
            name = f"{noun}_{self._random.choice(['generator', 'maker', self._word()])}"
            ask = f"Using the tool, generate a {_capitalized(value)} {noun}."
            values = [_capitalized(value)]
        else:
            name, values = self._held(
                lambda: (self._tool_name(), [self._scalar() for _ in range(count)])
            )
            form = self._random.choice(
                [
                    "What is the value of {}? Use the tool.",
                    "What is the value of {}? Use the tool.",
                    "What is {}?",
                    "Use the tool: {}.",
                    "Run {}.",
                ]
            )
            ask = form.format(f"{name}({', '.join(_json(value) for value in values)})")
        arguments = _json(dict(zip(keys, values, strict=True)))
        return _Request(ask, [(name, arguments)], [(name, keys)], by_name=True)

    def _record(self) -> _Request:
        noun = self._word()
        name = self._held(self._foreign)
        what = self._held(lambda: self._words(1, 4))
        description = f"{self._random.choice(['a', 'a', 'the'])} {what}"
        gloss = ""
        if self._random.random() < 0.6:
            other = f"{self._word().capitalize()} {self._word().capitalize()}"
            gloss = f" ({self._random.choice([*_GLOSSES, other])})"
        tool = f"{self._random.choice(['unicode', 'create', 'new', self._word()])}_{noun}"
        keys = (
            self._random.choice([f"{noun}_name", f"{noun}_name", "name"]),
            self._random.choice(["description", "description", self._word()]),
        )
        arguments = _json(dict(zip(keys, (name, description), strict=True)))
        ask = f"Create a {noun} named '{name}'{gloss} - {description}"
        return _Request(ask, [(tool, arguments)], [(tool, keys)], by_name=True)

    def _as_json(self) -> _Request:
        topic = self._held(self._word)
        keys = self._keys(self._random.randint(1, 3))
        values = (f"Why did the {topic} call a tool?", "It could not count on itself.", topic)
        asked = [f"'{key}'" for key in keys]
        listed = " and ".join(part for part in (", ".join(asked[:-1]), asked[-1]) if part)
        # vLLM's grammar for JSON writes it with these separators, where white space is disabled.
        text = json.dumps(dict(zip(keys, values, strict=False)), separators=(", ", ":"))
        return _Request(
            f"Tell me a joke about {topic}. Return the result as a JSON with {listed} "
            f"key{'s' * (len(keys) > 1)}. Return nothing other than JSON.",
            text=text,
        )

    def _talk(self) -> _Request:
        request = super()._talk()
        if request.ask in SMALL_TALK and self._random.random() < 0.2:
            request.ask = request.ask.lower()
        return request

    def _tool_name(self) -> str:
        ends = ["", "", "", "", "_function", "_function_no_args", "_tool"]
        return self._name() + self._random.choice(ends)

    def _scalar(self) -> object:
        kind = self._random.random()
        if kind < 0.6:
            return self._number() * self._random.choice([1, 1, 1, -1])
        if kind < 0.9:
            return self._words(1, 3)
        return self._random.choice([True, False, None])

    def _keys(self, count: int) -> tuple[str, ...]:
        keys: list[str] = []
        while len(keys) < count:
            key = self._name() if self._random.random() < 0.3 else self._word()
            if key not in keys:
                keys.append(key)
        return tuple(keys)

    def _foreign(self) -> str:
        if self._random.random() < 0.15:
            return self._words(1, 3)
        runs = self._random.choices(list(_SCRIPTS), list(_SCRIPTS.values()), k=2)
        return "".join(
            chr(self._random.randint(ord(first), ord(last)))
            for first, last in runs
            for _ in range(self._random.randint(1, 5))
        )
