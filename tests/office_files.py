"""Office files by hand, as small as their formats allow: what is in a test's file can be read in the test."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
A = (
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)
ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
    'xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" '
    'xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:meta="urn:oasis:names:tc:opendocument:xmlns:meta:1.0"'
)
HP = 'xmlns:hp="http://www.hancom.co.kr/hwpml/2011/paragraph" xmlns:hs="http://www.hancom.co.kr/hwpml/2011/section"'
_KINDS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    """A ZIP of these members."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return data.getvalue()


def links(*pairs: tuple[str, str]) -> str:
    """A relationships part: (kind, target) as rId1, rId2, ..."""
    rows = "".join(f'<Relationship Id="rId{at}" Type="{_KINDS}/{kind}" Target="{target}"/>' for at, (kind, target) in enumerate(pairs, 1))
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{rows}</Relationships>'


def core(title: str) -> str:
    """The properties of an Office file."""
    return f'<cp:coreProperties xmlns:cp="c" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></cp:coreProperties>'


def docx(body: str, title: str = "", **parts: str) -> bytes:
    """A DOCX; `parts` by kind (`styles`, `footnotes`, `header`, ...), each the inside of its root."""
    others = [(kind, f"{kind}.xml") for kind in parts]
    members = {
        "_rels/.rels": links(("officeDocument", "word/document.xml"), ("metadata/core-properties", "docProps/core.xml")),
        "docProps/core.xml": core(title),
        "word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>",
        "word/_rels/document.xml.rels": links(*others),
    }
    return zipped(members | {f"word/{kind}.xml": f"<w:root {W}>{inside}</w:root>" for kind, inside in parts.items()})


def p(text: str, style: str = "", extra: str = "") -> str:
    """A paragraph of a DOCX."""
    return f'<w:p><w:pPr><w:pStyle w:val="{style}"/>{extra}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>'


def pptx(slides: Sequence[str], title: str = "", notes: Mapping[int, str] | None = None, **others: Mapping[int, str]) -> bytes:
    """A PPTX of these shape trees; `notes` (shapes), `charts` (as rId2) and `comments` by the number of their slide."""
    notes = notes or {}
    members = {
        "_rels/.rels": links(("officeDocument", "ppt/presentation.xml"), ("metadata/core-properties", "docProps/core.xml")),
        "docProps/core.xml": core(title),
        "ppt/presentation.xml": f"<p:presentation {A}><p:sldIdLst>"
        + "".join(f'<p:sldId id="{255 + at}" r:id="rId{at}"/>' for at in range(1, len(slides) + 1))
        + "</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": links(*(("slide", f"slides/slide{at}.xml") for at in range(1, len(slides) + 1))),
    }
    for at, shapes in enumerate(slides, 1):
        members[f"ppt/slides/slide{at}.xml"] = f"<p:sld {A}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"
        pointers = [
            ("notesSlide", f"../notesSlides/notes{at}.xml"),
            ("chart", f"../charts/{at}.xml"),
            ("comments", f"../comments/{at}.xml"),
        ]
        members[f"ppt/slides/_rels/slide{at}.xml.rels"] = links(*pointers)
        if at in notes:
            members[f"ppt/notesSlides/notes{at}.xml"] = f"<p:notes {A}><p:cSld><p:spTree>{notes[at]}</p:spTree></p:cSld></p:notes>"
        members |= {f"ppt/{kind}/{at}.xml": parts[at] for kind, parts in others.items() if at in parts}
    return zipped(members)


def shape(text: str, place: str | None = None) -> str:
    """A shape of a slide, its lines as paragraphs; `place` is its placeholder's type ("" for plain content)."""
    lines = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in text.split("\n"))
    held = "" if place is None else f'<p:ph type="{place}"/>' if place else '<p:ph idx="1"/>'
    return f"<p:sp><p:nvSpPr><p:cNvPr id='1' name='n'/><p:nvPr>{held}</p:nvPr></p:nvSpPr><p:txBody>{lines}</p:txBody></p:sp>"


