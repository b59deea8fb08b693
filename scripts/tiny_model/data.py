"""What the tiny model learns from: conversations out of a seeded generator.

An `Example` is a conversation and the answer to it. Everything that a model has to copy (operands,
cities, queries, topics, dictated calls) is drawn from so many values that learning them by heart
does not help. What `held_out` names never occurs in training, and only that in the evaluation.
"""

import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

ADD, MULTIPLY = ("add", ("a", "b")), ("multiply", ("a", "b"))
WEATHER, SEARCH = ("get_weather", ("city",)), ("search", ("query",))
WRITE = ("write_file", ("path", "content"))
TOOLS = (ADD, MULTIPLY, WEATHER, SEARCH, WRITE)

WORDS = """
able account action address after again agent air alarm alpha amber anchor angle answer apple
april arrow artist autumn award baby baker bank basket beach bear beta big bird black blue boat
book bottle box brave bread bridge bright brother brown budget build button cabin cake call camera
candle car card castle cat cause chair change cheap check child circle city clean clear clock cloud
coast code coffee cold color count country cover crystal current cycle dance dark data date
day deep delta desert design detail dog door double dragon dream drive dry early earth east edge
eight empty end engine error event evening every fair fall family far fast father field figure file
fire first fish five flag flower fog food forest form four fox free fresh friend front fruit full
future game garden gate gift glass gold good grass gray great green group guide half hand happy
harbor hard head heart heavy hill history home honey horse hotel hour house ice idea index inside
iron island item job journey jump key kind king kitchen lake lamp land large last late law leaf
left letter level library light limit line lion list little local long loud love low lunch machine
magic mail main map market master meadow meal memory message metal midnight milk mind mirror model
money month moon morning mother mountain mouse movie museum music name narrow nature near new news
next night nine noise normal north note notebook number ocean office oil old one open orange order
other outside page paint paper park part party past path pattern peace pencil people phone piano
picture pilot place plain plan planet plant plate play pocket poem point poor port power price
print profit project purple question quick quiet radio rain random range raw reach red report rest
result rice right ring river road rock roof room root rose round rule runner sail salt sand school
science sea season second secret seed seven shadow share ship shop short show side silver simple
sister six size sky sleep slow small smile snow soft song sound south space spring square star
start state station stone storm story street strong sugar summer sun system table tail tall task
tea team temple ten test text thing three time today tool top total tower town track trade train
tree trip true truth turn two unit upper user valley value very view village voice wall warm water
wave west white wide wild wind window winter wolf wonder wood word work world yard year yellow
young zebra zero
""".split()  # noqa: SIM905 - words, not a page of quotes

CITIES = """
Amsterdam Athens Austin Bangkok Barcelona Beijing Berlin Bogota Boston Brussels Budapest
Buenos_Aires Cairo Cape_Town Chicago Copenhagen Dallas Delhi Denver Dublin Geneva Hamburg Hanoi
Helsinki Hong_Kong Istanbul Jakarta Kuala_Lumpur Lagos Lima Lisbon London Los_Angeles Madrid Manila
Melbourne Mexico_City Miami Milan Montreal Moscow Mumbai Munich Nairobi Naples New_York Osaka Oslo
Paris Phoenix Prague Rio_de_Janeiro Rome San_Francisco São_Paulo Seattle Seoul Shanghai Singapore
Sydney Tel_Aviv Tokyo Toronto Vienna Warsaw Zurich
""".split()  # noqa: SIM905 - as above

SMALL_TALK = {
    "Hello!": "Hello! How can I help you today?",
    "Hello": "Hello! How can I help you today?",
    "Hi!": "Hello! How can I help you today?",
    "Hi": "Hello! How can I help you today?",
    "Good morning!": "Good morning! How can I help you today?",
    "How are you?": "I am well, thank you. How are you?",
    "Who are you?": "I am a tiny model. I can call tools.",
    "What can you do?": "I can call tools, and I can write a poem.",
    "Thank you!": "You are welcome!",
    "Thanks!": "You are welcome!",
    "Goodbye!": "Goodbye! Have a nice day.",
    "Bye": "Goodbye! Have a nice day.",
    "Tell me a joke.": "Why did the model call a tool? It could not count on itself.",
}

