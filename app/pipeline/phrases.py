"""The fixed phrases of an answer, in the language of its question."""

from __future__ import annotations

from app.core.terms import is_korean

_ENGLISH = {
    "not_found": "I couldn't find an answer to this in your data.",
    "unsupported": "(?) No passage in your data supports this sentence.",
    "searching": "Searching {names}",
    "found": "Found {count} passages",
    "found_nothing": "Nothing in your data fits this question",
    "failed": "{source} did not answer: {reason}",
    "since_changed": "Changed since it was last read: {marks}.",
    "since_deleted": "Deleted since it was last read: {marks}.",
    "loading": "Loading {model}: {percent} % of {size}",
    "loaded": "{model} is loaded",
    "queued": "Waiting: number {place} in the queue",
    "begun": "Your turn",
}
_KOREAN = {
    "not_found": "가지고 계신 데이터에서 이 질문의 답을 찾지 못했습니다.",
    "unsupported": "(?) 이 문장을 뒷받침하는 내용이 데이터에 없습니다.",
    "searching": "{names} 검색 중",
    "found": "관련 내용 {count}건을 찾았습니다",
    "found_nothing": "이 질문에 맞는 내용이 데이터에 없습니다",
    "failed": "{source}: 응답이 없습니다 ({reason})",
    "since_changed": "마지막으로 읽은 뒤 내용이 바뀌었습니다: {marks}.",
    "since_deleted": "마지막으로 읽은 뒤 삭제되었습니다: {marks}.",
    "loading": "{model} 불러오는 중: {size} 중 {percent} %",
    "loaded": "{model} 준비 완료",
    "queued": "대기 중: {place}번째 순서",
    "begun": "차례가 되었습니다",
}


def phrase(name: str, question: str, **values: object) -> str:
    """The phrase in the question's language."""
    return (_KOREAN if is_korean(question) else _ENGLISH)[name].format(**values)
