"""A zip that its owner can send to who helps: facts, versions, settings, what `ondol doctor` says, ends of logs. No secrets.

Never in it: keys, passwords, addresses of databases, chats, texts of documents. It is made by a child process of its own
(`python -m tray.diagnosis.diagnostics FOLDER`), so that what it needs is gone from the tray's memory when it is done.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from app.core.errors import OndolError, foreign
from app.core.paths import Home
from app.core.redaction import secrets_in
from app.core.server_record import ServerRecord
from tray.diagnosis.facts import facts, packages
from tray.diagnosis.scrub import Scrub, named_secrets, texts_in

LOG_BYTES = 500_000  # of each log, from its end
ALL_BYTES = 12_000_000  # of all of them, before compression; the zip is about a tenth of it
ASK_SECONDS = 60.0
MAKE_SECONDS = 180.0
FOLDERS = ("PWD", "OLDPWD")
NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)
EXPLAINED = """\
What is in here was collected by Ondol on this computer, to be sent to somebody who helps. Please look through it first.

facts.json      this computer: system, memory, disk, sizes of Ondol's files, the running server
packages.txt    versions of the installed Python packages
settings.json   the settings in force; keys, passwords and addresses of databases are hidden
doctor.txt      what `ondol doctor` says
logs/           the ends of the logs, without lines that could quote chats or documents; names of files and tables stay

Not in here: the API key, passwords, addresses of databases, chats, texts of documents.

이 파일에는 이 컴퓨터에서 온돌이 모은 진단 정보가 들어 있습니다. 보내기 전에 내용을 확인해 주세요.
API 키, 비밀번호, 데이터베이스 주소, 대화 내용, 문서 본문은 들어 있지 않습니다. 파일과 테이블의 이름은 로그에 남아 있습니다.
"""


def save(home: Home, folder: Path | None = None, *, seconds: float = MAKE_SECONDS) -> Path:
    """Make the zip in a child process; the file. Takes seconds: not for the thread of a menu. OndolError where it can't be made."""
    folder = folder or where(home)
    line = [sys.executable, "-P", "-m", "tray.diagnosis.diagnostics", str(folder)]
    environ = {**os.environ, "ONDOL_HOME": str(home.root), "PYTHONIOENCODING": "utf-8"}
    try:
        done = subprocess.run(
            line, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False, creationflags=NO_WINDOW
        )
    except subprocess.TimeoutExpired:
        raise OndolError(
            f"The diagnostics were not ready after {seconds:.0f} s.", hint=f"The logs themselves are in {home.logs}."
        ) from None
    except OSError as error:
        raise foreign(error) from error
    said = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode != 0:
        raise OndolError(said or f"The diagnostics could not be made (status {done.returncode}).")
    return Path(said.splitlines()[-1])


def where(home: Home) -> Path:
    """Where a user finds it again: Downloads, else the home folder, else the data folder."""
    import platformdirs

    for folder in (platformdirs.user_downloads_path(), Path.home()):
        if folder.is_dir() and os.access(folder, os.W_OK):
            return folder
    return home.root


def make(home: Home, folder: Path, *, now: datetime.datetime | None = None) -> Path:
    """Make the zip here and now. It is whole or not there. DiskFull or another OndolError where it can't be written."""
    stamp = (now or datetime.datetime.now().astimezone()).strftime("%Y%m%d-%H%M%S")
    path = folder / f"ondol-diagnostics-{stamp}.zip"
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), "wb") as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made,
        ):
            for name, text in parts(home):
                made.writestr(name, text)
        beside.replace(path)
    except OSError as error:
        raise foreign(error) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
    return path


def parts(home: Home) -> Iterator[tuple[str, str]]:
    """Names and texts of what goes in. A part that fails says so in its place, and stops no other."""
    scrub = Scrub(known_secrets(home, os.environ), folders(home))

    def part(name: str, make: Callable[[], str]) -> tuple[str, str]:
        try:
            return name, make()
        except Exception as error:  # noqa: BLE001 - whatever is broken on this computer is what the zip is to tell
            return name, scrub.error(error)

    yield "README.txt", EXPLAINED
    yield part("facts.json", lambda: _json(scrub.values(facts(home))))
    yield part("packages.txt", lambda: scrub.text("\n".join(packages()) + "\n"))
    yield part("settings.json", lambda: _settings(home, scrub))
    yield part("doctor.txt", lambda: scrub.text(ask(home, "doctor")))
    yield from _logs(home, scrub)


