"""The words of the preview that Hangul itself keeps in each HWP file, and those of them that our reader lacks.

    python tests/bench/hwp.py FOLDER

Every `.hwp` below the folder. A line for each file that is refused or lacks words; then one JSON line: files, how many were read,
how many of those are documents for distribution, how many have words in their preview, its different words, those missing.
The preview ends after about a thousand letters: this tells whether a file is read, not whether its end is.
"""

from __future__ import annotations

import json
import re
import struct
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.core.errors import ItemError
from ingest.documents import Document
from ingest.readers.contract import FileContent
from ingest.readers.office.compound import Compound
from ingest.readers.office.hwp import HwpReader

_WORD = re.compile("[가-힣A-Za-z0-9]+")
_DISTRIBUTED = 1 << 2


def main(folder: Path) -> None:
    counts: Counter[str] = Counter()
    for path in sorted(folder.rglob("*.hwp")):
        counts["files"] += 1
        data = path.read_bytes()
        try:
            documents = [one for one in HwpReader().read(FileContent(path.as_posix(), data)) if isinstance(one, Document)]
        except ItemError as error:
            print(f"{path.name} {error}")
            continue
        counts["read"] += 1
        streams = Compound(data)
        counts["for distribution"] += bool(struct.unpack_from("<I", streams.read("FileHeader"), 36)[0] & _DISTRIBUTED)
        preview = streams.read("PrvText").decode("utf-16-le", "replace") if "PrvText" in streams else ""
        words = set(_WORD.findall(preview))
        said = "\n".join(part for one in documents for block in one.blocks for part in (one.title, *block.heading_path, block.text))
        missing = sorted(word for word in words if word not in said)
        counts.update({"with a preview": bool(words), "words": len(words), "missing": len(missing)})
        if missing:
            print(f"{path.name} lacks {' '.join(missing)}")
    print(json.dumps(counts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
