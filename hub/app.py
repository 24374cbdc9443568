"""The ASGI application: TF Hub's protocol for hosting, and pages for people.

    GET /                               all modules;  /index.json the same for machines
    GET <handle>                        the page of a module
    GET <handle>?tf-hub-format=compressed, <handle>.tar.gz
                                        its archive
    GET <model>/<task>, or any other beginning of handles
                                        the modules whose handles begin with it
    GET /healthz                        "ok"

https://www.tensorflow.org/hub/hosting describes the protocol. No handle has a `~`: below it are
pictures, style sheet and script.
"""

import asyncio
import importlib.metadata
import json
import os
import re
import weakref
from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from slimhub.hub import documentation, markup
from slimhub.hub.archives import Archives
from slimhub.hub.index import (
    LOG,
    DamagedModuleError,
    Entry,
    ModuleIndex,
    UnavailableError,
    UnknownHandleError,
)
from slimhub.hub.previews.cache import PreviewCache

_ARCHIVE = ".tar.gz"
# Seconds that a page waits for its pictures.
_PREVIEW_TIMEOUT = 20
# A valid header `Range`; any other is to be ignored (RFC 9110, 14.2).
_RANGES = re.compile(r"bytes=\s*(\d+-\d*|-\d+)(\s*,\s*(\d+-\d*|-\d+))*\s*")
_FORMAT = "tf-hub-format"
_STATUSES = {
    "verified": "trained",
    "downloaded": "downloaded",
    "pinned": "pinned",
    "unverified": "unverified",
    "own": "own",
    "synthetic": "UNTRAINED",
}
_PROBLEMS = {
    UnknownHandleError: (404, "Not found"),
    DamagedModuleError: (503, "Not served"),
    UnavailableError: (503, "Out of order"),
}
# Caches must ask whether their copy is still valid.
_HEADERS = {"cache-control": "no-cache"}
# What is kept under the name of a picture never changes.
_FOR_EVER = {"cache-control": "public, max-age=31536000, immutable"}
# Sent with every response: pages load nothing from elsewhere, and nothing is mistaken for a page.
HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self'; style-src 'self'; "
    "script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class _Files(StaticFiles):
    """The files of a directory, with further headers."""

    def __init__(self, headers: dict[str, str], **options):
        super().__init__(**options, check_dir=False)
        self._headers = headers

    async def check_config(self) -> None:
        """Accept a directory that is missing, as that of the previews before there are any."""

    async def get_response(self, path: str, scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(self._headers)
        return response


class _ArchiveResponse(FileResponse):
    """A response of an open file, which it closes; the file may have been removed."""

    # Each chunk is read in a thread: with four times Starlette's size, 64 clients take less time.
    chunk_size = 256 * 1024

    def __init__(self, descriptor: int, **options):
        self._descriptor = descriptor
        super().__init__(f"/dev/fd/{descriptor}", stat_result=os.fstat(descriptor), **options)
        # The time of packing says nothing of the module's age.
        del self.headers["last-modified"]

    async def __call__(self, scope, receive, send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._descriptor)


class Hub:
    """The responses of a server of the modules in an index."""

    def __init__(
        self,
        index: ModuleIndex,
        *,
        archives: Archives,
        previews: PreviewCache,
        url: str | None = None,
    ):
        """`url` is that of the server, without a slash at its end; None: the one that was requested."""
        self._index, self._archives, self._previews = index, archives, previews
        self._url = url
        # Requests for one module wait here for each other, and not in threads that others need.
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    def app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/healthz", self._health),
                Route("/index.json", self._index_for_machines),
                Mount(
                    documentation.PICTURES, _Files(_FOR_EVER, directory=self._previews.directory)
                ),
                Mount("/~/static", _Files(_HEADERS, packages=[("slimhub.hub", "static")])),
                Route("/{path:path}", self._handle),
            ],
            exception_handlers=dict.fromkeys(_PROBLEMS, _problem),
        )

    async def _run_locked(self, function, handle: str):
        """Run a function of a handle in a thread, one at a time for each handle."""
        lock = self._locks.setdefault(handle, asyncio.Lock())
        async with lock:
            return await run_in_threadpool(function, handle)

    async def _health(self, request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=_HEADERS)

    async def _handle(self, request: Request) -> Response:
        path = request.path_params["path"].removesuffix("/")
        formats = request.query_params.get(_FORMAT)
        if path.endswith(_ARCHIVE):
            return await self._archive(request, path.removesuffix(_ARCHIVE))
        if formats is None:
            handles = await run_in_threadpool(self._index.below, path)
            if handles or not path:
                return await run_in_threadpool(self._list, request, path, handles)
            entry = await self._run_locked(self._index.entry, path)
            preview = await self._previews.get(entry, timeout=_PREVIEW_TIMEOUT)
            return await run_in_threadpool(self._page, request, entry, preview)
        if "compressed" in formats.split(","):
            return await self._archive(request, path)
        # If the handle is unknown, this says so, which matters more.
        await self._run_locked(self._index.entry, path)
        problem = f"There are only archives here: {_FORMAT}=compressed.\n"
        return PlainTextResponse(problem, status_code=406, headers=_HEADERS)

    async def _archive(self, request: Request, handle: str) -> Response:
        archive = await self._run_locked(self._archives.open, handle)
        headers = {**_HEADERS, "etag": f'"{archive.sha256}"'}
        if _matches(request.headers.get("if-none-match", ""), headers["etag"]):
            os.close(archive.descriptor)
            return Response(status_code=304, headers=headers)
        _drop_invalid_ranges(request, headers["etag"])
        return _ArchiveResponse(
            archive.descriptor,
            headers=headers,
            media_type="application/gzip",
            filename=handle.replace("/", "_") + _ARCHIVE,
        )

    def _page(self, request: Request, entry: Entry, preview: dict | str) -> Response:
        siblings = documentation.siblings(entry, self._index.handles())
        url = self._url_of(request)
        # Links stay on this server, whatever its URL.
        text = documentation.markdown(entry, url=url, links="", siblings=siblings, preview=preview)
        html = markup.to_html(text)
        return _html("module.html.jinja", entry.handle, body=html.body, headings=html.headings)

    def _list(self, request: Request, path: str, handles: Iterable[str]) -> Response:
        modules = self._records(handles, self._url_of(request))
        heading = path or "Modules"
        return _html("index.html.jinja", path, heading=heading, modules=modules, statuses=_STATUSES)

    def _index_for_machines(self, request: Request) -> Response:
        modules = self._records(self._index.handles(), self._url_of(request))
        # In ASCII, as records may have surrogates, which UTF-8 can't encode.
        text = json.dumps({"modules": modules})
        return Response(text, media_type="application/json", headers=_HEADERS)

    def _records(self, handles: Iterable[str], url: str) -> list[dict]:
        records = []
        for handle in handles:
            module_url = f"{url}/{handle}"
            try:
                records.append(_record(self._index.known_entry(handle), module_url))
            except (DamagedModuleError, UnavailableError) as error:
                records.append({"handle": handle, "url": module_url, "problem": str(error)})
        return records

    def _url_of(self, request: Request) -> str:
        return self._url or str(request.base_url).rstrip("/")


