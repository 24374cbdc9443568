"""Copy buttons: exactly the text gets into the clipboard."""

import pytest
from browser import places
from playwright.sync_api import expect

import hub
from slimhub.hub import snippets

CLIPBOARD = ("clipboard-read", "clipboard-write")
# As where the server is another machine, without TLS.
NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined });"
REFUSED = "navigator.clipboard.writeText = async () => { throw new Error('refused'); };"


def clipboard(page) -> str:
    return page.evaluate("navigator.clipboard.readText()")


def button_for(page, handle):
    return page.get_by_role("button", name=f"Copy the URL of {handle}", exact=True)


def test_urls(visit, url):
    """The button of a row copies the module's URL, as hub.load takes it."""
    page = visit("", permissions=CLIPBOARD)
    for handle in places.HANDLES:
        button_for(page, handle).click()
        expect(button_for(page, handle)).to_have_text("Copied")
        assert clipboard(page) == f"{url}/{handle}"


@pytest.mark.parametrize("handle", places.MODULES)
def test_programs(visit, url, root, handle):
    """The buttons of a page copy the URL and each program, character by character."""
    promise = hub.record_of(root / handle).promise()
    shown = [
        *snippets.usage(promise, url=f"{url}/{handle}"),
        *snippets.training(promise, url=f"{url}/{handle}"),
    ]
    page = visit(handle, permissions=CLIPBOARD)
    copied = []
    for button in page.get_by_role("button", name="Copy the code").all():
        button.click()
        expect(button).to_have_text("Copied")
        copied.append(clipboard(page))
    assert copied == [f"{url}/{handle}", *(snippet.code.rstrip("\n") for snippet in shown)]


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_keys(visit, url, key):
    """Enter and Space press a button, which keeps the focus, says so, and is then as before."""
    page = visit("", permissions=CLIPBOARD)
    button = button_for(page, places.MODULES[0])
    button.focus()
    page.keyboard.press(key)
    expect(button).to_have_text("Copied")
    expect(page.locator("#announcement")).to_have_text("Copied")
    expect(button).to_be_focused()
    assert clipboard(page) == f"{url}/{places.MODULES[0]}"
    expect(button).to_have_text("Copy", timeout=10_000)
    expect(page.locator("#announcement")).to_have_text("")


def test_without_the_api(visit):
    """Where the browser has no navigator.clipboard, buttons copy all the same."""
    page = visit(places.MODULES[1], before=NO_CLIPBOARD)
    button = page.get_by_role("button", name="Copy the code").nth(1)
    button.press("Enter")
    expect(button).to_have_text("Copied")
    expect(button).to_be_focused()
    program = page.locator("pre").nth(1).text_content()
    page.evaluate("document.querySelector('h1').replaceWith(document.createElement('textarea'))")
    page.locator("textarea").focus()
    page.keyboard.press("ControlOrMeta+V")
    assert page.locator("textarea").input_value() == program.rstrip("\n")


def test_refused(visit):
    """A button tells when the browser did not let it copy."""
    page = visit("", before=REFUSED)
    button = button_for(page, places.MODULES[0])
    button.click()
    expect(button).to_have_text("Not copied")
    expect(page.locator("#announcement")).not_to_be_empty()
