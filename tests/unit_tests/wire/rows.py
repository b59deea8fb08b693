"""What servers send, by the numbers of `docs/wire.md`, and what must become of it.

Every wire is as small as it can be and keeps its shape. A key is the row's number and what is
special about the case; one row may have several.
"""

from tests.unit_tests.wire import arguments, ends, frames, text, which_call
from tests.unit_tests.wire.row import Row

_TABLES = [frames.ROWS, which_call.ROWS, arguments.ROWS, ends.ROWS, text.ROWS]
ROWS: dict[str, Row] = {name: row for table in _TABLES for name, row in table.items()}
