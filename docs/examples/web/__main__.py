"""Watch a run in a browser: `python -m docs.examples.web`."""

from .app import main  # noqa: TID252 - it runs from a clone and from the package

main()
