"""Notes whatever a page should not do."""

from playwright.sync_api import ConsoleMessage, Page, Request, Response

# Of the console.
_LOUD = ("error", "warning", "assert")


class Watch:
    """Listens to a page from its first request on.

    Attributes:
      complaints: requests to elsewhere or without success, errors, messages in the console.
    """

    def __init__(self, page: Page, *, server: str):
        self.complaints: list[str] = []
        self._server = server
        page.on("request", self._request)
        page.on("requestfailed", self._failed)
        page.on("response", self._response)
        page.on("pageerror", lambda error: self._note("raised", str(error)))
        page.on("console", self._message)

    def _note(self, what: str, detail: str) -> None:
        self.complaints.append(f"{what}: {detail}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith(f"{self._server}/"):
            self._note("elsewhere", request.url)

    def _failed(self, request: Request) -> None:
        # A download ends the visit that it began as.
        if not request.is_navigation_request():
            self._note("failed", request.url)

    def _response(self, response: Response) -> None:
        if not (response.ok or response.status == 304 or response.request.is_navigation_request()):
            self._note(f"{response.status}", response.url)

    def _message(self, message: ConsoleMessage) -> None:
        # That a page of an error has the status of an error, which Chromium reports, too.
        navigated = message.text.startswith("Failed to load resource: the server responded with")
        if message.type in _LOUD and not navigated:
            self._note(message.type, message.text)
