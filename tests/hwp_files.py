"""HWP 5 files by hand: an OLE container, and the records of paragraphs, controls and tables in it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise

_SECTOR, _MINI, _CUTOFF = 512, 64, 4096
_END, _FREE, _FAT = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD


def compound(streams: Mapping[str, bytes]) -> bytes:
    """An OLE container of these streams, in storages where a path has a slash."""
    container = _Container()
    for path, data in streams.items():
        container.add(path, data)
    return container.closed()


@dataclass
class _Entry:
    """A line of the directory: a storage with entries of its own, or a stream."""

    name: str
    kind: int
    data: bytes = b""
    inside: dict[str, _Entry] = field(default_factory=dict)
    at: int = 0
    right: int = _FREE
    start: int = _END


class _Container:
    """Sectors and the table that chains them; streams under 4,096 bytes share one stream, in small sectors with a table of their own."""

    def __init__(self) -> None:
        self._root = _Entry("Root Entry", 5)
        self._sectors: list[bytes] = []
        self._table: list[int] = []
        self._small_table: list[int] = []

    def add(self, path: str, data: bytes) -> None:
        entry = self._root
        *storages, leaf = path.split("/")
        for name in storages:
            entry = entry.inside.setdefault(name, _Entry(name, 1))
        entry.inside[leaf] = _Entry(leaf, 2, data)

    def closed(self) -> bytes:
        entries = self._numbered(self._root, [self._root])
        for entry in entries[1:]:
            if entry.kind == 2:
                self._place(entry)
        self._root.start = self._stored(self._root.data)
        directory = self._stored(b"".join(map(_line, entries)))
        small = struct.pack(f"<{len(self._small_table)}I", *self._small_table)
        small += b"\xff" * (-len(small) % _SECTOR)
        small_at = self._stored(small)
        count = next(count for count in range(1, 110) if count * 128 >= len(self._sectors) + count)
        places = [*range(len(self._sectors), len(self._sectors) + count), *([_FREE] * (109 - count))]
        table = [*self._table, *([_FAT] * count)]
        table += [_FREE] * (count * 128 - len(table))
        head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
        head += struct.pack("<IIIIIIIII", 0, count, directory, 0, _CUTOFF, small_at, len(small) // _SECTOR, _END, 0)
        return head + struct.pack("<109I", *places) + b"".join(self._sectors) + struct.pack(f"<{len(table)}I", *table)

    def _numbered(self, parent: _Entry, entries: list[_Entry]) -> list[_Entry]:
        children = sorted(parent.inside.values(), key=lambda child: (len(child.name), child.name.upper()))
        for child in children:
            child.at = len(entries)
            entries.append(child)
        for before, after in pairwise(children):
            before.right = after.at  # a tree that leans to the right alone is a tree too
        for child in children:
            self._numbered(child, entries)
        return entries

    def _place(self, entry: _Entry) -> None:
        if len(entry.data) >= _CUTOFF:
            entry.start = self._stored(entry.data)
        elif entry.data:
            count = -(-len(entry.data) // _MINI)
            entry.start = len(self._small_table)
            self._small_table += [*range(entry.start + 1, entry.start + count), _END]
            self._root.data += entry.data.ljust(count * _MINI, b"\0")

    def _stored(self, data: bytes) -> int:
        pieces = [data[at : at + _SECTOR].ljust(_SECTOR, b"\0") for at in range(0, len(data), _SECTOR)]
        first = len(self._sectors)
        self._sectors += pieces
        self._table += [*range(first + 1, first + len(pieces)), _END] if pieces else []
        return first if pieces else _END


def _line(entry: _Entry) -> bytes:
    letters = entry.name.encode("utf-16-le")
    child = min((one.at for one in entry.inside.values()), default=_FREE)
    form = struct.pack("<HBBIII16xIQQIQ", len(letters) + 2, entry.kind, 1, _FREE, entry.right, child, 0, 0, 0, entry.start, len(entry.data))
    return letters.ljust(64, b"\0") + form


def record(tag: int, level: int, data: bytes) -> bytes:
    """A record of a HWP stream."""
    if len(data) < 0xFFF:
        return struct.pack("<I", tag | level << 10 | len(data) << 20) + data
    return struct.pack("<II", tag | level << 10 | 0xFFF << 20, len(data)) + data


def hwp_p(text: str, level: int = 0, shape: int = 0, style: int = 0, controls: Sequence[bytes] = ()) -> bytes:
    """A paragraph of HWP. A tab and each of the controls' letters (codes below 32 that are no marks) take eight units."""
    units = []
    for letter in text + "\r":
        code = ord(letter)
        wide = code < 32 and code not in (10, 13, 24, 30, 31)
        units.append(struct.pack("<8H", code, 0xD800, 7, 0xDC00, 0, 0, 0, code) if wide else letter.encode("utf-16-le"))
    data = b"".join(units)
    head = struct.pack("<IIHBBHHHI", len(data) // 2, 0, shape, style, 0, 0, 0, 0, 0)
    return record(66, level, head) + record(67, level + 1, data) + b"".join(controls)


def hwp_control(id: str, level: int, inside: bytes = b"", data: bytes = b"") -> bytes:
    """A control of HWP with what stands under it; `level` is its paragraph's plus one."""
    return record(71, level, id.encode()[::-1] + data) + inside


def hwp_list(paragraphs: bytes, level: int) -> bytes:
    """The paragraphs of a note, a box, a header."""
    return record(72, level, struct.pack("<II", 1, 0)) + paragraphs


def hwp_table(
    cells: Sequence[tuple[int, int, str]],
    level: int = 1,
    spans: Mapping[tuple[int, int], tuple[int, int]] | None = None,
    header: bool = False,
) -> bytes:
    """A table of HWP: (row, column, text); `spans` as (rows, columns)."""
    inside = record(77, level + 1, struct.pack("<IHH", 0, 1, 1))
    for row, column, text in cells:
        rows, columns = (spans or {}).get((row, column), (1, 1))
        bits = (1 << 18) if header and row == 0 else 0
        inside += record(72, level + 1, struct.pack("<IIHHHH", 1, bits, column, row, columns, rows)) + hwp_p(text, level + 1)
    return hwp_control("tbl ", level, inside)


def hwp_info(
    shapes: Sequence[tuple[int, int, int]] = (), styles: Sequence[str] = (), numberings: Sequence[Sequence[tuple[str, int]]] = ()
) -> bytes:
    """The DocInfo of HWP: shapes as (kind of head, level, numbering), names of styles, levels of numberings as (form, style code)."""
    info = b""
    for levels in numberings:
        heads = b"".join(struct.pack("<IHHIH", code << 5, 0, 0, 0, len(form)) + form.encode("utf-16-le") for form, code in levels)
        info += record(23, 0, heads)
    for kind, level, numbering in shapes:
        info += record(25, 0, struct.pack("<I24xHHH", kind << 23 | level << 25, 0, numbering, 0) + bytes(20))
    for name in styles:
        info += record(26, 0, struct.pack("<H", len(name)) + name.encode("utf-16-le") + bytes(10))
    return info


def hwp(
    sections: Sequence[bytes], info: bytes = b"", flags: int = 1, room: str = "BodyText", more: Mapping[str, bytes] | None = None
) -> bytes:
    """A HWP file; `flags` as in its header (1: packed)."""

    def packed(data: bytes) -> bytes:
        deflate = zlib.compressobj(wbits=-15)
        return deflate.compress(data) + deflate.flush() if flags & 1 else data

    header = b"HWP Document File".ljust(32, b"\0") + struct.pack("<II", 0x05010100, flags)
    texts = {f"{room}/Section{at}": packed(section) if room == "BodyText" else section for at, section in enumerate(sections)}
    return compound(
        {"FileHeader": header.ljust(256, b"\0"), "DocInfo": packed(info or hwp_info([(0, 0, 0)], ["바탕글"])), **texts, **(more or {})}
    )


def locked(section: bytes, seed: int) -> bytes:
    """A section as a document for distribution holds it: its lock, then the packed text under AES."""
    key = b"0123456789ABCDEF"
    deflate = zlib.compressobj(wbits=-15)
    text = deflate.compress(section) + deflate.flush()
    plain = bytearray(256)
    begin = 4 + (seed & 0xF)
    plain[begin : begin + 16] = key
    noise, state = bytearray(), seed
    while len(noise) < 256:
        state = (state * 214013 + 2531011) % (1 << 32)
        letter = (state >> 16) % 256
        state = (state * 214013 + 2531011) % (1 << 32)
        noise += bytes([letter]) * ((state >> 16) % 16 + 1)
    lock = bytearray(left ^ right for left, right in zip(plain, noise, strict=False))
    lock[:4] = struct.pack("<I", seed)
    return record(28, 0, bytes(lock)) + encrypted(text + bytes(-len(text) % 16), key)


def encrypted(data: bytes, key: bytes) -> bytes:
    """AES-128 in ECB mode, by the book (FIPS 197), a byte at a time."""
    box = _box()
    words = [list(key[at : at + 4]) for at in range(0, 16, 4)]
    constant = 1
    for at in range(4, 44):
        word = words[at - 1]
        if at % 4 == 0:
            word = [box[word[1]] ^ constant, box[word[2]], box[word[3]], box[word[0]]]
            constant = _double(constant)
        words.append([left ^ right for left, right in zip(words[at - 4], word, strict=True)])
    keys = [list(chain.from_iterable(words[at : at + 4])) for at in range(0, 44, 4)]
    found = b""
    for begin in range(0, len(data), 16):
        state = [left ^ right for left, right in zip(data[begin : begin + 16], keys[0], strict=True)]
        for turn in range(1, 11):
            state = [box[state[(at + 4 * (at % 4)) % 16]] for at in range(16)]
            if turn < 10:
                state = list(chain.from_iterable(_mixed(state[at : at + 4]) for at in range(0, 16, 4)))
            state = [left ^ right for left, right in zip(state, keys[turn], strict=True)]
        found += bytes(state)
    return found


def _double(value: int) -> int:
    return (value << 1) ^ (0x11B if value & 0x80 else 0)


def _mixed(word: list[int]) -> list[int]:
    all_of_them = word[0] ^ word[1] ^ word[2] ^ word[3]
    return [word[at] ^ all_of_them ^ _double(word[at] ^ word[(at + 1) % 4]) for at in range(4)]


def _box() -> list[int]:
    """The substitution, from the powers of 3 and of its inverse, which go round the field together."""
    box = [0x63] * 256
    power = inverse = 1
    while True:
        power ^= _double(power)
        for shift in (1, 2, 4):
            inverse = (inverse ^ (inverse << shift)) & 0xFF
        inverse ^= 0x09 if inverse & 0x80 else 0
        turned = [((inverse << by) | (inverse >> (8 - by))) & 0xFF for by in range(5)]
        box[power] = turned[0] ^ turned[1] ^ turned[2] ^ turned[3] ^ turned[4] ^ 0x63
        if power == 1:
            return box
