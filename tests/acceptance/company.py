"""A small company's data folder: the demo's handbook, a PDF with pages, an assistant that quotes and one that writes."""

from __future__ import annotations

from pathlib import Path

from papers import pdf
from product import Product

HANDBOOK = Path(__file__).resolve().parents[2] / "installer" / "demo" / "handbook"
MODEL = "smollm2-135m-instruct"
EMBEDDER = "all-minilm-l6-v2"
STORE = "company"
PAPER = "kiln-manual.pdf"
SUGGESTED = "How many days of annual leave does a permanent employee get?"
CONFIGURATION = f"""
models: {{context: 4096, parallel: 4}}
assistants:
  handbook:
    sources: [{STORE}]
    style: quote
    description: Answers from the handbook, word for word
    suggestions: ["{SUGGESTED}", "본인 결혼 경조휴가는 며칠인가요?"]
  writer: {{sources: [{STORE}], style: written}}
"""
PAGES = (
    "Kiln manual. This manual is for the people who run the ceramic kiln in the basement. It begins with the parts of the kiln and ends "
    "with a list of spare parts. Read it once before you switch anything on.",
    "Firing. The first firing of porcelain cups takes eleven hours and reaches 940 degrees. Let the kiln cool for nine hours before the "
    "door is opened. The fan in the wall must run during the whole firing.",
    "Care. The shelves get a new coat of kiln wash after every twentieth firing. A cracked shelf is thrown away at once.",
)


def company(home: Path, models: Path) -> Product:
    """The folder, filled; nothing runs in it yet."""
    made = Product(home, models)
    (home / "config.yaml").write_text(CONFIGURATION, encoding="utf-8")
    paper = pdf(home.parent / PAPER, PAGES)
    done = made.run("ingest", "files", str(HANDBOOK), str(paper), "--into", STORE)
    assert done.returncode == 0, done.stderr
    return made
