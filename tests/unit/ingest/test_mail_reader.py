from __future__ import annotations

import base64
from email.message import EmailMessage

import pytest

from app.core.errors import ItemError
from ingest.documents import Document, Failed
from ingest.readers.contract import FileContent
from ingest.readers.mail import EmlReader, MboxReader
from ingest.reading.whole import read_whole


def unpack(data: bytes, name: str = "a.eml") -> list[FileContent | Document | Failed]:
    reader = MboxReader() if name.endswith("mbox") else EmlReader()
    return list(reader.unpack(FileContent(f"/data/{name}", data)))


def one(data: bytes) -> Document:
    document, *_ = unpack(data)
    assert isinstance(document, Document)
    return document


def said(document: Document) -> list[str]:
    return [block.text for block in document.blocks]


def letter(subject: str = "휴가 규정", body: str = "안녕하세요.\n\n휴가는 18일입니다.\n\n-- \n김하늘") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "김하늘 <kim@example.com>"
    message["To"] = "lee@example.com"
    message["Date"] = "Mon, 02 Mar 2026 09:00:00 +0900"
    message["Subject"] = subject
    message["Message-ID"] = "<one@example.com>"
    message.set_content(body)
    return message


def raw(charset: str, body: bytes, encoding: str = "8bit", kind: str = "text/plain") -> bytes:
    head = f"From: a@example.com\nSubject: test\nContent-Type: {kind}; charset={charset}\nContent-Transfer-Encoding: {encoding}\n\n"
    return head.encode() + body


def test_a_mail_is_a_document_with_its_headers_as_attributes_and_its_signature():
    found = one(letter().as_bytes())
    assert (found.id, found.title) == ("/data/a.eml", "휴가 규정")
    assert found.attributes == {"From": "김하늘 <kim@example.com>", "To": "lee@example.com", "Date": "2026-03-02T00:00:00+00:00"}
    assert said(found) == [
        "From: 김하늘 <kim@example.com>\nTo: lee@example.com\nDate: 2026-03-02T00:00:00+00:00",
        "안녕하세요.",
        "휴가는 18일입니다.",
        "-- \n김하늘",
    ]


@pytest.mark.parametrize(
    ("charset", "codec"),
    [("euc-kr", "euc-kr"), ("ks_c_5601-1987", "cp949"), ("iso-2022-kr", "iso2022_kr"), ("utf-8", "utf-8"), ("utf-16", "utf-16")],
)
def test_korean_mail_is_read_in_each_of_its_charsets(charset, codec):
    text = "온돌방은 따뜻합니다." if codec != "cp949" else "똠방각하 뷁, 온돌방은 따뜻합니다."
    data = raw(charset, base64.b64encode(text.encode(codec)), "base64")
    assert said(one(data))[1:] == [text]


def test_a_charset_that_is_not_said_or_wrong_is_recognised():
    text = "온돌방은 따뜻합니다. 바닥을 데웁니다."
    assert said(one(raw("us-ascii", text.encode("cp949"))))[1:] == [text]
    assert said(one(raw("iso-8859-1", text.encode())))[1:] == [text]
    assert said(one(raw("no-such-charset", text.encode("cp949"))))[1:] == [text]


def test_quoted_printable_is_undone():
    assert said(one(raw("utf-8", b"=EC=98=A8=EB=8F=8C is warm =\nand cheap", "quoted-printable")))[1:] == ["온돌 is warm and cheap"]


def test_headers_of_old_programs_with_bare_korean_bytes_are_read():
    data = b"From: " + "김하늘".encode("cp949") + b" <kim@example.com>\nSubject: " + "휴가 신청 방법 안내".encode("cp949") + b"\n\nhello"
    found = one(data)
    assert (found.title, found.attributes["From"]) == ("휴가 신청 방법 안내", "김하늘 <kim@example.com>")


def test_encoded_words_in_korean_charsets_are_read():
    word = "=?ks_c_5601-1987?B?" + base64.b64encode("뷁 안내".encode("cp949")).decode() + "?="
    assert one(f"Subject: {word}\n\nhello".encode()).title == "뷁 안내"


