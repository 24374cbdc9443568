"""What the server answers: TF Hub's protocol for hosting, and pages for people.

    GET /                               all modules;  /index.json the same for machines
    GET <handle>                        the page of a module
    GET <handle>?tf-hub-format=compressed, <handle>.tar.gz
                                        its archive
    GET <model>/<task>, or any other beginning of handles
                                        those that begin so
    GET /healthz                        "ok"

https://www.tensorflow.org/hub/hosting describes the protocol. `~` is in no handle: below it are
pictures and what pages need.
"""

import asyncio
import importlib.metadata
import json
import os
import re
from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    PlainTextResponse,
    Response,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from slimhub.export.hub import pages, rendering
from slimhub.export.hub.archives import Archives
from slimhub.export.hub.portraits import Portraits
from slimhub.export.hub.shelf import (
    LOG,
    DamagedModuleError,
    Entry,
    OutOfOrderError,
    Shelf,
    UnknownHandleError,
)

_ARCHIVE = ".tar.gz"
# Seconds that a page waits for its pictures.
_PATIENCE = 20
# Of the header `Range`; whatever else stands there is to be ignored (RFC 9110, 14.2).
_RANGES = re.compile(r"bytes=\s*(\d+-\d*|-\d+)(\s*,\s*(\d+-\d*|-\d+))*\s*")
_FORMAT = "tf-hub-format"
_STATUSES = {
    "verified": "trained",
    "pinned": "pinned",
    "unverified": "unverified",
    "synthetic": "UNTRAINED",
}
# Whoever fetches it again asks first whether it is still the same.
_HEADERS = {"cache-control": "no-cache"}
# To be sent with everything: pages load nothing from elsewhere, and nothing passes for a page.
HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self'; style-src 'self'; "
    "script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class _Static(StaticFiles):
    """What pages need, which may be another after an upgrade."""

    async def get_response(self, path: str, scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


class _ArchiveResponse(FileResponse):
    """An open file, which it closes; it may have been removed."""

    # Each is read in a thread: with four times Starlette's, 64 clients are done in less time.
    chunk_size = 256 * 1024

    def __init__(self, descriptor: int, **how):
        self._descriptor = descriptor
        super().__init__(f"/dev/fd/{descriptor}", stat_result=os.fstat(descriptor), **how)
        # It would be the time of the packing, which tells nothing of what is in it.
        del self.headers["last-modified"]

    async def __call__(self, scope, receive, send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._descriptor)


class Hub:
    """The answers of a server of the modules on a shelf."""

    def __init__(
        self, shelf: Shelf, *, archives: Archives, portraits: Portraits, url: str | None = None
    ):
        """`url` is that of the server, without a slash at its end; None: by which it is reached."""
        self._shelf, self._archives, self._portraits = shelf, archives, portraits
        self._url = url
        # Whoever waits for slow work on a module does so here, and leaves the threads to others.
        self._turns = [asyncio.Lock() for _ in range(64)]

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/healthz", self._health),
                Route("/index.json", self._index_for_machines),
                Route(pages.PICTURES + "/{name}/{picture}", self._picture),
                Mount("/~/static", _Static(packages=[("slimhub.export.hub", "static")])),
                Route("/{path:path}", self._any),
            ],
            exception_handlers={
                UnknownHandleError: self._unknown,
                DamagedModuleError: self._damaged,
                OutOfOrderError: self._out_of_order,
            },
        )

    async def _in_turn(self, function, handle: str):
        """A function of a handle, in a thread, for one handle after the other."""
        async with self._turns[hash(handle) % len(self._turns)]:
            return await run_in_threadpool(function, handle)

    async def _health(self, request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=_HEADERS)

    async def _any(self, request: Request) -> Response:
        path = request.path_params["path"].removesuffix("/")
        wanted = request.query_params.get(_FORMAT)
        if path.endswith(_ARCHIVE):
            return await self._archive(request, path.removesuffix(_ARCHIVE))
        if wanted is None:
            below = await run_in_threadpool(self._shelf.below, path)
            if below or not path:
                return await self._list(request, path, below)
            return await self._page(request, path)
        if "compressed" in wanted.split(","):
            return await self._archive(request, path)
        # Unless it is unknown, which matters more.
        await self._in_turn(self._shelf.entry, path)
        problem = f"There are only archives here: {_FORMAT}=compressed.\n"
        return PlainTextResponse(problem, status_code=406, headers=_HEADERS)

    async def _archive(self, request: Request, handle: str) -> Response:
        archive = await self._in_turn(self._archives.open, handle)
        headers = {**_HEADERS, "etag": f'"{archive.sha256}"'}
        if _matches(request.headers.get("if-none-match", ""), headers["etag"]):
            os.close(archive.descriptor)
            return Response(status_code=304, headers=headers)
        _keep_ranges(request, headers["etag"])
        return _ArchiveResponse(
            archive.descriptor,
            headers=headers,
            media_type="application/gzip",
            filename=handle.replace("/", "_") + _ARCHIVE,
        )

    async def _page(self, request: Request, handle: str) -> Response:
        entry = await self._in_turn(self._shelf.entry, handle)
        portrait = await self._portraits.get(entry, patience=_PATIENCE)

        def answer() -> Response:
            siblings = pages.siblings(entry, self._shelf.handles())
            url = self._url_of(request)
            # Links stay on this server, however it is reached.
            text = pages.markdown(entry, url=url, links="", siblings=siblings, portrait=portrait)
            html = rendering.to_html(text)
            return _html("module.html.jinja", handle, body=html.body, headings=html.headings)

        return await run_in_threadpool(answer)

    async def _list(self, request: Request, path: str, handles: Iterable[str]) -> Response:
        def answer() -> Response:
            modules = self._records(handles, self._url_of(request))
            values = dict(heading=path or "Modules", modules=modules, statuses=_STATUSES)
            return _html("index.html.jinja", path, **values)

        return await run_in_threadpool(answer)

    async def _index_for_machines(self, request: Request) -> Response:
        def answer() -> Response:
            modules = self._records(self._shelf.handles(), self._url_of(request))
            # In ASCII, whatever is in records.
            text = json.dumps({"modules": modules})
            return Response(text, media_type="application/json", headers=_HEADERS)

        return await run_in_threadpool(answer)

    def _records(self, handles: Iterable[str], url: str) -> list[dict]:
        records = []
        for handle in handles:
            where = f"{url}/{handle}"
            try:
                records.append(_record(self._shelf.known(handle), where))
            except (DamagedModuleError, OutOfOrderError) as error:
                records.append({"handle": handle, "url": where, "problem": str(error)})
        return records

    def _url_of(self, request: Request) -> str:
        return self._url or str(request.base_url).rstrip("/")

    async def _picture(self, request: Request) -> Response:
        path = self._portraits.path(request.path_params["name"], request.path_params["picture"])
        if path is None:
            return PlainTextResponse("There is no such picture.\n", 404, headers=_HEADERS)
        headers = {"cache-control": "public, max-age=31536000, immutable"}
        return FileResponse(path, media_type="image/png", headers=headers)

    async def _unknown(self, request: Request, error: UnknownHandleError) -> Response:
        return _problem(request, 404, "Not found", str(error), links=error.nearest)

    async def _damaged(self, request: Request, error: DamagedModuleError) -> Response:
        return _problem(request, 503, "Not served", str(error))

    async def _out_of_order(self, request: Request, error: OutOfOrderError) -> Response:
        LOG.error("%s", error)
        return _problem(request, 503, "Out of order", str(error))


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
        "format": record.promise().format.name,
        "num_bytes": entry.num_bytes,
        "num_parameters": record.interface.num_parameters,
        "status": record.status,
        "weights": record.weights,
        "provenance_sha256": entry.key,
        "problem": None,
    }


