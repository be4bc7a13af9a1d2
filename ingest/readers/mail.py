"""Mail: a message of `.eml`, all messages of `.mbox`; what is attached is handed on as files."""

from __future__ import annotations

import email
import email.policy
import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import parsedate_to_datetime

from app.core.errors import ItemError
from ingest.documents import Block, Document, Failed, tidy
from ingest.readers.contract import FileContent
from ingest.readers.encoding import decode
from ingest.readers.plain import paragraphs

_FROM_LINE = re.compile(rb"^From [^\r\n]*\r?\n", re.MULTILINE)
_ESCAPED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_SHOWN = ("From", "To", "Cc", "Date")
_SLASHES = re.compile(r"[/\\\x00-\x1f]+")
_SOFT_BREAK = re.compile(r"(?<! ) \n(?!>)")
_DECORATION = 100_000
"""Bytes of a picture inside the text below which it is a logo or a smiley."""
_SHORT = 0.2
"""Of the HTML part's text: a plain part shorter than this only says that the mail is HTML."""
_WESTERN = ("iso-8859-1", "latin-1", "latin1", "windows-1252", "cp1252", "us-ascii", "ascii", "")
# What mail programs call CP949, which holds more syllables than the standard that the names stand for.
_KOREAN = ("ks_c_5601-1987", "ks_c_5601-1989", "ks_c_5601_1987", "ksc5601", "euc-kr", "euckr", "x-windows-949", "ms949", "uhc")


class EmlReader:
    """`.eml`: one message. Its attachments are read by their suffixes, and have its id before theirs."""

    def unpack(self, file: FileContent) -> Iterator[FileContent | Document | Failed]:
        """The message, then what is attached."""
        yield from _message(file, "", file.data)


class MboxReader:
    """`.mbox`: each message is known by its Message-ID, else by its number from 1; an attachment by its message and its name."""

    def unpack(self, file: FileContent) -> Iterator[FileContent | Document | Failed]:
        """Each message, followed by what is attached to it."""
        seen: set[str] = set()
        for number, data in enumerate(_messages(file.data), 1):
            name = _message_id(data) or str(number)
            if name in seen:
                name = f"{name} {number}"
            seen.add(name)
            yield from _message(file, name, data)


def _messages(data: bytes) -> Iterator[bytes]:
    """The messages of an mbox without the lines that part them: `From ` at the file's beginning or after an empty line."""
    starts = [
        found
        for found in _FROM_LINE.finditer(data)
        if found.start() == 0 or data[max(found.start() - 3, 0) : found.start()].endswith((b"\n\n", b"\n\r\n"))
    ]
    if not starts or data[: starts[0].start()].strip():
        raise ItemError("is not a mailbox: it does not begin with a line `From `.", hint="Export it from the mail program as mbox.")
    for found, after in zip(starts, [*starts[1:], None], strict=True):
        yield _ESCAPED_FROM.sub(rb"\1", data[found.end() : after.start() if after is not None else len(data)])


def _message_id(data: bytes) -> str:
    head = email.message_from_bytes(data[:100_000], policy=email.policy.compat32)
    return _SLASHES.sub("_", _header(head, "Message-ID").strip("<> "))


def _message(file: FileContent, name: str, data: bytes) -> Iterator[FileContent | Document | Failed]:
    """`name` is the message's own inside a mailbox, empty where the file is the message."""
    message = email.message_from_bytes(data, policy=email.policy.compat32)
    id = f"{file.id}#{name}" if name else file.id
    headers = {label: said for label in _SHOWN if (said := _header(message, label))}
    if sent := _sent(headers.get("Date", "")):
        headers["Date"] = sent
    subject = _header(message, "Subject")
    mail = _Mail()
    mail.take(message)
    said = "\n".join(f"{label}: {value}" for label, value in headers.items())
    blocks = (*([Block(said, kind="row")] if said else []), *mail.blocks)
    if not subject and not mail.blocks and not mail.attached:
        yield Failed(id, f"{id} has no text: it is no mail, or an empty one.")
        return
    yield Document(id, subject or headers.get("From", "") or file.stem, blocks or (Block(subject),), attributes=dict(headers))
    for path, content in mail.attached:
        yield file.inner(f"{name}/{path}" if name else path, content)


