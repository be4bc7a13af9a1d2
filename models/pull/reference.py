"""What a person types where a chat page asks for a model, as a source of `models.pull.spec`. Pure.

A page knows llama.cpp's way (`OWNER/NAME[:QUANT]`); people also paste the address that their browser shows.
"""

from __future__ import annotations

import re

from app.core.errors import BadRequest, Forbidden
from models import catalogue
from models.pull.spec import Spec, parse

_PAGE = re.compile(r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/(?P<repo>[^/?#:]+/[^/?#:]+)(?P<rest>[/:?#].*)?$", re.IGNORECASE)
_FILE = re.compile(r"/(?:blob|resolve|tree)/[^/]+/(?P<file>[^?#]+\.gguf)", re.IGNORECASE)


def read(text: str) -> Spec:
    """The source meant; BadRequest where none can be, Forbidden for those that only a person at this computer may name."""
    text = text.strip()
    if not text:
        raise BadRequest("No model is named.", hint="Write OWNER/NAME:QUANT, for example Qwen/Qwen3-4B-GGUF:Q4_K_M.", param="model")
    source = catalogue.source_of(text)
    if (page := _PAGE.fullmatch(text)) is not None:
        source = f"hf:{page['repo']}{_detail(page['rest'] or '')}"
    elif source == text and re.match(r"[a-z]+:", text, re.IGNORECASE) is None:
        source = f"hf:{text}"
    spec = parse(source)
    if not spec.remote or spec.name.lower().startswith("http:"):
        raise Forbidden(
            f"{text} can't be asked for over the API: it would be read from where the server stands.",
            hint=f"On the server's own computer: ondol models pull {spec.text}",
        )
    return spec


def name(spec: Spec) -> str:
    """How such a client calls it: without `hf:`. Never a model's id, which has neither `/` nor `:`."""
    return spec.text.removeprefix("hf:")


def _detail(rest: str) -> str:
    """`:QUANT` as it stands, or the file of a file's page; nothing for the repository's own page."""
    if rest.startswith(":"):
        return rest
    found = _FILE.match(rest)
    return f":{found['file']}" if found else ""