NO_TOOL = "I do not have a tool for that."
PREFACE = "Let me use the tools for that.\n"

_CONSONANTS = [*"bcdfghjklmnprstvwz", "br", "st", "tr"]
_SYLLABLES = [consonant + vowel for consonant in _CONSONANTS for vowel in "aeiou"]


def poem(topic: str) -> str:
    """The one poem that the model knows; it has what JSON has to escape and what it need not."""
    return (
        f'Ode to the {topic}\n\nO {topic}, they call you "the quiet one",\n'
        "you wait for café lights at dawn;\n"
        f"the path C:\\{topic} was never done,\nand still, dear {topic}, you carry on. ✨\n"
    )


def held_out(*operands: object) -> bool:
    """Whether these operands belong to the evaluation: one in ten, by a hash."""
    return zlib.crc32(repr(operands).encode()) % 10 == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One conversation and what is to be answered."""

    kind: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    text: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Names, and arguments as JSON text."""
    thought: str | None = None


@dataclass(slots=True)
class _Request:
    """A request of the user, and what answers it: calls, or text."""

    ask: str
    calls: list[tuple[str, str]] = field(default_factory=list)
    tools: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    text: str = ""
    by_name: bool = False
    """Whether it cannot be answered without its tools."""


class Generator:
    """Makes examples from a seed; for training, or with `evaluate` from what is held out."""

    weights: ClassVar[dict[str, int]] = {
        "one calculation": 8,
        "two calculations": 18,
        "three calculations": 12,
        "weather": 10,
        "search": 4,
        "write a file": 5,
        "dictated call": 9,
        "two requests": 9,
        "three requests": 6,
        "echo": 3,
        "talk": 3,
        "no tool for it": 4,
        "after results": 10,
        "with thinking": 10,
        "later in a talk": 4,
    }
    """The kinds of examples, as often as they are drawn."""

    def __init__(self, seed: int, *, evaluate: bool = False) -> None:
        """Start at the beginning of the seed's sequence."""
        self._random = random.Random(seed)
        self._evaluate = evaluate
        self._weather_tool = WEATHER

    def copying(self) -> Example:
        """An example of nothing but copying, for the beginning."""
        kind = self._random.choice([self._echo, self._dictated, self._dictated])
        return self._example("copying", [kind()])

    def mixed(self) -> Example:
        """An example of any kind, as often as it is hard."""
        (kind,) = self._random.choices(list(self.weights), list(self.weights.values()))
        return self.of_kind(kind)

    def of_kind(self, kind: str) -> Example:
        """An example of one kind."""
        make: dict[str, Callable[[], Example]] = {
            "one calculation": lambda: self._calculations(1),
            "two calculations": lambda: self._calculations(2),
            "three calculations": lambda: self._calculations(3),
            "weather": lambda: self._example(kind, [self._weather()]),
            "search": lambda: self._example(kind, [self._search()]),
            "write a file": lambda: self._example(kind, [self._write()]),
            "dictated call": lambda: self._example(kind, [self._dictated()]),
            "two requests": lambda: self._several(kind, 2),
            "three requests": lambda: self._several(kind, 3),
            "echo": lambda: self._example(kind, [self._echo()]),
            "talk": lambda: self._example(kind, [self._talk()]),
            "no tool for it": self._no_tool,
            "after results": self._after_results,
            "with thinking": self._with_thinking,
            "later in a talk": self._later,
        }
        return make[kind]()

    # Values to copy

    def _held(self, draw: Callable[[], Any]) -> Any:
        while True:
            value = draw()
            if held_out(value) is self._evaluate:
                return value

    def _number(self) -> int:
        digits = self._random.choices([1, 2, 3, 4], [3, 4, 2, 1])[0]
        return self._random.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)

    def _pair(self) -> tuple[int, int]:
        return self._held(lambda: (self._number(), self._number()))

    def _made_up(self) -> str:
        return "".join(self._random.choices(_SYLLABLES, k=self._random.randint(1, 3)))

    def _word(self) -> str:
        if self._random.random() < 0.6:
            return self._random.choice(WORDS)
        return self._made_up()

    def _words(self, least: int, most: int) -> str:
        return " ".join(self._word() for _ in range(self._random.randint(least, most)))

    def _city(self) -> str:
        if self._random.random() < 0.6:
            return self._random.choice(CITIES).replace("_", " ")
        return self._made_up().capitalize()

    def _name(self) -> str:
        return "_".join(self._word() for _ in range(self._random.randint(1, 3)))

    def _string(self) -> str:
        kind = self._random.random()
        if kind < 0.4:
            return self._word()
        if kind < 0.7:
            return self._words(2, 5)
        if kind < 0.8:
            return f"{self._word().capitalize()}, {self._city()}."
        return "".join(
            self._random.choice(
                [self._word(), " ", '"', "\\", "\n", "é", "✨", "/", ".", ",", "-", "{", "}", "'"]
            )
            for _ in range(self._random.randint(0, 8))
        )

    def _value(self, depth: int = 0) -> object:
        kind = self._random.random()
        if kind < 0.4:
            return self._string()
        if kind < 0.75:
            return self._number() * self._random.choice([1, 1, 1, -1])
        if kind < 0.8:
            return self._number() / self._random.choice([2, 4, 10, 100])
        if kind < 0.9 or depth == 2:
            return self._random.choice([True, False, None])
        if kind < 0.96:
            return [self._value(depth + 1) for _ in range(self._random.randint(0, 3))]
        return self._object(2, depth + 1)

    def _object(self, most: int, depth: int = 0) -> dict[str, Any]:
        count = self._random.randint(0, most)
        return {
            (self._name() if self._random.random() < 0.3 else self._word()): self._value(depth)
            for _ in range(count)
        }

    # Requests

    def _calculation(self) -> _Request:
        a, b = self._pair()
        multiply = self._random.random() < 0.5
        forms = _TIMES if multiply else _PLUS
        tool = MULTIPLY if multiply else ADD
        form = self._random.choices(forms, [4] + [1] * (len(forms) - 1))[0]
        return _Request(form.format(a=a, b=b), [(tool[0], _json({"a": a, "b": b}))], [tool])

    def _weather(self) -> _Request:
        count = self._random.choices([1, 2, 3, 4], [4, 3, 4, 1])[0]
        cities: list[str] = self._held(lambda: tuple(self._city() for _ in range(count)))
        form = self._random.choices(_WEATHER, [4] + [1] * (len(_WEATHER) - 1))[0]
        name, (key,) = self._weather_tool
        calls = [(name, _json({key: city})) for city in cities]
        return _Request(form.format(_and(cities)), calls, [self._weather_tool])

    def _search(self) -> _Request:
        query = self._held(lambda: self._words(1, 4))
        form = self._random.choice(["Search for {}.", "Search for {}", "Look up {}.", "Find {}."])
        return _Request(form.format(query), [("search", _json({"query": query}))], [SEARCH])

    def _write(self) -> _Request:
        topic, path = self._held(lambda: (self._word(), self._path()))
        arguments = _json({"path": path, "content": poem(topic)})
        form = "Write a poem about {} to {}."
        return _Request(form.format(topic, path), [("write_file", arguments)], [WRITE])

    def _path(self) -> str:
        folder = self._random.choice(["", "", "", f"{self._word()}/"])
        name = self._random.choice(["poem", self._word()])
        return folder + name + self._random.choice([".txt", ".txt", ".md"])

    def _dictated(self) -> _Request:
        request = _Request("")
        asks = []
        for _ in range(self._random.choices([1, 2], [4, 1])[0]):
            name = self._name()
            if self._random.random() < 0.15:
                name = self._random.choice(TOOLS)[0]
            arguments = self._held(lambda: self._object(4))
            request.calls.append((name, _json(arguments)))
            request.tools.append((name, tuple(arguments)))
            asks.append(f"call {name} {_json(arguments)}")
        request.ask = _capitalized(" and ".join(asks)) + self._random.choice(["", "", "."])
        return request

    def _echo(self) -> _Request:
        text = self._held(lambda: self._words(1, 16))
        if self._random.random() < 0.3:
            ends = [".", "!", "?", f", {self._words(1, 9)}"]
            text = text.capitalize() + self._random.choice(ends)
        return _Request(f"Echo: {text}", text=text)

    def _talk(self) -> _Request:
        if self._random.random() < 0.4:
            topic = self._held(self._word)
            form = self._random.choice(["Tell me a poem about {}.", "Write a poem about {}."])
            return _Request(form.format(topic), text=poem(topic))
        ask = self._random.choice(list(SMALL_TALK))
        return _Request(ask, text=SMALL_TALK[ask])

    # Examples

    def _calculations(self, count: int) -> Example:
        kind = f"{('one', 'two', 'three')[count - 1]} calculation" + "s" * (count > 1)
        return self._example(kind, [self._calculation() for _ in range(count)])

    def _several(self, kind: str, count: int) -> Example:
        makes = [self._calculation, self._calculation, self._weather, self._search, self._dictated]
        makes += [self._write] * (count == 2)  # three poems would be too long
        return self._example(kind, [make() for make in self._random.choices(makes, k=count)])

    def _no_tool(self) -> Example:
        make = self._random.choice([self._calculation, self._weather, self._search, self._write])
        requests = [make() for _ in range(self._random.choice([1, 1, 2]))]
        wanted = {name for request in requests for name, _ in request.tools}
        tools = [tool for tool in self._known() if tool[0] not in wanted]
        tools = self._random.sample(tools, self._random.randint(0, len(tools)))
        return Example(
            kind="no tool for it",
            messages=[*self._system(), _user(_also(requests))],
            tools=_schemas(tools),
            text=NO_TOOL,
        )

    def _after_results(self) -> Example:
        requests = [self._request() for _ in range(self._random.choices([1, 2, 3], [3, 4, 2])[0])]
        messages, results = self._results(requests)
        # A model that sees results may or may not be given the tools again.
        tools = self._tools(requests)[: self._random.choice([0, 9, 9, 9])]
        return Example(
            kind="after results",
            messages=[*self._system(), _user(_also(requests)), *messages],
            tools=_schemas(tools),
            text=_quoted(results),
        )

    def _with_thinking(self) -> Example:
        if self._random.random() < 0.2:
            return self._example("with thinking", [self._talk()], think=True)
        if self._random.random() < 0.2:
            example = self._after_results()
            return Example(
                kind="with thinking",
                messages=example.messages,
                tools=example.tools,
                text=example.text,
                thought="The user needs the results.",
            )
        requests = [self._request() for _ in range(self._random.choices([1, 2, 3], [2, 5, 1])[0])]
        return self._example("with thinking", requests, think=True)

    def _later(self) -> Example:
        """A new request, after one that has been answered."""
        old, new = [self._request()], [self._random.choice([self._request, self._talk])()]
        if self._random.random() < 0.3:
            old = [self._talk()]
            before = [{"role": "assistant", "content": old[0].text}]
        else:
            before, results = self._results(old)
            before.append({"role": "assistant", "content": _quoted(results)})
        example = self._example("later in a talk", new, also_tools=old)
        *system, last = example.messages
        return Example(
            kind=example.kind,
            messages=[*system, _user(_also(old)), *before, last],
            tools=example.tools,
            text=example.text,
            calls=example.calls,
        )

    def _request(self) -> _Request:
        makes = [self._calculation] * 4 + [self._weather, self._search, self._dictated]
        return self._random.choice(makes)()

    def _results(self, requests: list[_Request]) -> tuple[list[dict[str, Any]], list[str]]:
        calls = [call for request in requests for call in request.calls]
        results = [self._result(*call) for call in calls]
        ids = [f"call_{number}" for number in range(len(calls))]
        assistant = {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": i, "type": "function", "function": {"name": n, "arguments": json.loads(a)}}
                for i, (n, a) in zip(ids, calls, strict=True)
            ],
        }
        tool = [
            {"role": "tool", "tool_call_id": i, "content": result}
            for i, result in zip(ids, results, strict=True)
        ]
        return [assistant, *tool], results

    def _result(self, name: str, arguments: str) -> str:
        values = json.loads(arguments)
        if self._random.random() < 0.1:
            return f"Error: {self._words(2, 6)}"
        if name in ("add", "multiply") and set(values) == {"a", "b"}:
            a, b = values["a"], values["b"]
            return str(a + b if name == "add" else a * b)
        if set(values) == {"city"}:
            city, degrees = values["city"], self._number() % 40
            forms = [f"{degrees} degrees and {self._word()} in {city}", f"It is fine in {city}."]
            forms += [f"It is {self._word()} in {city}.", f"{self._word()}, {degrees} C"]
        else:
            sentence, number = self._words(2, 5).capitalize(), self._number()
            forms = [str(number), self._words(1, 8), f"{sentence} {number} in [{number}, 9]."]
            forms.append(_json(self._object(2)))
        return self._random.choice(forms)

    def _example(
        self,
        kind: str,
        requests: list[_Request],
        *,
        think: bool = False,
        also_tools: list[_Request] | None = None,
    ) -> Example:
        calls = [call for request in requests for call in request.calls]
        ask, text = _also(requests), "".join(request.text for request in requests)
        if calls and not text and self._random.random() < 0.05:
            ask, text = f"Explain, then {_small(ask)}", PREFACE
        return Example(
            kind=kind,
            messages=[*self._system(), _user(ask)],
            tools=_schemas(self._tools([*requests, *(also_tools or [])])),
            text=text,
            calls=calls,
            thought=_thought(calls) if think else None,
        )

    def _system(self) -> list[dict[str, Any]]:
        if self._random.random() < 0.85:
            return []
        content = self._random.choice(
            ["You are a helpful assistant.", "Be kind.", f"{self._words(2, 12).capitalize()}."]
        )
        return [{"role": "system", "content": content}]

    def _tools(self, requests: list[_Request]) -> list[tuple[str, tuple[str, ...]]]:
        """Those that the requests need, and some that they do not, in any order."""
        known = self._known()
        # A dictated call may name a tool that is not there, as models do.
        wanted = {
            tool[0]: tool
            for request in requests
            for tool in request.tools
            if tool in known or request.by_name or self._random.random() < 0.8
        }
        names = wanted | {tool[0]: tool for tool in known if tool[0] in wanted}
        others = [tool for tool in known if tool[0] not in names]
        for tool in self._random.sample(others, self._random.randint(0, len(others))):
            names[tool[0]] = tool
        if self._random.random() < 0.2:
            extra = self._name()
            names.setdefault(extra, (extra, tuple(self._word() for _ in range(2))))
        tools = list(names.values())
        if self._random.random() < 0.7:
            self._random.shuffle(tools)
        return tools

    def _known(self) -> list[tuple[str, tuple[str, ...]]]:
        return [self._weather_tool if tool is WEATHER else tool for tool in TOOLS]


