"""One server and one Open WebUI before it, for all tests that drive the real one: started once, as that takes a minute. And a desktop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import open_webui
import open_webui_install
import pytest
import tray_host
from company import company
from open_webui import OpenWebUI
from postgres_servers import embedded_server
from product import Product, Served
from recording_relay import Relay
from shown_icon import Running, showing
from tray_host import Desktop, Panel

from models.installed import InstalledModel


@dataclass(frozen=True)
class Page:
    """Our server, the relay in front of it, and Open WebUI, which knows the relay's address alone."""

    product: Product
    served: Served
    relay: Relay
    web: OpenWebUI


@pytest.fixture(scope="session")
def chat_page(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, smollm2: Path, minilm: InstalledModel) -> Iterator[Page]:
    program = open_webui_install.installed()
    folder = tmp_path_factory.mktemp("open-webui")
    product = company(folder / "home", models_dir)
    with product.serving() as served, embedded_server() as vectors:
        relay = Relay(urlsplit(served.url).port or 0)
        try:
            with open_webui.running(program, relay.url, served.key, folder / "data", vectors) as web:
                yield Page(product, served, relay, web)
        finally:
            relay.close()


@pytest.fixture(scope="session")
def chromium() -> Path:
    return open_webui_install.browser()


@pytest.fixture(scope="module")
def desktop() -> Iterator[Desktop]:
    """Without a screen, one for a file."""
    with tray_host.desktop() as started:
        yield started


@pytest.fixture
def panel(desktop: Desktop) -> Iterator[Panel]:
    """Of that desktop."""
    with Panel(desktop.bus) as started:
        yield started


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the icon's pictures are kept, for a file."""
    return tmp_path_factory.mktemp("그림 pictures")


@pytest.fixture
def icon(desktop: Desktop, panel: Panel, pictures: Path) -> Iterator[Running]:
    """A program that shows `shown_icon.FULL` in that desktop's panel."""
    with showing(desktop.environment, pictures) as running:
        running.next("ready")
        yield running
