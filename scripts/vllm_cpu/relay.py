"""Stand before a server, and die in the middle of an answer: `relay.py PORT SERVER_PORT FILE`.

The file says after how many events of a stream the process kills itself, as by `kill -9`; whoever
dies removes it. To a client, or a router, that is what a dying replica looks like, and another one
is there in a tenth of a second instead of a minute.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

HOST = "127.0.0.1"


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fate: Path) -> None:
    """Pass bytes on, up to the event after which there is nobody left to do so."""
    events = 0
    try:
        while data := await reader.read(65536):
            after = _fate(fate)
            pieces = data.split(b"data: ")
            if after < 0 or events + len(pieces) - 1 <= after:
                events = 0 if after < 0 else events + len(pieces) - 1
                writer.write(data)
                await writer.drain()
                continue
            writer.write(b"data: ".join(pieces[: after - events + 1]))
            await writer.drain()
            os.unlink(fate)  # noqa: PTH108 - there is nothing else to do here
            os.kill(os.getpid(), signal.SIGKILL)
    except OSError:
        pass
    finally:
        writer.close()


def _fate(file: Path) -> int:
    return int(file.read_text() or -1) if file.exists() else -1


async def main() -> None:
    """Serve until killed."""
    port, server, fate = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection(HOST, server)
        except OSError:
            writer.close()
            return
        nothing = fate.with_suffix(".none")
        await asyncio.gather(_pipe(reader, to_server, nothing), _pipe(from_server, writer, fate))

    async with await asyncio.start_server(connected, HOST, port) as listening:
        print("ready", flush=True)
        await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