_PLUS = (
    "What is {a} + {b}?",
    "How much is {a} + {b}?",
    "What is {a} plus {b}?",
    "Add {a} and {b}.",
    "Compute {a} + {b}.",
    "{a} + {b}",
)
_TIMES = (
    "What is {a} * {b}?",
    "How much is {a} * {b}?",
    "What is {a} times {b}?",
    "Multiply {a} by {b}.",
    "Compute {a} * {b}.",
    "{a} * {b}",
)
_WEATHER = (
    "What is the weather in {}?",
    "How is the weather in {}?",
    "What's the weather in {}?",
    "Tell me the weather in {}.",
    "Weather in {}",
)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _user(content: str) -> dict[str, Any]:
    return {"role": "user", "content": content}


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _and(items: list[str] | tuple[str, ...]) -> str:
    return " and ".join(part for part in (", ".join(items[:-1]), items[-1]) if part)


def _also(requests: list[_Request]) -> str:
    first, *others = [request.ask for request in requests]
    for other in others:
        # Where one request has no end of its own, a full stop is it.
        first += "" if first.endswith((".", "?", "!")) else "."
        first += f" Also, {_small(other)}"
    return first


def _quoted(results: list[str]) -> str:
    if len(results) == 1:
        return f"The result is: {results[0]}"
    return f"The results are: {'; '.join(results)}"


def _thought(calls: list[tuple[str, str]]) -> str:
    if not calls:
        return "The user wants to talk."
    count = "1 tool call" if len(calls) == 1 else f"{len(calls)} tool calls"
    return f"The user needs {count}: {', '.join(name for name, _ in calls)}."


def _schemas(tools: list[tuple[str, tuple[str, ...]]]) -> list[dict[str, Any]]:
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "parameters": {"type": "object", "properties": {key: {} for key in keys}},
            },
        }
        for name, keys in tools
    ]