@dataclass
class _Mail:
    """A message's text, and what is attached to it by name."""

    blocks: list[Block] = field(default_factory=list)
    attached: list[tuple[str, bytes]] = field(default_factory=list)

    def take(self, part: Message) -> None:
        """A part with all below it."""
        kind = part.get_content_type()
        if kind == "message/rfc822":
            self._enclosed(part)
        elif kind == "multipart/alternative":
            self._alternative(part)
        elif part.is_multipart():
            for inner in _parts(part):
                self.take(inner)
        elif _is_text(part):
            self.blocks += _text(part)
        else:
            self._file(part)

    def _alternative(self, part: Message) -> None:
        leaves = [leaf for leaf in part.walk() if not leaf.is_multipart()]
        plain = [block for leaf in leaves if leaf.get_content_type() == "text/plain" and _is_text(leaf) for block in _text(leaf)]
        html = [block for leaf in leaves if leaf.get_content_type() == "text/html" and _is_text(leaf) for block in _text(leaf)]
        self.blocks += plain if _length(plain) > _SHORT * _length(html) else html
        for leaf in leaves:
            if not _is_text(leaf):
                self._file(leaf)

    def _enclosed(self, part: Message) -> None:
        for inner in _parts(part):
            name = _header(inner, "Subject") or "message"
            self._add(f"{name}.eml", inner.as_bytes())

    def _file(self, part: Message) -> None:
        data = part.get_payload(decode=True)
        if not isinstance(data, bytes) or not data.strip():
            return
        decoration = part.get_content_maintype() == "image" and part.get("Content-ID") and part.get_content_disposition() != "attachment"
        if decoration and len(data) < _DECORATION:
            return
        name = _decoded(part.get_filename() or "")
        self._add(name or f"attachment{mimetypes.guess_extension(part.get_content_type()) or ''}", data)

    def _add(self, name: str, data: bytes) -> None:
        name = _SLASHES.sub("_", name)
        stem, dot, suffix = name.rpartition(".")
        taken = {path for path, _ in self.attached}
        number = 1
        while name in taken:
            number += 1
            name = f"{stem} ({number}){dot}{suffix}"
        self.attached.append((name, data))


def _parts(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [inner for inner in payload if isinstance(inner, Message)] if isinstance(payload, list) else []


def _is_text(part: Message) -> bool:
    shown = part.get_content_disposition() != "attachment" and not part.get_filename()
    return shown and part.get_content_type() in ("text/plain", "text/html")


def _text(part: Message) -> list[Block]:
    data = part.get_payload(decode=True)
    text = _letters(data, str(part.get_content_charset() or "")) if isinstance(data, bytes) else ""
    if part.get_content_type() == "text/html":
        from ingest.readers.html import HtmlReader

        (page,) = HtmlReader().read(FileContent("mail", text.encode()))
        return list(page.blocks)
    if part.get_param("format") == "flowed":
        text = _SOFT_BREAK.sub(" ", text)
    return list(paragraphs(text))


def _letters(data: bytes, declared: str) -> str:
    declared = "cp949" if declared.lower() in _KOREAN else declared.lower()
    # Mail that says it is Western, or nothing, is often something else; what it says otherwise is believed where it fits.
    if declared not in _WESTERN:
        try:
            return tidy(data.decode(declared))
        except (UnicodeDecodeError, LookupError):
            pass
    if not data.strip():
        return ""
    try:
        return decode(data, declared)
    except ItemError:
        return tidy(data.decode("utf-8", "replace"))


def _header(message: Message, name: str) -> str:
    # As it stands in the file: asked by name, bytes that are no ASCII come back as question marks.
    return next((_decoded(str(value)) for header, value in message.raw_items() if header.lower() == name.lower()), "")


def _decoded(raw: str) -> str:
    """A header as it was meant: encoded words, or bytes as they are, which the standard forbids and old Korean programs write."""
    if any("\udc80" <= letter <= "\udcff" for letter in raw):
        raw = _letters(raw.encode("utf-8", "surrogateescape"), "")
    try:
        words = decode_header(raw)
    except (ValueError, HeaderParseError):
        words = [(raw, None)]
    return " ".join(tidy("".join(_word(text, charset) for text, charset in words)).split())


def _word(text: str | bytes, charset: str | None) -> str:
    if isinstance(text, str):
        return text
    return _letters(text, charset) if charset else text.decode("raw-unicode-escape", "replace")


def _sent(said: str) -> str:
    """The date in ISO form, which sorts; in UTC where the mail says its zone."""
    try:
        sent = parsedate_to_datetime(said)
    except (ValueError, TypeError, IndexError):
        return ""
    return (sent.astimezone(UTC) if sent.tzinfo else sent).isoformat()


def _length(blocks: list[Block]) -> int:
    return sum(len(block.text) for block in blocks)
