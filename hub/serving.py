"""Run the server: its socket, connections, log, and the parts of its application."""

import asyncio
import socket
from pathlib import Path
from typing import ClassVar

import uvicorn
from uvicorn.protocols.http import h11_impl

from slimhub.hub.app import HEADERS, Hub
from slimhub.hub.archives import Archives
from slimhub.hub.index import ModuleIndex
from slimhub.hub.previews import cache
from slimhub.support import terminal
from slimhub.support.cache import NoCacheError

# Seconds in which requests are finished when the server is stopped.
_SHUTDOWN_TIMEOUT = 3

_LOG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {"slimhub.hub": {"level": "INFO"}, "uvicorn.access": {"level": "INFO"}},
}


def listen(host: str, port: int, *, stall: int) -> socket.socket:
    """Return a listening socket; `port` 0 is any free one. Raise `OSError` if it can't be had.

    On Linux, the system closes connections to clients that receive nothing for `stall` seconds.
    """
    # IPv4 or IPv6, as the host has it.
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # `::` is every address of the machine, those of IPv4 too, where the system has that.
    dualstack = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
    listener = socket.create_server(address, family=family, dualstack_ipv6=dualstack)
    # Connections inherit it from the listener.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * stall)
    return listener


class _Connection(h11_impl.H11Protocol):
    """A connection that is closed if a request is not complete after `stall` seconds.

    uvicorn itself has such a timeout only after a response, and only if no byte of the next request came.
    """

    stall: ClassVar[float]
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, error) -> None:
        self._stop_timer()
        super().connection_lost(error)

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:
            self._start_timer()

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self.stall, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def serve(
    root: Path, listener: socket.socket, *, directory: Path, stall: int, url: str | None
) -> None:
    """Serve the modules below a root until a signal comes.

    Args:
      root: directory of the modules.
      listener: socket from `listen`.
      directory: an empty directory for archives, and for previews if there is no cache.
      stall: seconds after which a connection is closed whose request is not complete.
      url: URL of the server on its pages; None: the one that was requested.
    """
    index = ModuleIndex(root)
    try:
        previews = cache.PreviewCache(cache.default_directory())
    except NoCacheError:
        previews = cache.PreviewCache(directory / "previews")
    hub = Hub(index, archives=Archives(index, directory), previews=previews, url=url)
    config = uvicorn.Config(
        hub.app(),
        http=type("_StallingConnection", (_Connection,), {"stall": stall}),
        lifespan="off",
        ws="none",
        log_config=_LOG,
        server_header=False,
        headers=list(HEADERS.items()),
        timeout_graceful_shutdown=_SHUTDOWN_TIMEOUT,
    )
    terminal.show(f"Serving {len(index.handles())} modules of {root} at {_url(listener)}")
    uvicorn.Server(config).run(sockets=[listener])


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