def ask(home: Home, *words: str) -> str:
    """What an `ondol` command prints, in a process of its own."""
    environ = {**os.environ, "ONDOL_HOME": str(home.root), "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1", "COLUMNS": "140"}
    line = [sys.executable, "-P", "-m", "app.cli", *words]
    try:
        done = subprocess.run(
            line, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=ASK_SECONDS, check=False, creationflags=NO_WINDOW
        )
    except subprocess.TimeoutExpired:
        return f"`ondol {' '.join(words)}` did not end within {ASK_SECONDS:.0f} s\n"
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def known_secrets(home: Home, environ: Mapping[str, str]) -> set[str]:
    """The texts that must not go out, whatever stands around them: our key, passwords of databases, secrets of the settings.

    Nothing is made. Files are read as text too, for one that is damaged still holds its secrets.
    """
    # `PWD` is a shell's folder, and a switch such as `..._TOKEN=true` is no secret.
    found = {value for value in secrets_in({name: environ[name] for name in environ if name not in FOLDERS}) if len(value) >= 8}
    for path, read in ((home.key, str.split), (home.secrets, texts_in), (home.config, named_secrets)):
        with contextlib.suppress(OSError):
            found |= set(read(path.read_text(encoding="utf-8-sig", errors="replace")))
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        found.add(msgspec.json.decode(home.server.read_bytes(), type=ServerRecord).token)
    with contextlib.suppress(Exception):  # a mistake in the settings is told elsewhere
        from app.core.settings import load_settings, plain

        found |= set(secrets_in(plain(load_settings(home, environ=environ))))
    return {secret for secret in found if secret}


def folders(home: Home) -> list[tuple[str, str]]:
    """The folders whose names are nobody's business, and what stands for each: they hold the user's own name."""
    places = [(home.root, "<data>")]
    with contextlib.suppress(RuntimeError):  # a user without a home folder
        places.append((Path.home(), "~"))
    return [(str(form), instead) for place, instead in places for form in {place, place.absolute(), place.resolve()}]


def _settings(home: Home, scrub: Scrub) -> str:
    said = ask(home, "config", "show", "--json")
    try:
        return _json(scrub.values(json.loads(said)))
    except ValueError:  # what is wrong with them
        return scrub.text(said)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n"


def _logs(home: Home, scrub: Scrub) -> Iterator[tuple[str, str]]:
    """The ends of the logs, the newest first, until there is enough."""
    left = ALL_BYTES
    try:
        files = sorted((path for path in home.logs.iterdir() if path.is_file()), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError as error:
        yield "logs/none.txt", scrub.error(error)
        return
    for path in files:
        if left <= 0:
            return
        try:
            lines = _end(path, min(LOG_BYTES, left))
        except OSError as error:
            yield f"logs/{scrub.text(path.name)}", scrub.error(error)
            continue
        text = "\n".join(scrub.log(lines, ours=not path.name.startswith("open-webui"))) + "\n"
        left -= len(text.encode())
        if text.strip():
            yield f"logs/{scrub.text(path.name)}", text


def _end(path: Path, most: int) -> list[str]:
    """The last lines of a file, at most so many bytes; a line that is cut is left out: its level stood before the cut."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - most))
        lines = file.read(most).decode("utf-8", "replace").splitlines()
    return lines[1:] if size > most else lines


def main() -> None:
    """The child: makes the zip in the folder that it is told, prints its path, or why not and status 1."""
    try:
        path = make(Home.find(), Path(sys.argv[1]))
    except OndolError as error:
        print(error)  # noqa: T201  # read by the parent
        sys.exit(1)
    print(path)  # noqa: T201  # read by the parent


if __name__ == "__main__":
    main()
