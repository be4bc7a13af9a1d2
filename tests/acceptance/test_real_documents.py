"""Documents of real offices (../shared/data/files, beside the checkout): each gives its text, and is found by it."""

from __future__ import annotations

import shutil
import sqlite3
import zipfile
from pathlib import Path

import pytest
from product import Product

from app.core.paths import Home
from ingest.sync import ingest_files
from models.hash_embedder import HashEmbedder, WordCounter

FILES = Path(__file__).resolve().parents[3] / "shared" / "data" / "files"
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not FILES.is_dir(), reason="needs the sample documents in ../shared/data/files"),
]
SAYS = {
    "en_multi_page.pdf": ("Patented in 1868 by Christopher", "typewriter"),
    "en_powerpoint_sample.pptx": ("List item6", "Final notes on the third slide"),
    "en_testEPUB.epub": ("This is the text for chapter Two", "First item"),
    "en_wiki.md": ("nicknamed Big Blue", "SABRE reservation system"),
    "en_wiki_duck.html": ("Duck is the common name", "dabbling ducks"),
    "en_word_sample.docx": ("cute duckling", "Food: Corn, Buckwheat, Barley"),
    "ko_nopassword.hwpx": ("정보화 시대에 걸맞은 새로운 가치", "회원등록카드"),
    "ko_table_kbo.pdf": ("구분: KBO 피치클락 규정", "비디오 판독"),
}
READ_BY_OCR = {
    "en_scanned_ocr_test.pdf": ("Docling bundles PDF document conversion", "self contained package"),
    "ko_sign.png": ("서울", "평양", "Seoul"),
}


def texts(home: Path) -> dict[str, str]:
    with sqlite3.connect(home / "book.db") as book:
        rows = book.execute("SELECT d.id, group_concat(c.text, ' ') FROM documents d JOIN chunks c ON c.document_pk = d.pk GROUP BY d.id")
        return {id.rsplit("/", 1)[-1]: " ".join(text.split()) for id, text in rows}


def says(found: dict[str, str], expected: dict[str, tuple[str, ...]]) -> None:
    for name, phrases in expected.items():
        assert [phrase for phrase in phrases if phrase not in found.get(name, "")] == [], name


def test_every_document_with_a_text_layer_gives_its_text_also_out_of_an_archive(tmp_path):
    folder = tmp_path / "서류"
    folder.mkdir()
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for name in SAYS:
            shutil.copyfile(FILES / name, folder / name)
            archive.write(FILES / name, f"안/{name}")
    (tmp_path / "home").mkdir()
    report = ingest_files(Home(tmp_path / "home"), [folder], "office", HashEmbedder(), WordCounter())
    assert (report.added, report.failed) == (2 * len(SAYS), ())
    says(texts(tmp_path / "home"), SAYS)


@pytest.mark.slow
def test_the_command_reads_all_of_them_scans_and_photos_too_and_each_is_found(tmp_path, models_dir, minilm):
    from ocr_program import tesseract

    tesseract()
    product = Product(tmp_path / "home", models_dir)
    *_, report = product.lines("ingest", "files", str(FILES), "--into", "office")
    assert (report["failed"], report["error"]) == ([], "")
    says(texts(tmp_path / "home"), {**SAYS, **READ_BY_OCR})
    for question, name in (
        ("피치클락", "ko_table_kbo.pdf"),
        ("회원등록카드 팩스", "ko_nopassword.hwpx"),
        ("PDF conversion to JSON and Markdown", "en_scanned_ocr_test.pdf"),
    ):
        first = product.lines("search", question, "--in", "office", "--limit", "3")
        assert any(name in str(hit) for hit in first), question
