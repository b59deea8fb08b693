"""What a user of the command did wrong, and what must not reach a terminal."""


class UsageError(Exception):
    """The command was used wrongly. Its message is one line."""


def printable(text: str) -> str:
    """A text in one line, without what would steer a terminal.

    Args:
        text: What a model, a tool or a server wrote.
    """
    return "".join(one if one.isprintable() else " " for one in text)
