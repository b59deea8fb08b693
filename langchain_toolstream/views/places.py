"""What may stand at each place of a value, for values that are still being written.

`schema_places.py` takes a schema apart into these.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from pydantic_core import CoreConfig

from langchain_toolstream.core.errors import JSONPath
from langchain_toolstream.schema.problems import shown

Part = Any
"""A `CoreSchema`. Its type is a union of dicts that no checker tells apart by their `type`."""


class Whole(Protocol):
    """A whole schema, which its parts may refer to."""

    def validator(self, schema: Part, config: CoreConfig | None) -> Callable[[Any], Any]:
        """Compile a part."""
        ...

    def is_bare(self, schema: Part) -> bool:
        """Whether a part asks nothing of an object or list but of its members."""
        ...


class Refusal(Exception):  # noqa: N818 - it is a value that travels, not an error of ours
    """A place that no value may stand at."""

    def __init__(self, reason: str) -> None:
        """Say why not."""
        super().__init__(reason)
        self.reason = reason


class Kind:
    """What a finished value has to be.

    Attributes:
        grows: Whether a string may be shown here before it is finished.
    """

    __slots__ = ("_config", "_is_bare", "_schema", "_validate", "_whole", "grows")

    def __init__(
        self, whole: Whole, schema: Part, config: CoreConfig | None, *, grows: bool
    ) -> None:
        self._whole = whole
        self._schema = schema
        self._config = config
        self._validate: Callable[[Any], Any] | None = None
        self._is_bare: bool | None = None
        self.grows = grows

    def validate(self, value: Any) -> Any:
        """Make of a finished value what it stands for.

        Raises:
            ValidationError: It does not fit.
        """
        if self._validate is None:
            self._validate = self._whole.validator(self._schema, self._config)
        return self._validate(value)

    @property
    def is_bare(self) -> bool:
        """Whether an object or list fits if all its members do, and none is missing."""
        if self._is_bare is None:
            self._is_bare = self._whole.is_bare(self._schema)
        return self._is_bare

    def opened(self, empty: dict[str, Any] | list[Any]) -> "Container | None":
        """Find what a container is going to be that begins here; `None`: not known yet."""
        del empty
        return None


class Grown(Kind):
    """What has an inside that may be shown before it is finished."""

    __slots__ = ("_inside",)

    def __init__(
        self,
        whole: Whole,
        schema: Part,
        config: CoreConfig | None,
        inside: "Container",
    ) -> None:
        super().__init__(whole, schema, config, grows=False)
        self._inside = inside

    def opened(self, empty: dict[str, Any] | list[Any]) -> "Container | None":
        """The container of an object or a list that begins here."""
        return self._inside if type(empty) is self._inside.json else None


class Either(Kind):
    """A union: of its branches, at most one takes an object, and at most one a list."""

    __slots__ = ("_branches",)

    def __init__(
        self,
        whole: Whole,
        schema: Part,
        config: CoreConfig | None,
        branches: Mapping[type, Callable[[], Kind | None]],
        *,
        grows: bool,
    ) -> None:
        super().__init__(whole, schema, config, grows=grows)
        self._branches = branches

    def opened(self, empty: dict[str, Any] | list[Any]) -> "Container | None":
        """The container of an object or a list that begins here."""
        branch = self._branches.get(type(empty), lambda: None)()
        return None if branch is None else branch.opened(empty)


class Container:
    """The inside of an object or list that is open."""

    __slots__ = ()
    json: type = dict

    def place(self, key: Any) -> tuple[Any, Kind | None]:
        """Find what may stand at a key.

        Returns:
            The name by which `make` wants the value, and what it may be.

        Raises:
            Refusal: Nothing may.
        """
        raise NotImplementedError

    def make(self, known: Any) -> Any:
        """Make the object as far as it is known. What is given is the object's to keep."""
        return known


class Items(Container):
    """A list."""

    __slots__ = ("_item", "plain")
    json = list

    def __init__(self, item: Callable[[], Kind | None], *, plain: bool) -> None:
        """Take the kind of the items; `plain`: whether a list of such is all that is asked for."""
        self._item = item
        self.plain = plain

    def place(self, key: Any) -> tuple[Any, Kind | None]:
        """The name and the kind of what stands at a key."""
        return key, self._item()


