"""How quickly PDF files are read, and what becomes of Korean text in encodings that don't say what they are.

    python tests/bench/read.py [--pdf FILE ...] [--rounds 5]
    ONDOL_EVAL_DATA=DATA python tests/bench/read.py --encodings [--pieces 300]

The first reads whole files as an ingest does (pages in their order, headings, tables; OCR is off) and prints pages per second of the
processor, the best of the rounds. The second cuts pieces out of ko-kobest's paragraphs, at random places of a fixed seed, writes each in
every encoding and prints how many were refused, and how many taken for something else. One JSON line each.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.core.errors import ItemError
from ingest.documents import Document, tidy
from ingest.readers.contract import FileContent
from ingest.readers.encoding import decode
from ingest.readers.ocr import Tesseract
from ingest.readers.pages.pdfium.document import Pdf
from ingest.readers.pdf import PdfReader

ENCODINGS = ("utf-8", "cp949", "utf-16", "utf-16-le", "utf-16-be")
LENGTHS = (5, 8, 13, 20, 50, 100, 250)


def no_ocr() -> Tesseract:
    """Letters alone are measured."""
    raise ItemError("OCR is off.")


def pdf(path: Path, rounds: int) -> dict[str, Any]:
    data = path.read_bytes()
    opened = Pdf(data)
    pages = len(opened)
    opened.close()
    took, characters = [], 0
    for _ in range(rounds):
        began = time.process_time()
        read = list(PdfReader(no_ocr).read(FileContent(path.as_posix(), data)))
        took.append(time.process_time() - began)
        characters = sum(len(block.text) for one in read if isinstance(one, Document) for block in one.blocks)
    return {"file": path.name, "pages": pages, "characters": characters, "pages_per_cpu_s": round(pages / min(took))}


def encodings(pieces: int) -> Iterator[dict[str, Any]]:
    corpus = Path(os.environ["ONDOL_EVAL_DATA"]) / "retrieval" / "ko-kobest" / "corpus.jsonl"
    texts = [tidy(json.loads(line)["text"]) for line in corpus.read_text(encoding="utf-8").splitlines()]
    for length in LENGTHS:
        dice, counts = random.Random(length), Counter[str]()
        long_enough = [text for text in texts if len(text) > length]
        for _ in range(pieces):
            text = dice.choice(long_enough)
            at = dice.randrange(len(text) - length)
            piece = text[at : at + length]
            for encoding in ENCODINGS:
                counts[became(piece, encoding)] += 1
        yield {"letters": length, "pieces": pieces, "encodings": len(ENCODINGS), **counts}


def became(piece: str, encoding: str) -> str:
    try:
        data = piece.encode(encoding)
    except UnicodeEncodeError:
        return "not in that encoding"
    try:
        return "read" if decode(data) == tidy(piece) else "taken for something else"
    except ItemError:
        return "refused"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pdf", type=Path, nargs="+", default=())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--encodings", action="store_true")
    parser.add_argument("--pieces", type=int, default=300)
    options = parser.parse_args()
    for path in options.pdf:
        print(json.dumps(pdf(path, options.rounds), ensure_ascii=False), flush=True)
    if options.encodings:
        for line in encodings(options.pieces):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
