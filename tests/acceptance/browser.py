"""A headless Chromium before Open WebUI: what its users see, and what their browser asks for. The one file that knows playwright."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

from playwright.sync_api import Error, Locator, Page, Request, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120_000  # milliseconds
HERE = ("127.0.0.1", "localhost", "")
# Quiet programs: the browser itself looks for updates, and needs no sandbox where root runs it in a container.
ARGUMENTS = ["--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage", "--disable-component-update"]


def shots() -> Path:
    """Where screenshots are kept: `ONDOL_TEST_SHOTS`, else `.bootstrap/shots`."""
    folder = Path(os.environ.get("ONDOL_TEST_SHOTS") or ROOT / ".bootstrap" / "shots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Chat:
    """One page with one chat. `outside` are hosts beyond this machine that it asked for, `errors` what broke in it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self._url = page, url
        self.outside: set[str] = set()
        self.errors: list[str] = []
        page.on("request", self._asked)
        page.on("pageerror", lambda error: self.errors.append(str(error)[:300]))

    def open(self, model: str) -> None:
        """A new chat with this model."""
        self.page.goto(f"{self._url}/?models={quote(model)}", wait_until="domcontentloaded", timeout=90_000)
        self.page.wait_for_selector("#chat-input", timeout=90_000)
        for notice in self.page.get_by_role("button", name="Close toast").all():
            with suppress(Error):  # it went by itself
                notice.click(timeout=1000)

    @property
    def suggestions(self) -> Locator:
        """The questions to begin with, as offered; a click asks one."""
        return self.page.get_by_role("listitem").get_by_role("button")

    def send(self, question: str) -> None:
        """Type and send."""
        self.page.locator("#chat-input").click()
        self.page.keyboard.insert_text(question)
        self.page.keyboard.press("Enter")

    def ask(self, question: str) -> str:
        """Send, and wait for the end of the answer; its text as shown."""
        self.send(question)
        return self.answered()

    def answered(self) -> str:
        """Wait for the end of the answer: what can be done with it shows then. Its text as shown."""
        self.page.locator("button.regenerate-response-button").last.wait_for(state="attached", timeout=PATIENCE)
        return self.answer.inner_text()

    def stop(self) -> None:
        """The Stop button, where the answer still grows."""
        button = self.page.get_by_role("button", name=re.compile("^(Stop|정지|중지)$"))
        if button.is_visible():
            button.click()
        self.page.locator("button.regenerate-response-button").last.wait_for(state="attached", timeout=PATIENCE)

    @property
    def answer(self) -> Locator:
        """The last answer, while it grows and after."""
        return self.page.locator(".chat-assistant").last

    @property
    def progress(self) -> Locator:
        """The line of progress over the answer."""
        return self.answer.locator(".status-description").first

    @property
    def chips(self) -> Locator:
        """The marks of sources in the answer's text."""
        return self.answer.locator(".markdown-prose button")

    def source(self, place: int) -> str:
        """Open the source behind a chip; what its window shows. It stays open, to be looked at."""
        self.chips.nth(place).click()
        window = self.page.get_by_role("dialog").last
        window.get_by_text(re.compile("%")).first.wait_for()
        return window.inner_text()

    def shot(self, name: str) -> Path:
        """A picture of the page."""
        self.page.wait_for_timeout(700)  # what slides or fades in has come to rest
        path = shots() / f"{name}.png"
        self.page.screenshot(path=path)
        return path

    def _asked(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme.startswith(("http", "ws")) and (address.hostname or "") not in HERE:
            self.outside.add(str(address.hostname))


@contextmanager
def browsing(program: Path, url: str, *, locale: str = "en-US") -> Iterator[Chat]:
    """A fresh browser profile in this language."""
    arguments = [*ARGUMENTS, *(["--no-sandbox"] if sys.platform.startswith("linux") else [])]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, headless=True, args=arguments)
        try:
            context = browser.new_context(viewport={"width": 1280, "height": 860}, locale=locale, base_url=url)
            context.add_init_script(f"localStorage.setItem('locale', '{locale}')")
            yield Chat(context.new_page(), url)
        finally:
            browser.close()
