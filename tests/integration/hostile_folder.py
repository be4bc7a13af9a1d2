"""A folder of files that were made to do harm, or that somebody's disk went wrong under.

`FAILS`, `GIVES`, `MAY_GIVE` and `PASSED_OVER` say how each must end.
"""

from __future__ import annotations

import io
import os
import socket
import unicodedata
import zipfile
from pathlib import Path

from pdf_by_hand import CATALOGUE, flood, locked, plain, written

MEGABYTE = 1_000_000
SECRET = "the secret of another file"
_LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
LAUGHS = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "laugh">{_LAUGHS}]>'
_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_ODF = 'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>'
)

FAILS = {
    "bomb.zip": "grows more than 200 times",
    "forty-two.zip": "archives that lie more than 5 deep",
    "truncated.zip": "not a readable ZIP",
    "laughs.docx": r"declares entities in word/document\.xml, .*Don't trust it",
    "laughs.odt": r"declares entities in content\.xml, .*Don't trust it",
    "circle.pdf": r"has no pages that can be found: it is damaged\. Open it in a PDF program",
    "million.pdf": "has 1000000 pages, more than 5000. Split it",
    "flood.pdf": "needs more than 300 MB of memory to be read. Split it",
    "encrypted.pdf": r"is protected by a password\. Save a copy without one",
    "truncated.pdf": r"is not a PDF, or a damaged one\. Open it in a PDF program",
    "letter.pdf": r"is not a PDF, or a damaged one\. Open it in a PDF program",
    "picture.docx": "is damaged, not whole, or not what its name says. Open it in the program that wrote it",
    "sparse.txt": "is larger than 50 MB",
    "sparse.zip": "is larger than 50 MB",
    "rows.csv": "needs more than 300 MB of memory",
    "bad.jsonl": "holds 499900 more parts",
    "deep.json": "nested too deeply. Export it as JSON lines",
    "zero-bytes.txt": "is empty",
    "zero-bytes.pdf": "is empty",
    "zeros.txt": "is not text in any encoding .* Save it as UTF-8",
    "pages.txt": "is not text in any encoding .* Save it as UTF-8",
    "bad?.txt": "a name that is not valid text",
    "gone.txt": "can't be looked into",
}
"""What fails, and words of its reason."""
GIVES = ("good.txt", "line\nbreak.txt", "🔥.txt", "한글.txt", "growing.txt", "wide.zip#a.txt", "deep.html")
MAY_GIVE = ("deep.xml", "external.xml", "laughs.xml")
"""Text, or one failure; never what they ask for."""
PASSED_OVER = ("pipe.txt", "socket.txt", "zero.txt")


def make(folder: Path) -> None:
    """Everything of the two lists; what a system has no such thing for is left out."""
    (folder / "good.txt").write_text("The good file beside them.")
    _archives(folder)
    _documents(folder)
    _plain(folder)
    _pdfs(folder)
    _names(folder)
    if os.name != "nt":
        _special(folder)


def zipped(*entries: tuple[str, bytes | str]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return made.getvalue()


def _archives(folder: Path) -> None:
    (folder / "bomb.zip").write_bytes(zipped(("bomb.txt", bytes(49 * MEGABYTE).replace(b"\0", b"0"))))
    layer = zipped(("0.txt", b"0" * 5 * MEGABYTE))
    for _ in range(6):
        layer = zipped(*((f"{number}.zip", layer) for number in range(8)))
    (folder / "forty-two.zip").write_bytes(layer)
    (folder / "truncated.zip").write_bytes(zipped(("a.txt", os.urandom(5000)))[:3000])
    (folder / "wide.zip").write_bytes(zipped(("a.txt", "in an archive"), ("../../up.xyz", "up"), ("/etc/passwd", "no")))


def _documents(folder: Path) -> None:
    text = f"{LAUGHS}<w:document {_W}><w:body><w:p><w:r><w:t>&l9;</w:t></w:r></w:p></w:body></w:document>"
    (folder / "laughs.docx").write_bytes(zipped(("[Content_Types].xml", _TYPES), ("_rels/.rels", _RELATIONS), ("word/document.xml", text)))
    body = "<office:body><office:text><text:p>&l9;</text:p></office:text></office:body>"
    body = f"{LAUGHS}<office:document-content {_ODF}>{body}</office:document-content>"
    (folder / "laughs.odt").write_bytes(zipped(("mimetype", "application/vnd.oasis.opendocument.text"), ("content.xml", body)))
    (folder / "laughs.xml").write_text(f"{LAUGHS}<x>before &l9; after</x>")
    (folder / "outside.secret").write_text(SECRET)
    outside = (folder / "outside.secret").as_uri()
    (folder / "external.xml").write_text(f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "{outside}">]><x>before &e; after</x>')
    (folder / "picture.docx").write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(2000))


def _plain(folder: Path) -> None:
    (folder / "deep.html").write_text("<div>" * 6_000 + "deep" + "</div>" * 6_000)
    (folder / "deep.xml").write_text("<?xml version='1.0'?>" + "<a>" * 200_000 + "deep" + "</a>" * 200_000)
    (folder / "deep.json").write_text('{"a":' * 200_000 + "1" + "}" * 200_000)
    (folder / "bad.jsonl").write_text("1\n" * 500_000)
    (folder / "rows.csv").write_text("a\n" + "1\n" * 4_000_000)
    (folder / "zero-bytes.txt").write_bytes(b"")
    (folder / "zero-bytes.pdf").write_bytes(b"")
    (folder / "zeros.txt").write_bytes(bytes(MEGABYTE))
    for name in ("sparse.txt", "sparse.zip"):
        with (folder / name).open("wb") as file:
            file.truncate(2_000 * MEGABYTE)


def _pdfs(folder: Path) -> None:
    circle = b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 1000000000 >>"
    (folder / "circle.pdf").write_bytes(written(CATALOGUE, circle))
    (folder / "million.pdf").write_bytes(plain("alone", b"<< /Type /Pages /Kids [3 0 R] /Count 1000000 >>"))
    (folder / "flood.pdf").write_bytes(flood(400))
    (folder / "encrypted.pdf").write_bytes(locked(SECRET, "ondol"))
    whole = plain("a page")
    (folder / "truncated.pdf").write_bytes(whole[: len(whole) // 4])
    (folder / "letter.pdf").write_text("This is no PDF but a letter. " * 20)
    (folder / "pages.txt").write_bytes(b"%PDF-1.4\n" + os.urandom(20_000))


def _names(folder: Path) -> None:
    (folder / unicodedata.normalize("NFD", "한글.txt")).write_text("decomposed")
    (folder / "🔥.txt").write_text("emoji")
    (folder / "growing.txt").write_text("It grows.")
    if os.name != "nt":
        (folder / "line\nbreak.txt").write_text("a line break in the name")


def _special(folder: Path) -> None:
    os.mkfifo(folder / "pipe.txt")
    (folder / "zero.txt").symlink_to("/dev/zero")
    (folder / "gone.txt").symlink_to(folder / "nowhere" / "at all")
    with open(os.fsencode(folder) + b"/bad\xff.txt", "w") as file:  # noqa: PTH123 - pathlib can't spell it
        file.write("x")
    before = Path.cwd()
    os.chdir(folder)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket.txt")
        os.chdir(folder)
        for _ in range(30):  # 30 x 200 letters: longer than any path may be
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
        Path("too-deep.txt").write_text("nobody can name me")
    finally:
        os.chdir(before)
