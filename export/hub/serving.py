"""Runs the server: its socket, its log, its temporary directory."""

import logging.config
import socket
from pathlib import Path

import uvicorn

from slimhub.export import scratch
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

    A client that takes nothing for `stall` seconds, or does not answer, is then given up by the
    system, where it can do that (Linux).
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


def serve(root: Path, listener: socket.socket) -> None:
    """Serves the modules below a root until a signal comes.

    Raises:
      OSError: there is no temporary directory.
    """
    logging.config.dictConfig(_LOG)
    shelf = Shelf(root)
    with scratch.temporary() as directory:
        hub = Hub(
            shelf,
            archives=Archives(shelf, directory),
            portraits=portraits.Portraits(portraits.default_directory()),
        )
        config = uvicorn.Config(
            hub.app(),
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
