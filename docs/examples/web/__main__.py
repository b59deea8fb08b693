"""Watch a run in a browser: `python -m docs.examples.web`."""

from docs.examples.web.app import main

main()
