"""Bytes to text, for files that don't say what they are written in.

A byte order mark decides; else UTF-8 where the bytes are valid UTF-8 (other encodings hardly ever are, by chance); else what the
file declares. After that it is guessed, and a guess must prove itself, for a wrong one fills the store with rubbish: Korean (CP949,
UTF-16 without its mark) by its syllables, of which 500 make up nearly all of any text; Western European by its letters; other
scripts, through charset-normalizer, where there is enough of them. What proves nothing is refused.
"""

from __future__ import annotations

import codecs
import re

from app.core.errors import ItemError
from ingest.documents import tidy

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_COMMON = frozenset(
    "가각간갈감강갖같개거건걸검것게겠겨격견결경계고곡골곳공과관광괴교구국군굴궁권귀규균그극근글금급기긴길김까깨께꽃끝끼나난날남났낮내낸냐너널넣네녀년념노녹놀농높놓놔누눈뉴느는늘능늬니닌다단달닭담당대더덕던"
    "데델도독돌동됐되된될두둘둥뒤드득든들등디딩따딸때떠떨또뜻라락란람랑래랜랩량러런럼럽레려력련령례로록론롤롯료루룸류륙률르른를름리릭린릴림립릿링마막만많말맛망맞매맥맨머먹먼메며면명몇모목몬몸못무문물뮤므미"
    "민밀및바박반받발방배백뱅버번벌범법베벤벨벽변별병보복본볼봉봐부북분불붙뷰브블비빈빛빠빨빵뼈뿐사산살삼상새색생서석선설섬성세셀션소속손송쇼수숙순술쉽슈스슬습슷승시식신실심싱싸쌍써쓰씨씩아악안않알암압았앙"
    "앞애액야약양어억언얻얼엄업없었에엑엔엘여역연열염였영예오옥온올옷와완왔왕왜외요용우운울움워원월웨웹위유육율으은을음응의이인일임입있자작잘잡장재쟁저적전절점접정제져졌조족존종좋죄주죽준줄중줘즈즉증지직진"
    "질집징째쪽차착찬찰참창찾채책처천철청체쳐초총최추축출충취츠측층치친침칭카칼캐커컴케코콜콩쿠쿨크큰클키킨타탄탈탕태택터털테토톤통투튀트특틀티틴틸팀파판팔팟패퍼페펜펫편평폐포폭표푸품풍퓨프플피픽필하학한할"
    "함합항해핵핸했행향허헌험헤현혈형호혹혼홍화확환활황회효후흔흡희히힘"
)
"""The syllables of 97 % of a Korean encyclopedia's text, and some of offices."""
_PROOF, _SHORT_PROOF, _LEAD = 0.6, 0.75, 0.15
_SHORT, _SHORTEST = 5, 2
"""Letters that tell something: below the first more of them must, below the second there is nothing to go by."""
_ENOUGH = 40
"""Bytes outside ASCII from which on other scripts are guessed."""
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f\ufffe\uffff\ue000-\uf8ff\ud800-\udfff]")
_ASCII = re.compile("[0-9A-Za-z]")
_OUTSIDE = re.compile("[^\x00-\x7f]")
# Signs that Korean texts hold beside letters: they neither prove nor disprove.
_SIGN = re.compile("[\xa0-\xbf\xd7\xf7\u2010-\u27bf\u3000-\u303f\u3200-\u33ff\uff01-\uffe6]")
_WESTERN = re.compile("[ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüŒœ«»¿¡§°²³·€£©®–—‘’“”„…•\xa0]")
_FEW_PAIRS = 4
_ONE_SCRIPT = re.compile("[\xa0-\u017f]+|[\u0370-\u03ff]+|[\u0400-\u045f]+|[\u05d0-\u05ea]+|[\u0620-\u064a]+")
_CYRILLIC = re.compile("[\u0400-\u045f]")
_HAN = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_LONG_RUN = re.compile(r"[^\W\d_a-zA-Z]{3}")


def decode(data: bytes, declared: str = "") -> str:
    """The text, in one form (`tidy`). `declared` is what the file says of itself, tried before guessing. ItemError: no encoding fits."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return tidy(_strict(data, encoding))
    text = _fits(data, "utf-8")
    if text is not None and not _by_chance(text):
        return tidy(text)
    if declared and (text := _fits(data, declared)) is not None:
        return tidy(text)
    text = _korean(data) or _western(data) or _foreign(data)
    if text is None:
        raise ItemError("is not text in any encoding that Ondol can tell for sure.", hint="Save it as UTF-8.")
    return tidy(text)


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ItemError(f"is marked as {encoding.upper()}, but byte {error.start} is not.", hint="Save it as UTF-8.") from None


def _fits(data: bytes, encoding: str) -> str | None:
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None
    return None if "\x00" in text else text


def _by_chance(text: str) -> bool:
    """Whether a few letters of another encoding may have made valid UTF-8: pairs of bytes, of scripts that don't stand together."""
    outside = "".join(_OUTSIDE.findall(text))
    return 0 < len(outside) <= _FEW_PAIRS and all(letter < "\u0800" for letter in outside) and not _ONE_SCRIPT.fullmatch(outside)


def _korean(data: bytes) -> str | None:
    """The Korean encoding in which it reads clearly better than in the others; None where none is likely."""
    readings = {encoding: text for encoding in ("cp949", "utf-16-le", "utf-16-be") if (text := _fits(data, encoding)) is not None}
    likely = sorted(((_likely(text, wide=encoding != "cp949"), encoding) for encoding, text in readings.items()), reverse=True)
    if not likely or likely[0][0] < _PROOF or (len(likely) > 1 and likely[0][0] - likely[1][0] < _LEAD):
        return None
    return readings[likely[0][1]]


def _likely(text: str, *, wide: bool) -> float:
    """How much of what tells something is a common syllable; in UTF-16 plain ASCII tells something too, for it holds zeros."""
    if _CONTROLS.search(text):
        return 0.0
    told = [letter for letter in (text if wide else _OUTSIDE.findall(text)) if not _SIGN.match(letter)]
    good = sum(letter in _COMMON or letter < "\x80" for letter in told)
    if len(told) < (_SHORTEST if wide or not _ASCII.search(text) else 1):
        return 0.0
    share = good / len(told)
    return share if share >= _SHORT_PROOF or len(told) >= _SHORT else 0.0


def _western(data: bytes) -> str | None:
    """Text of a Western European Windows: few letters outside ASCII, all of them such as those languages have, and none in long runs."""
    text = _fits(data, "cp1252")
    if text is None or _CONTROLS.search(text) or _LONG_RUN.search(text):
        return None
    outside = _OUTSIDE.findall(text)
    letters = sum(letter.isalpha() for letter in text)
    known = all(_WESTERN.match(letter) for letter in outside)
    return text if known and letters and sum(letter.isalpha() for letter in outside) * 3 <= letters else None


def _foreign(data: bytes) -> str | None:
    """What charset-normalizer takes for Chinese, Japanese or Cyrillic, where nearly all letters are of that script."""
    if b"\x00" in data or sum(byte > 0x7F for byte in data) < _ENOUGH:
        return None
    from charset_normalizer import from_bytes

    found = from_bytes(data, cp_exclusion=["cp949", "euc_kr", "johab", "utf_16", "utf_7"]).best()
    if found is None or not found.coherence:
        return None
    text = str(found)
    told = "".join(letter for letter in _OUTSIDE.findall(text) if not _SIGN.match(letter))
    one_script = any(len(script.findall(told)) > 0.95 * len(told) for script in (_CYRILLIC, _HAN))
    return text if one_script and not _CONTROLS.search(text) else None