class Fields(Container):
    """An object of named fields: a model's, a dataclass's, a `TypedDict`'s or a JSON schema's."""

    __slots__ = ("_build", "_extra", "_fields", "_kinds", "_waiting")

    def __init__(
        self,
        fields: Mapping[str, tuple[str, Callable[[], Kind | None]]],
        *,
        waiting: frozenset[str],
        extra: Callable[[], Kind | None] | None,
        build: Callable[[dict[str, Any]], Any],
    ) -> None:
        """Take the fields by the name they have in JSON.

        Args:
            fields: For each, its own name and what makes its kind.
            waiting: Names of which nothing can be said before the object closes.
            extra: What makes the kind of a field that is not known; `None` forbids them.
            build: Makes the object of its known fields.
        """
        self._fields = fields
        self._waiting = waiting
        self._extra = extra
        self._build = build
        self._kinds: dict[str, tuple[str, Kind | None]] = {}

    def place(self, key: Any) -> tuple[Any, Kind | None]:
        """The name and the kind of what stands at a key."""
        if (known := self._kinds.get(key)) is not None:
            return known
        if key in self._fields:
            name, kind = self._fields[key]
            self._kinds[key] = placed = (name, kind())
            return placed
        if key in self._waiting:
            return key, None
        if self._extra is None:
            raise Refusal("Extra inputs are not permitted")
        return key, self._extra()

    def make(self, known: Any) -> Any:
        """Build the value from the fields that are known."""
        return self._build(known)


class Entries(Container):
    """An object of any keys, all of one kind."""

    __slots__ = ("_value",)

    def __init__(self, value: Callable[[], Kind | None]) -> None:
        self._value = value

    def place(self, key: Any) -> tuple[Any, Kind | None]:
        """The name and the kind of what stands at a key."""
        return key, self._value()


class Tagged(Container):
    """An object that says by one of its fields what it is, and has not said it yet."""

    __slots__ = ("_choices", "_closed", "discriminator")

    def __init__(
        self,
        discriminator: str,
        choices: Mapping[Any, Callable[[], Kind | None]],
    ) -> None:
        self.discriminator = discriminator
        self._choices = choices
        self._closed = all(type(tag) in (str, int) for tag in choices)

    def place(self, key: Any) -> tuple[Any, Kind | None]:
        """The name and the kind of what stands at a key."""
        return key, None

    def chosen(self, tag: Any) -> Container | None:
        """Find what the object is, now that it has said so.

        Raises:
            Refusal: There is nothing of that name.
        """
        # True is 1 for a dict, but not for pydantic.
        if type(tag) in (str, int) and tag in self._choices:
            kind = self._choices[tag]()
            return None if kind is None else kind.opened({})
        if self._closed:
            tags = ", ".join(repr(tag) for tag in self._choices)
            raise Refusal(
                f"Input tag {shown(tag)} found using {self.discriminator!r} does not match any of "
                f"the expected tags: {tags}"
            )
        return None


def untyped() -> Kind | None:
    """The kind of a value that may be anything."""
    return ANY


class _Any(Kind):
    """Anything: what JSON makes of it."""

    __slots__ = ()

    def __init__(self) -> None:
        self.grows = True

    @property
    def is_bare(self) -> bool:
        return True

    def validate(self, value: Any) -> Any:
        return value

    def opened(self, empty: dict[str, Any] | list[Any]) -> Container:
        return Items(untyped, plain=True) if type(empty) is list else Entries(untyped)


ANY = _Any()


def follow(kind: Kind | None, path: JSONPath) -> Kind | None:
    """Find what a value has to be that stands at a path; `None`: nothing certain, or nothing may.

    Args:
        kind: What stands at the root.
        path: The path.
    """
    for step in path:
        inside = None if kind is None else kind.opened([] if type(step) is int else {})
        try:
            kind = None if inside is None else inside.place(step)[1]
        except Refusal:
            return None
    return kind
