"""PDFs written out object by object: what no program would write, and pages under a password (RC4, the standard security handler)."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence

CATALOGUE = b"<< /Type /Catalog /Pages 2 0 R >>"
PAGES = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
PAGE = (
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R "
    b"/Resources << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>"
)
_PAD = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")
_ID = b"0123456789abcdef"
_PERMITTED = -4
_LOCK_AT = 5


def written(*objects: bytes, trailer: bytes = b"") -> bytes:
    """A PDF of these objects, the first one its catalogue, with a table of their places."""
    made, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    count = len(objects) + 1
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer\n<< /Size %d /Root 1 0 R %b >>\nstartxref\n%d\n%%%%EOF\n" % (count, trailer, len(made))
    return made + b"xref\n0 %d\n0000000000 65535 f \n" % count + table + end


def stream(data: bytes, more: bytes = b"") -> bytes:
    """An object's body that holds these bytes."""
    return b"<< /Length %d %b >>\nstream\n%b\nendstream" % (len(data), more, data)


def said(text: str) -> bytes:
    """The content of a page that shows this line of plain letters."""
    return b"BT /F 12 Tf 50 700 Td (%b) Tj ET\n" % text.encode("ascii")


def plain(text: str, pages: bytes = PAGES) -> bytes:
    """One page with this line; `pages` may lie about how many there are."""
    return written(CATALOGUE, pages, PAGE, stream(said(text)))


def flood(megabytes: int) -> bytes:
    """One page whose content inflates to so many megabytes of text, and then does not end."""
    piece = said("flood") * (1_000_000 // len(said("flood")))
    packer = zlib.compressobj(9)
    begin = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)  # stands for itself: nothing in it points before it
    return written(CATALOGUE, PAGES, PAGE, stream(begin + again * (megabytes - 1), b"/Filter /FlateDecode"))


def locked(text: str, password: str, owner: str = "the owner's") -> bytes:
    """One page with this line under 128 bits of RC4 (revision 3). `password` opens it: an empty one without being asked for."""
    opens = _padded(password)
    owned = hashlib.md5(_padded(owner)).digest()
    for _ in range(50):
        owned = hashlib.md5(owned).digest()
    for_owner = _turned(owned, opens)
    key = hashlib.md5(opens + for_owner + struct.pack("<i", _PERMITTED) + _ID).digest()
    for _ in range(50):
        key = hashlib.md5(key).digest()
    for_user = _turned(key, hashlib.md5(_PAD + _ID).digest()) + bytes(16)
    of_object = hashlib.md5(key + (4).to_bytes(3, "little") + bytes(2)).digest()
    lock = b"<< /Filter /Standard /V 2 /R 3 /Length 128 /P %d /O <%b> /U <%b> >>" % (
        _PERMITTED, for_owner.hex().encode(), for_user.hex().encode(),
    )  # fmt: skip
    trailer = b"/Encrypt %d 0 R /ID [<%b> <%b>]" % (_LOCK_AT, _ID.hex().encode(), _ID.hex().encode())
    return written(CATALOGUE, PAGES, PAGE, stream(_rc4(of_object, said(text))), lock, trailer=trailer)


def _padded(password: str) -> bytes:
    return (password.encode("latin-1") + _PAD)[:32]


def _turned(key: bytes, data: bytes) -> bytes:
    """Twenty times RC4, with another key each."""
    for turn in range(20):
        data = _rc4(bytes(byte ^ turn for byte in key), data)
    return data


def _rc4(key: Sequence[int], data: bytes) -> bytes:
    box, other = list(range(256)), 0
    for at in range(256):
        other = (other + box[at] + key[at % len(key)]) % 256
        box[at], box[other] = box[other], box[at]
    found, at, other = bytearray(), 0, 0
    for byte in data:
        at = (at + 1) % 256
        other = (other + box[at]) % 256
        box[at], box[other] = box[other], box[at]
        found.append(byte ^ box[(box[at] + box[other]) % 256])
    return bytes(found)
