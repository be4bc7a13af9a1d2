"""What an error says to somebody who asked in Korean: a sentence by its code, with the original behind it where it holds more.

People read these in the chat page; programs go by `code`, which stays.
"""

from __future__ import annotations

from app.core.errors import ContextLengthExceeded, OndolError

_SENTENCES = {
    "context_length_exceeded": "메시지가 너무 깁니다. 내용을 줄이거나 컨텍스트가 더 큰 모델을 선택하세요.",
    "model_not_found": "그런 모델이 없습니다. 목록에서 다른 모델을 고르거나 `ondol models pull`로 모델을 받으세요.",
    "store_not_found": "그런 저장소가 없습니다. `ondol ingest status`로 저장소 이름을 확인하세요.",
    "bad_model_file": "모델 파일을 읽을 수 없습니다. 모델을 다시 받으세요.",
    "busy": "지금 대기 중인 요청이 너무 많습니다. 잠시 후 다시 시도하세요.",
    "not_ready": "아직 준비 중입니다. 잠시 후 다시 시도하세요.",
    "worker_died": "답변 중에 모델 프로세스가 종료되었습니다. 다시 시작하고 있으니 한 번 더 시도하세요.",
    "upstream_failed": "연결된 AI 서비스나 데이터 소스에서 오류가 났습니다. 설정과 연결 상태를 확인하세요.",
    "sources_failed": "모든 데이터 소스가 응답하지 않았습니다. 잠시 후 다시 시도하세요.",
    "deadline_exceeded": "시간이 너무 오래 걸려 중단했습니다. 잠시 후 다시 시도하세요.",
    "egress_refused": "네트워크 설정에 따라 외부 연결을 막았습니다. 허용하려면 설정 파일에 그 주소를 적으세요.",
    "disk_full": "디스크가 가득 찼습니다. 공간을 확보한 뒤 다시 시도하세요. 이미 저장된 것은 그대로 있습니다.",
    "bad_setting": "설정이 올바르지 않습니다. `ondol config check`로 확인하세요.",
    "invalid_request": "요청을 처리할 수 없습니다.",
    "internal_error": "내부 오류가 발생했습니다. 다시 시도해도 같으면 `ondol doctor`로 상태를 확인하세요.",
}
# Where the sentence says it all, the original would only repeat it in another language.
_WHOLE = frozenset({"busy", "not_ready", "worker_died", "deadline_exceeded", "disk_full"})


def in_korean(error: OndolError) -> str:
    """The error's message for a Korean reader."""
    if isinstance(error, ContextLengthExceeded) and error.context:
        counts = f"메시지가 {error.prompt_tokens}토큰인데 이 모델은 {error.context}토큰까지 읽을 수 있습니다."
        return f"{counts} 내용을 줄이거나 더 큰 모델을 선택하세요."
    sentence = _SENTENCES.get(error.code, "문제가 생겼습니다.")
    return sentence if error.code in _WHOLE else f"{sentence} ({error})"
