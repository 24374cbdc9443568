"""Runs the server: its socket, its log, its temporary directory."""

import asyncio
import logging.config
import socket
from pathlib import Path
from typing import ClassVar

import uvicorn
from uvicorn.protocols.http import h11_impl

from slimhub.export.hub import portraits
from slimhub.export.hub.app import HEADERS, Hub
from slimhub.export.hub.archives import Archives
from slimhub.export.hub.shelf import Shelf
from slimhub.signatures import command_line

# Of what is being answered when the server is stopped.
_SECONDS_TO_END = 3

_LOG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        name: {"handlers": ["stderr"], "level": level, "propagate": False}
        for name, level in (
            ("slimhub.hub", "INFO"),
            ("uvicorn.access", "INFO"),
            ("uvicorn.error", "WARNING"),
        )
    },
}


def listen(host: str, port: int, *, stall: int) -> socket.socket:
    """A socket that listens; `port` 0 is any free one. Raises `OSError`.

    A client that takes nothing more for `stall` seconds is then given up by the system, where it can
    do that (Linux).
    """
    # Which of IPv4 and IPv6 it is.
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections have it from their listener.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * stall)
        listener.bind(address)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


class _Impatient(h11_impl.H11Protocol):
    """A connection that is given up when a request takes too long to come.

    uvicorn does that only behind an answer, and only if nothing of another request has come.
    """

    stall: ClassVar[float]
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, error) -> None:
        self._stop_waiting()
        super().connection_lost(error)

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:
            self._wait()

    def _wait(self) -> None:
        self._stop_waiting()
        self._waiting = self.loop.call_later(self.stall, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()


def serve(
    root: Path, listener: socket.socket, *, directory: Path, stall: int, url: str | None
) -> None:
    """Serves the modules below a root until a signal comes.

    Args:
      root: of the modules.
      listener: of `listen`.
      directory: an empty one for archives.
      stall: seconds until a client is given up that takes too long to send a request.
      url: of the server, on its pages; None: by which it is reached.
    """
    logging.config.dictConfig(_LOG)
    shelf = Shelf(root)
    hub = Hub(
        shelf,
        archives=Archives(shelf, directory),
        portraits=portraits.Portraits(portraits.default_directory()),
        url=url,
    )
    config = uvicorn.Config(
        hub.app(),
        http=type("_Connection", (_Impatient,), {"stall": stall}),
        lifespan="off",
        ws="none",
        log_config=None,
        server_header=False,
        headers=list(HEADERS.items()),
        timeout_graceful_shutdown=_SECONDS_TO_END,
    )
    command_line.show(f"Serving {len(shelf.handles())} modules of {root} at {_url(listener)}")
    uvicorn.Server(config).run(sockets=[listener])


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