def _matches(condition: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return etag in tags or "*" in tags


def _keep_ranges(request: Request, etag: str) -> None:
    """Leaves the ranges that are asked for only where they are of this very archive."""
    headers, unwanted = request.headers, {b"if-range"}
    if headers.get("if-range", etag) != etag or not _RANGES.fullmatch(headers.get("range", "")):
        unwanted.add(b"range")
    scope = request.scope
    scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in unwanted]


def _html(template: str, path: str, *, status: int = 200, **values) -> Response:
    parts = path.split("/") if path else []
    crumbs = [(part, "/" + "/".join(parts[: i + 1])) for i, part in enumerate(parts)]
    title = values.get("heading") or path
    release = importlib.metadata.version("slimhub")
    html = rendering.render(template, title=title, path=crumbs, release=release, **values)
    return HTMLResponse(html, status_code=status, headers=_HEADERS)


def _problem(
    request: Request, status: int, heading: str, problem: str, *, links: Iterable[str] = ()
) -> Response:
    """For browsers a page, for programs plain text."""
    lead = "The nearest are:" if links else ""
    if "text/html" in request.headers.get("accept", ""):
        values = dict(heading=heading, problem=problem, lead=lead, links=links)
        return _html("problem.html.jinja", "", status=status, **values)
    lines = [problem, *([lead] if lead else []), *links]
    return PlainTextResponse("\n".join(lines) + "\n", status_code=status, headers=_HEADERS)
