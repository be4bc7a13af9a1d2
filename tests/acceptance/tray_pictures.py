"""Pictures of the icon in a real panel (xfce4-panel), for each state on light and dark, and of its open menu in both languages.

    python tests/acceptance/tray_pictures.py FOLDER

Beside what `tray_host.py` needs, Debian: apt install xfce4-panel openbox xdotool imagemagick fonts-noto-cjk
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import tray_host
from PIL import Image, ImageChops

from tray.records import Action, ActionKind, ChatPage, Choices, Download, Model, Problem, Server, Snapshot, State, Sync

PROGRAM = Path(__file__).with_name("tray_icon_program.py")
WIDE, HIGH, PANEL = 900, 760, 28
COLOURS = 64  # of a picture's palette

PANEL_XML = """<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="dark-mode" type="bool" value="{dark}"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="length" type="uint" value="100"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="size" type="uint" value="{size}"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/><value type="int" value="2"/></property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="separator">
      <property name="expand" type="bool" value="true"/><property name="style" type="uint" value="0"/>
    </property>
    <property name="plugin-2" type="string" value="systray"><property name="square-icons" type="bool" value="true"/></property>
  </property>
</channel>
"""


def snapshots() -> dict[State, Snapshot]:
    """One of each state, as it comes about."""
    retry = Action(ActionKind.START_SERVER)
    servers = {
        State.STARTING: Server(State.STARTING, progress="migrating"),
        State.BACKOFF: Server(State.BACKOFF, problem=Problem("crashed", {"detail": "signal 9"})),
        State.FAILED: Server(State.FAILED, problem=Problem("port_taken", {"port": "11500", "program": "nginx"}, retry)),
    }
    return {state: Snapshot(server=servers.get(state, Server(state, "http://127.0.0.1:11500", "0.1.0"))) for state in State}


def full(language: str) -> Snapshot:
    """A menu with something in every place."""
    return Snapshot(
        server=Server(State.READY, "http://127.0.0.1:11500", "0.1.0"),
        models=(
            Model("smollm2-135m-instruct", "smollm2-135m-instruct", "loaded", default=True),
            Model("qwen2.5-7b-instruct", "qwen2.5-7b-instruct"),
        ),
        downloads=(Download("gemma", "gemma-3-4b-it Q4_K_M", 1_071_000_000, 2_490_000_000),),
        sync=Sync(last=time.time() - 320, sources=2),
        chat=ChatPage("ready"),
        choices=Choices(language=language),  # type: ignore[arg-type]
        starts_at_login=True,
    )


class Stage:
    """A desktop with a panel and the icon in it."""

    def __init__(self, environment: dict[str, str], program: subprocess.Popen[str]) -> None:
        self._environment, self._program = environment, program

    def show(self, snapshot: Snapshot) -> None:
        self.ask(show=snapshot)
        time.sleep(1.2)

    def ask(self, **asked: Any) -> None:
        assert self._program.stdin is not None
        self._program.stdin.write(json.dumps(msgspec.to_builtins(asked)) + "\n")
        self._program.stdin.flush()

    def mouse(self, *words: str) -> None:
        subprocess.run(["xdotool", *words], env=self._environment, check=True)
        time.sleep(0.7)

    def picture(self) -> Image.Image:
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            subprocess.run(["import", "-window", "root", file.name], env=self._environment, check=True)
            return Image.open(file.name).convert("RGB").copy()


@contextlib.contextmanager
def stage(*, dark: bool) -> Iterator[Stage]:
    """Until the block ends."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        channel = folder / "xfce4" / "xfconf" / "xfce-perchannel-xml"
        channel.mkdir(parents=True)
        (channel / "xfce4-panel.xml").write_text(PANEL_XML.format(dark=str(dark).lower(), size=PANEL))
        os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_CACHE_HOME"] = str(folder)  # the bus starts the panel's settings service
        desktop = stack.enter_context(tray_host.desktop(f"{WIDE}x{HIGH}x24"))
        environment = desktop.environment
        for line in (["openbox"], ["xfce4-panel", "--disable-wm-check"]):
            process = subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(process.wait, 10)
            stack.callback(process.terminate)
        time.sleep(4)
        program = stack.enter_context(
            subprocess.Popen(
                [sys.executable, str(PROGRAM)], env={**environment, "PYTHONPATH": str(PROGRAM.parents[2])},
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            )
        )  # fmt: skip
        made = Stage(environment, program)
        made.ask(show=Snapshot(), pause=0.1)
        time.sleep(4)
        yield made
        made.ask(stop=True)


def changed(before: Image.Image, after: Image.Image) -> Image.Image:
    """The part of `after` that differs, with a little around it."""
    left, top, right, bottom = ImageChops.difference(before, after).getbbox() or (0, 0, WIDE, HIGH)
    return after.crop((max(0, left - 6), max(0, top - 6), min(WIDE, right + 6), min(HIGH, bottom + 6)))


def save(picture: Image.Image, path: Path) -> None:
    picture.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    panels: dict[State, list[Image.Image]] = {state: [] for state in State}
    for dark in (False, True):
        with stage(dark=dark) as shown:
            for state, snapshot in snapshots().items():
                shown.show(snapshot)
                panels[state].append(shown.picture().crop((WIDE - 72, 0, WIDE, PANEL)))
            if dark:
                continue
            for language in ("en", "ko"):
                shown.show(replace(full(language), downloads=()))
                shown.show(full(language))
                closed = shown.picture()
                shown.mouse("mousemove", str(WIDE - 16), str(PANEL // 2), "click", "1")
                save(changed(closed, shown.picture()), folder / f"menu-{language}.png")
                for name, keys in (("models", ["Down"] * 3), ("server", ["Down"] * 5), ("settings", ["Down"] * 7)):
                    shown.mouse("key", "Escape")
                    shown.mouse("mousemove", str(WIDE - 16), str(PANEL // 2), "click", "1")
                    shown.mouse("key", "--delay", "60", *keys, "Right")
                    save(changed(closed, shown.picture()), folder / f"menu-{name}-{language}.png")
                shown.mouse("key", "Escape")
                shown.mouse("key", "Escape")
            shown.show(replace(snapshots()[State.FAILED], choices=Choices(language="en")))
            closed = shown.picture()
            shown.mouse("mousemove", str(WIDE - 16), str(PANEL // 2), "click", "1")
            save(changed(closed, shown.picture()), folder / "menu-problem-en.png")
            shown.mouse("key", "Escape")
    for state, (light, dark_one) in panels.items():
        both = Image.new("RGB", (light.width * 2, PANEL))
        both.paste(light, (0, 0))
        both.paste(dark_one, (light.width, 0))
        save(both, folder / f"{state}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
