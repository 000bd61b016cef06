"""Chromium without a window, and the local server's page in it."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Request, expect, sync_playwright

expect.set_options(timeout=20_000)  # milliseconds; the machine may be busy

NAMES = ("chromium", "chromium-browser", "google-chrome")

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(
    `${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
window.ran = [];
for (const name of ["alert", "confirm", "prompt", "print", "open"]) window[name] = () => ran.push(name);
"""


def chromium_path() -> str | None:
    """Return where Chromium is, or None where it is not installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def running_chromium(path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


class Chat:
    """The page in a browser, and what it asked for, ran and complained of."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        context.add_init_script(WATCH)
        self.url = url
        self.requested: list[str] = []
        self.faults: list[str] = []
        context.on("request", lambda request: self.requested.append(request.url))
        self.page = context.new_page()
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._hear)
        self.queries: list[str] = []
        self.page.on("request", self._note)
        self.page.goto(url)

    def _hear(self, message: ConsoleMessage) -> None:
        # Chromium says so of every answer with an error status.
        if message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            self.faults.append(message.text)

    def _note(self, request: Request) -> None:
        if request.url.endswith("/chat"):
            self.queries.append(json.loads(request.post_data or "")["query"])

    @property
    def message(self) -> Locator:
        return self.page.locator("#message")

    @property
    def questions(self) -> Locator:
        return self.page.locator(".user .body")

    @property
    def replies(self) -> Locator:
        return self.page.locator(".assistant .body")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def send(self, text: str) -> None:
        """Send a message, without waiting for the reply."""
        self.message.evaluate("(field, text) => { field.value = text; }", text)  # typing changes control characters
        self.message.press("Enter")

    def ask(self, text: str) -> Locator:
        """Send a message, wait until the reply is there, and return it."""
        self.send(text)
        expect(self.button("Send")).to_be_visible()
        return self.replies.last

    def check(self) -> None:
        """Check that the page has asked nobody else, broken no rule of its policy, and run nothing of others."""
        others = [url for url in self.requested if not re.match(rf"{self.url}/(chat|models)?$|data:", url)]
        assert others == []
        assert self.faults == []
        assert self.page.evaluate("violations") == []
        assert self.page.evaluate("ran") == []


OpenPage = Callable[..., Chat]
"""Opens the page of a server with a model, which is the first argument. Others are those of `LocalServer`, and
`context`, the settings of the browser."""
