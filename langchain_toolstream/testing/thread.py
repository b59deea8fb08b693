"""The thread in which uvicorn serves the replay app, from a listening socket to a clean end."""

import asyncio
import socket
import sys
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from langchain_toolstream.testing.app import OwnMachineOnly, ReplayApp
from langchain_toolstream.testing.replay import DROP

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

HOST = "127.0.0.1"
"""The loopback address: a replay is not for other machines."""

# Long enough to flush what a reading client still takes; one that does not read is not waited for.
_FLUSH_SECONDS = 0.5
# Without this, an idle connection would close under a client that is about to use it again.
_KEEP_ALIVE_SECONDS = 3600


class ServerThread(threading.Thread):
    """Serves one app on one port until it is stopped.

    `listening` is done when clients can connect, or holds why they cannot; `ended` is done when
    the event loop and all sockets are closed.
    """

    def __init__(self, app: ReplayApp, port: int) -> None:
        """Take the port.

        Args:
            app: What is served.
            port: The port on loopback, 0 for any.

        Raises:
            OSError: If the port is taken.
        """
        self._socket = _bound_socket(port)
        self.port: int = self._socket.getsockname()[1]
        super().__init__(name=f"replay-server-{self.port}", daemon=True)
        self.listening: Future[None] = Future()
        self.ended: Future[None] = Future()
        for future in (self.listening, self.ended):
            future.set_running_or_notify_cancel()  # nobody who waits for it may cancel it
        config = uvicorn.Config(
            OwnMachineOnly(app.asgi),
            http=_Protocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,  # the user's logging stays as it is
            log_level="error",
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config, app, self.listening)

    def run(self) -> None:
        """Serve; called by `start`."""
        try:
            self._server.run(sockets=[self._socket])
        except BaseException as error:  # noqa: BLE001 - goes to the one who waits for `listening`
            self._not_listening(error)
        else:
            self._not_listening(RuntimeError("The server stopped before it listened"))
        finally:
            self._socket.close()
            self.ended.set_result(None)

    def stop(self) -> None:
        """Ask the server to end; returns at once."""
        self._server.stop()

    def _not_listening(self, error: BaseException) -> None:
        if not self.listening.done():
            self.listening.set_exception(error)


class _Server(uvicorn.Server):
    """A uvicorn server that says when it listens and stops when it is told, without polling."""

    def __init__(self, config: uvicorn.Config, app: ReplayApp, listening: Future[None]) -> None:
        super().__init__(config)
        self._replay = app
        self._listening = listening
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        with self._lock:
            self.should_exit = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._stopped.set)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        with self._lock:
            self._loop = asyncio.get_running_loop()
        try:
            await super().serve(sockets)
        finally:
            with self._lock:
                self._loop = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening.set_result(None)

    async def main_loop(self) -> None:
        if not self.should_exit:
            await self._stopped.wait()
        self._replay.stop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        abort = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._abort_connections)
        await super().shutdown(sockets)
        abort.cancel()

    def _abort_connections(self) -> None:
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()


class _Protocol(H11Protocol):
    """HTTP/1.1 with an extension to the ASGI scope: the app may close the connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        inner = self.app

        async def app(scope: "Scope", receive: "Receive", send: "Send") -> None:
            scope.setdefault("extensions", {})[DROP] = {"close": self.transport.close}
            await inner(scope, receive, send)

        self.app = app


def _bound_socket(port: int) -> socket.socket:
    # With the protocol named, asyncio sets TCP_NODELAY on each connection; without, small events
    # wait for the client's delayed acknowledgements, 40 ms each.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # there, the option would let two servers share a port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
    except OSError as error:
        bound.close()
        msg = f"{error.strerror}: {HOST}:{port}. Give another port, or 0 to let the system choose."
        raise OSError(error.errno, msg) from error
    except BaseException:
        bound.close()
        raise
    return bound