def test_a_mail_of_html_alone_gives_its_text():
    html = "<html><body><h1>공지</h1><p>내일은 <b>쉽니다</b>.</p></body></html>"
    assert said(one(raw("utf-8", html.encode(), kind="text/html")))[1:] == ["내일은 쉽니다."]


def test_of_two_forms_of_one_text_the_plain_one_is_taken_unless_it_says_nothing():
    message = letter(body="plain text of the mail")
    message.add_alternative("<p>HTML text of the mail</p>", subtype="html")
    assert said(one(message.as_bytes()))[1:] == ["plain text of the mail"]
    message = letter(body="See HTML.")
    message.add_alternative(f"<p>{'HTML text of the mail. ' * 10}</p>", subtype="html")
    assert said(one(message.as_bytes()))[1].startswith("HTML text")


def test_attachments_are_handed_on_with_their_names():
    message = letter()
    message.add_attachment(b"a,b\n1,2\n", maintype="text", subtype="csv", filename="가격표.csv")
    message.add_attachment(b"a,b\n3,4\n", maintype="text", subtype="csv", filename="가격표.csv")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="../../etc/passwd.pdf")
    files = [found for found in unpack(message.as_bytes()) if isinstance(found, FileContent)]
    assert [file.id for file in files] == ["/data/a.eml#가격표.csv", "/data/a.eml#가격표 (2).csv", "/data/a.eml#.._.._etc_passwd.pdf"]
    assert files[0].data == b"a,b\n1,2\n"


def test_a_mail_inside_a_mail_is_a_file_of_it():
    outer = letter("위임")
    outer.add_attachment(letter("원래 메일"))
    (inner,) = [found for found in unpack(outer.as_bytes()) if isinstance(found, FileContent)]
    assert inner.id == "/data/a.eml#원래 메일.eml"
    assert one(inner.data).title == "원래 메일"


def test_logos_in_the_text_are_passed_over():
    message = letter()
    message.add_alternative("<p>안녕하세요.</p><img src='cid:logo'>", subtype="html")
    message.get_payload()[1].add_related(b"GIF89a", "image", "gif", cid="<logo>")  # type: ignore[union-attr,index]
    assert [type(found) for found in unpack(message.as_bytes())] == [Document]


def test_a_mailbox_gives_each_message_by_its_own_id():
    box = b""
    for message in (letter("하나"), letter("둘")):
        box += b"From kim@example.com Mon Mar  2 09:00:00 2026\n" + message.as_bytes() + b"\n\n"
    box += b"From x\nSubject: three\n\n>From the beginning it was warm.\nFrom here on too.\n"
    found = unpack(box, "a.mbox")
    assert [item.id for item in found] == [  # type: ignore[union-attr]
        "/data/a.mbox#one@example.com",
        "/data/a.mbox#one@example.com 2",
        "/data/a.mbox#3",
    ]
    assert said(found[2]) == ["From the beginning it was warm.\nFrom here on too."]  # type: ignore[arg-type]


def test_a_file_that_is_no_mailbox_says_so():
    with pytest.raises(ItemError, match="not a mailbox"):
        unpack(b"hello\n", "a.mbox")


def test_an_empty_mail_is_a_failure():
    assert isinstance(unpack(b"X-Nothing: 1\n\n")[0], Failed)


class _ByHand:
    def can_read(self, suffix: str) -> bool:
        return suffix in ("eml", "txt")

    def reader(self, suffix: str) -> object:
        from ingest.readers.plain import TextReader

        return EmlReader() if suffix == "eml" else TextReader()


def test_what_is_attached_is_read_as_a_document_of_its_own():
    message = letter()
    message.add_attachment("붙임 글입니다.", filename="붙임.txt")
    found = list(read_whole(FileContent("/data/a.eml", message.as_bytes()), _ByHand()))  # type: ignore[arg-type]
    assert [document.id for document in found] == ["/data/a.eml", "/data/a.eml#붙임.txt"]  # type: ignore[union-attr]