def _record(entry: Entry, url: str) -> dict:
    record = entry.record
    return {
        "handle": entry.handle,
        "url": url,
        "archive": url + _ARCHIVE,
        "model": record.model,
        "task": record.task,
        "version": record.version,
        "contract": record.contract,
        "format": entry.promise.format.name,
        "num_bytes": entry.num_bytes,
        "num_parameters": entry.promise.network.num_parameters,
        "status": record.status,
        "weights": record.weights,
        "provenance_sha256": entry.key,
        "problem": None,
    }


def _matches(condition: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return etag in tags or "*" in tags


def _drop_invalid_ranges(request: Request, etag: str) -> None:
    """Remove the header `Range` from a request if it is malformed, or meant for another archive."""
    headers, dropped = request.headers, {b"if-range"}
    if headers.get("if-range", etag) != etag or not _RANGES.fullmatch(headers.get("range", "")):
        dropped.add(b"range")
    scope = request.scope
    scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in dropped]


def _html(template: str, path: str, *, status: int = 200, **values) -> Response:
    parts = path.split("/") if path else []
    crumbs = [(part, "/" + "/".join(parts[: i + 1])) for i, part in enumerate(parts)]
    title = values.get("heading") or path
    release = importlib.metadata.version("slimhub")
    html = markup.render(template, title=title, path=crumbs, release=release, **values)
    return HTMLResponse(html, status_code=status, headers=_HEADERS)


async def _problem(request: Request, error: Exception) -> Response:
    """Return a page to browsers, plain text to programs."""
    if isinstance(error, UnavailableError):
        LOG.error("%s", error)
    status, heading = _PROBLEMS[type(error)]
    links = getattr(error, "nearest", ())
    lead = "The nearest are:" if links else ""
    if "text/html" in request.headers.get("accept", ""):
        values = dict(heading=heading, problem=str(error), lead=lead, links=links)
        return _html("problem.html.jinja", "", status=status, **values)
    lines = [str(error), *([lead] if lead else []), *links]
    return PlainTextResponse("\n".join(lines) + "\n", status_code=status, headers=_HEADERS)