def xlsx(sheets: Mapping[str, str], hidden: Sequence[str] = ()) -> bytes:
    """An XLSX; each sheet is the inside of its `worksheet`. Styles 1 and 2 are a date and a time, 3 and 4 percentages."""
    m = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    percent = '<numFmt numFmtId="164" formatCode="0.0%;-0.0%"/>'
    formats = "".join(f'<xf numFmtId="{format}"/>' for format in (0, 14, 22, 10, 164))
    names = "".join(
        f'<sheet name="{name}" sheetId="{at}" r:id="rId{at}"{" state=" + chr(34) + "hidden" + chr(34) if name in hidden else ""}/>'
        for at, name in enumerate(sheets, 1)
    )
    members = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": links(("officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook xmlns="{m}" xmlns:r="{_KINDS}"><sheets>{names}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": links(
            *(("worksheet", f"worksheets/sheet{at}.xml") for at in range(1, len(sheets) + 1)), ("styles", "styles.xml")
        ),
        "xl/styles.xml": f'<styleSheet xmlns="{m}"><numFmts>{percent}</numFmts><cellXfs>{formats}</cellXfs></styleSheet>',
    }
    for at, inside in enumerate(sheets.values(), 1):
        members[f"xl/worksheets/sheet{at}.xml"] = f'<worksheet xmlns="{m}">{inside}</worksheet>'
    return zipped(members)


def sheet(*rows: Sequence[str | float | None], merged: Sequence[str] = ()) -> str:
    """The inside of a sheet: texts, numbers, and ready-made cells (which begin with "<")."""
    lines = []
    for number, row in enumerate(rows, 1):
        cells = []
        for column, value in zip("ABCDEFGHIJ", row, strict=False):
            place = f'r="{column}{number}"'
            if isinstance(value, str) and value.startswith("<c "):
                cells.append(value.replace("<c ", f"<c {place} ", 1))
            elif isinstance(value, str):
                cells.append(f'<c {place} t="inlineStr"><is><t>{value}</t></is></c>')
            elif value is not None:
                cells.append(f"<c {place}><v>{value}</v></c>")
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    merges = "".join(f'<mergeCell ref="{area}"/>' for area in merged)
    return f"<sheetData>{''.join(lines)}</sheetData>" + (f"<mergeCells>{merges}</mergeCells>" if merges else "")


def odt(body: str, title: str = "", styles: str = "", automatic: str = "", manifest: str = "", kind: str = "text") -> bytes:
    """An OpenDocument file: the inside of its body, of its master styles and of its automatic styles."""
    return zipped(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": f"<office:document-content {ODF}><office:automatic-styles>{automatic}</office:automatic-styles>"
            f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>",
            "styles.xml": f"<office:document-styles {ODF}><office:master-styles>{styles}</office:master-styles></office:document-styles>",
            "meta.xml": f"<office:document-meta {ODF}><office:meta><dc:title>{title}</dc:title></office:meta></office:document-meta>",
            "META-INF/manifest.xml": f'<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">{manifest}</m:manifest>',
        }
    )


def epub(
    chapters: Mapping[str, str], title: str = "", author: str = "", contents: Mapping[str, str] | None = None, **parts: str | bytes
) -> bytes:
    """An EPUB of these pages (name: inside of the body), in this order; `contents` names pages in a nav page; `parts` by path."""
    items = "".join(f'<item id="c{at}" href="{name}" media-type="application/xhtml+xml"/>' for at, name in enumerate(chapters))
    order = "".join(f'<itemref idref="c{at}"/>' for at in range(len(chapters)))
    entries = "".join(f'<li><a href="{name}">{label}</a></li>' for name, label in (contents or {}).items())
    page = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>{}</body></html>'
    members = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>',
        "OPS/book.opf": f'<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>{title}</dc:title>'
        f"<dc:creator>{author}</dc:creator></metadata><manifest>"
        f'<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>{items}</manifest>'
        f'<spine><itemref idref="nav"/>{order}</spine></package>',
        "OPS/nav.xhtml": page.format(f"<nav><ol>{entries}</ol></nav>"),
    }
    return zipped(members | {f"OPS/{name}": page.format(inside) for name, inside in chapters.items()} | parts)


def hwpx(section: str, header: str = "", title: str = "", manifest: str = "") -> bytes:
    """A HWPX: the insides of its section, of its header and of its manifest."""
    return zipped(
        {
            "mimetype": "application/hwp+zip",
            "Contents/header.xml": f'<hh:head xmlns:hh="http://www.hancom.co.kr/hwpml/2011/head">{header}</hh:head>',
            "Contents/section0.xml": f"<hs:sec {HP}>{section}</hs:sec>",
            "Contents/content.hpf": f'<opf:package xmlns:opf="http://www.idpf.org/2007/opf/"><opf:title>{title}</opf:title></opf:package>',
            "META-INF/manifest.xml": f'<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">{manifest}</m:manifest>',
        }
    )


def hp(text: str, shape: int = 0, style: int = 0, extra: str = "") -> str:
    """A paragraph of a HWPX; `extra` stands in its run behind the text."""
    return f'<hp:p paraPrIDRef="{shape}" styleIDRef="{style}"><hp:run><hp:t>{text}</hp:t>{extra}</hp:run></hp:p>'
