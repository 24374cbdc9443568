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

import importlib.metadata
from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from slimhub.export.hub import pages, rendering
from slimhub.export.hub.archives import Archives
from slimhub.export.hub.portraits import Portraits
from slimhub.export.hub.shelf import DamagedModuleError, Entry, Shelf, UnknownHandleError

_ARCHIVE = ".tar.gz"
_FORMAT = "tf-hub-format"
_STATUSES = {"verified": "trained", "unverified": "unverified", "synthetic": "UNTRAINED"}
# Whoever fetches it again asks first whether it is still the same.
_HEADERS = {"cache-control": "no-cache"}
# To be sent with everything: pages load nothing from elsewhere, and nothing passes for a page.
HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self'; style-src 'self'; "
    "script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Hub:
    """The answers of a server of the modules on a shelf."""

    def __init__(self, shelf: Shelf, *, archives: Archives, portraits: Portraits):
        self._shelf, self._archives, self._portraits = shelf, archives, portraits

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/healthz", self._health),
                Route("/index.json", self._index_for_machines),
                Route(pages.PICTURES + "/{key}/{name}", self._picture),
                Mount("/~/static", StaticFiles(packages=[("slimhub.export.hub", "static")])),
                Route("/{path:path}", self._any),
            ],
            exception_handlers={
                UnknownHandleError: self._unknown,
                DamagedModuleError: self._damaged,
                OSError: self._out_of_order,
            },
        )

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
        await run_in_threadpool(self._shelf.entry, path)
        problem = f"There are only archives here: {_FORMAT}=compressed.\n"
        return PlainTextResponse(problem, status_code=406, headers=_HEADERS)

    async def _archive(self, request: Request, handle: str) -> Response:
        archive = await run_in_threadpool(self._archives.get, handle)
        headers = {**_HEADERS, "etag": f'"{archive.sha256}"'}
        if _matches(request.headers.get("if-none-match", ""), headers["etag"]):
            return Response(status_code=304, headers=headers)
        return FileResponse(
            archive.path,
            headers=headers,
            media_type="application/gzip",
            filename=handle.replace("/", "_") + _ARCHIVE,
        )

    async def _page(self, request: Request, handle: str) -> Response:
        entry = await run_in_threadpool(self._shelf.entry, handle)
        portrait = await self._portraits.get(entry)
        handles = await run_in_threadpool(self._shelf.handles)
        markdown = pages.markdown(
            entry, url=_url(request), siblings=pages.siblings(entry, handles), portrait=portrait
        )
        html = rendering.to_html(markdown)
        return _html("module.html.jinja", handle, body=html.body, headings=html.headings)

    async def _list(self, request: Request, path: str, handles: Iterable[str]) -> Response:
        modules = await run_in_threadpool(self._records, handles, _url(request))
        heading = path or "Modules"
        return _html("index.html.jinja", path, heading=heading, modules=modules, statuses=_STATUSES)

    async def _index_for_machines(self, request: Request) -> Response:
        handles = await run_in_threadpool(self._shelf.handles)
        modules = await run_in_threadpool(self._records, handles, _url(request))
        return JSONResponse({"modules": modules}, headers=_HEADERS)

    def _records(self, handles: Iterable[str], url: str) -> list[dict]:
        records = []
        for handle in handles:
            where = f"{url}/{handle}"
            try:
                entry = self._shelf.entry(handle)
            except UnknownHandleError:
                # Removed just now.
                continue
            except DamagedModuleError as error:
                records.append({"handle": handle, "url": where, "problem": str(error)})
            else:
                records.append(_record(entry, where))
        return records

    async def _picture(self, request: Request) -> Response:
        path = self._portraits.path(request.path_params["key"], request.path_params["name"])
        if path is None:
            return PlainTextResponse("There is no such picture.\n", 404, headers=_HEADERS)
        # What has such a key stays as it is.
        headers = {"cache-control": "public, max-age=31536000, immutable"}
        return FileResponse(path, media_type="image/png", headers=headers)

    async def _unknown(self, request: Request, error: UnknownHandleError) -> Response:
        return _problem(request, 404, "Not found", str(error), links=error.nearest)

    async def _damaged(self, request: Request, error: DamagedModuleError) -> Response:
        return _problem(request, 503, "Not served", str(error))

    async def _out_of_order(self, request: Request, error: OSError) -> Response:
        reason = f"The archive can't be kept: {error.strerror or error}"
        return _problem(request, 503, "Out of order", reason)


def _record(entry: Entry, url: str) -> dict:
    record = entry.record
    return {
        "handle": entry.handle,
        "url": url,
        "archive": url + _ARCHIVE,
        "model": record.model,
        "task": record.task,
        "version": record.version,
        "format": record.promise().format.name,
        "num_bytes": entry.num_bytes,
        "num_parameters": record.interface.num_parameters,
        "status": record.status,
        "weights": record.weights,
        "provenance_sha256": entry.key,
        "problem": None,
    }


def _url(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _matches(condition: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return etag in tags or "*" in tags


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
