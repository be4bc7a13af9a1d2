"""Every text of the tray, in English and Korean: rows (`menu.`), states (`state.`), problems and notices (by their own codes).

Korean particles change with the last letter of the word before them, so no placeholder is followed by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tray.records import Notice

Language = Literal["en", "ko"]

WORDS: dict[str, tuple[str, str]] = {
    # The status line and the icon's tip: where the server's life stands.
    "state.stopped": ("Ondol is stopped", "온돌이 멈춰 있습니다"),
    "state.starting": ("Ondol is starting…", "온돌을 시작하는 중…"),
    "state.ready": ("Ondol is ready", "온돌이 준비되었습니다"),
    "state.suspect": ("Ondol is slow to answer…", "온돌의 응답이 늦어지고 있습니다…"),
    "state.stopping": ("Ondol is stopping…", "온돌을 멈추는 중…"),
    "state.backoff": ("Ondol starts again soon…", "온돌을 곧 다시 시작합니다…"),
    "state.external": ("Ondol is ready (started elsewhere)", "온돌이 준비되었습니다 (다른 곳에서 시작됨)"),
    "state.failed": ("Ondol could not start", "온돌을 시작하지 못했습니다"),
    # What a start waits for.
    "progress.migrating": ("bringing the data up to date", "데이터를 새 형식으로 바꾸는 중"),
    "progress.loading": ("loading a model", "모델을 불러오는 중"),
    # The server's problems, by the codes of `records.Problem`.
    "settings": ("The settings have a mistake: {detail}", "설정에 잘못된 곳이 있습니다: {detail}"),
    "newer_data": (
        "A newer Ondol has written these data: update Ondol.",
        "더 새로운 온돌이 만든 데이터입니다. 온돌을 업데이트해 주세요.",
    ),
    "cannot_start": ("The server's program can't be run: {detail}", "서버 프로그램을 실행할 수 없습니다: {detail}"),
    "port_taken": ("Port {port} is in use by another program: {program}", "다른 프로그램이 {port}번 포트를 쓰고 있습니다: {program}"),
    "other_port": (
        "Port {wanted} is in use by {program}, so Ondol is at port {port}.",
        "{wanted}번 포트를 다른 프로그램({program})이 쓰고 있어 {port}번 포트에서 실행 중입니다.",
    ),
    "crashed": ("The server ended unexpectedly: {detail}", "서버가 갑자기 끝났습니다: {detail}"),
    "ended": ("The server was ended by another program.", "다른 프로그램이 서버를 끝냈습니다."),
    "crash_loop": ("The server ended {times} times in a row: {detail}", "서버가 연달아 {times}번 끝났습니다: {detail}"),
    "slow_start": ("The server was not ready after {seconds} seconds.", "{seconds}초가 지나도 서버가 준비되지 않았습니다."),
    "hung": ("The server has not answered for {seconds} seconds.", "서버가 {seconds}초 동안 응답하지 않았습니다."),
    "disk_full": ("The disk is full: free some space.", "디스크가 가득 찼습니다. 공간을 비워 주세요."),
    "busy_home": ("Another server uses the same data folder: {detail}", "다른 서버가 같은 데이터 폴더를 쓰고 있습니다: {detail}"),
    "external_silent": (
        "The server at {address}, started elsewhere, does not answer.",
        "다른 곳에서 시작된 서버({address})가 응답하지 않습니다.",
    ),
    "log_unwritable": ("The log folder can't be written to: {folder}", "로그 폴더에 쓸 수 없습니다: {folder}"),
    "still_running": ("The server could not be ended (process {pid}).", "서버를 끝내지 못했습니다 (프로세스 {pid})."),
    # Problems of the chat page and of the last sync.
    "sync_failed_problem": ("The last sync failed: {message}", "마지막 동기화에 실패했습니다: {message}"),
    "chat_failed_problem": ("The chat page does not start: {message}", "대화 화면을 열 수 없습니다: {message}"),
    # Remedies: the row below a problem.
    "remedy.retry": ("→ Try again", "→ 다시 시도"),
    "remedy.restart_server": ("→ Start the server again", "→ 서버 다시 시작"),
    "remedy.open_logs": ("→ Show the logs", "→ 로그 보기"),
    "remedy.sync_now": ("→ Sync again", "→ 다시 동기화"),
    "remedy.open_chat": ("→ Try again", "→ 다시 시도"),
    "remedy.other": ("→ Show help", "→ 도움말 보기"),
    # Downloads.
    "menu.download": ("Downloading {name}: {percent} % of {size}", "{name} 받는 중: {size} 중 {percent}%"),
    "menu.download_unknown": ("Downloading {name}: {size}", "{name} 받는 중: {size}"),
    "menu.download_paused": ("Paused: {name}, {percent} % of {size}", "일시 정지: {name}, {size} 중 {percent}%"),
    "menu.download_paused_unknown": ("Paused: {name}, {size}", "일시 정지: {name}, {size}"),
    "menu.download_failed": ("Download failed: {name}", "받지 못함: {name}"),
    "menu.download_reason": ("{message}", "{message}"),
    "menu.pause": ("Pause", "일시 정지"),
    "menu.resume": ("Resume", "계속 받기"),
    "menu.cancel": ("Cancel", "취소"),
    "menu.downloads_more": ("{count} more downloads", "다운로드 {count}개 더 있음"),
    # Chat, models, sync.
    "menu.chat": ("Open chat", "대화 열기"),
    "menu.chat_starting": ("Open chat (starting…)", "대화 열기 (시작하는 중…)"),
    "menu.chat_absent": ("Get the chat page…", "대화 화면 설치 안내…"),
    "menu.models": ("Models", "모델"),
    "menu.no_models": ("No model on this computer yet", "이 컴퓨터에 아직 모델이 없습니다"),
    "menu.model": ("{name}", "{name}"),
    "menu.model_loaded": ("{name} (in memory)", "{name} (메모리에 있음)"),
    "menu.model_loading": ("{name} (loading…)", "{name} (불러오는 중…)"),
    "menu.model_failed": ("{name} (did not load)", "{name} (불러오지 못함)"),
    "menu.unload": ("Unload {name}", "메모리에서 내리기: {name}"),
    "menu.unload_none": ("No model is in memory", "메모리에 있는 모델이 없습니다"),
    "menu.sync": ("Sync now ({ago})", "지금 동기화 ({ago})"),
    "menu.sync_running": ("Syncing…", "동기화하는 중…"),
    "menu.sync_items": ("Syncing… {items}", "동기화하는 중… {items}"),
    "menu.sync_percent": ("Syncing… {percent} %", "동기화하는 중… {percent}%"),
    "menu.sync_nothing": ("Sync now (no data connected yet)", "지금 동기화 (연결된 데이터 없음)"),
    "ago.never": ("never yet", "아직 안 함"),
    "ago.now": ("just now", "방금"),
    "ago.minute": ("1 minute ago", "1분 전"),
    "ago.minutes": ("{count} minutes ago", "{count}분 전"),
    "ago.hour": ("1 hour ago", "1시간 전"),
    "ago.hours": ("{count} hours ago", "{count}시간 전"),
    "ago.day": ("yesterday", "어제"),
    "ago.days": ("{count} days ago", "{count}일 전"),
    # Server, help, settings.
    "menu.server": ("Server", "서버"),
    "menu.start": ("Start", "시작"),
    "menu.stop": ("Stop", "멈춤"),
    "menu.restart": ("Restart", "다시 시작"),
    "menu.copy_address": ("Copy API address", "API 주소 복사"),
    "menu.copy_key": ("Copy API key", "API 키 복사"),
    "menu.help": ("Help", "도움말"),
    "menu.logs": ("Show logs", "로그 보기"),
    "menu.diagnostics": ("Save diagnostics (no secrets)…", "진단 파일 저장 (비밀 정보 제외)…"),
    "menu.documentation": ("Documentation", "사용 설명서"),
    "menu.about": ("About Ondol {version}", "온돌 {version} 정보"),
    "menu.settings": ("Settings", "설정"),
    "menu.login": ("Start at login", "로그인할 때 시작"),
    "menu.login_absent": ("Start at login (not on this system)", "로그인할 때 시작 (이 시스템에서는 안 됨)"),
    "menu.notifications": ("Notifications", "알림"),
    "menu.language": ("Language", "언어 (Language)"),
    "menu.language_auto": ("As the system", "시스템 설정 따르기"),
    "menu.language_en": ("English", "English"),
    "menu.language_ko": ("한국어", "한국어"),
    "menu.quit": ("Quit (stops the server)", "끝내기 (서버도 멈춤)"),
    "menu.quit_only": ("Quit", "끝내기"),
    # Notices.
    "ready_first": ("Ready. Click the icon to open the chat.", "준비되었습니다. 아이콘을 눌러 대화를 시작하세요."),
    "download_finished": ("{name} is on this computer and ready to use.", "다운로드가 끝났습니다: {name}. 바로 쓸 수 있습니다."),
    "download_failed": ("{name} could not be downloaded: {message}", "다운로드에 실패했습니다: {name}. {message}"),
    "sync_failed": (
        "The sync failed: {message} Answers use the data of the last good sync.",
        "동기화에 실패했습니다: {message} 답변에는 마지막으로 성공한 동기화의 데이터를 씁니다.",
    ),
    "recovered": ("The server had ended unexpectedly. It runs again.", "서버가 갑자기 끝났지만 다시 실행되고 있습니다."),
    "failed": (
        "The server does not start. The icon's menu says what helps.",
        "서버가 시작되지 않습니다. 해결 방법은 아이콘 메뉴에 있습니다.",
    ),
    "no_chat_page": (
        "The chat page is not installed. How to get it stands in {path}",
        "대화 화면이 설치되어 있지 않습니다. 설치 방법: {path}",
    ),
    "chat_failed": ("The chat page does not start: {message}", "대화 화면을 열 수 없습니다: {message}"),
    "not_done": ("That did not work: {message}", "하지 못했습니다: {message}"),
    "other_default": (
        "{chosen} is loaded, but {place} names {default} as the default model, and goes before the menu. Change it there.",
        "모델을 불러왔습니다: {chosen}. 다만 설정({place})에 정해진 기본 모델이 우선합니다: {default}. 설정에서 바꿔 주세요.",
    ),
    "copy_yourself": ("There is no clipboard here. Copy it from here: {text}", "클립보드를 쓸 수 없습니다. 여기에서 복사하세요: {text}"),
    "open_yourself": ("Nothing here can open this. Its place is: {text}", "이 컴퓨터에서 바로 열 수 없습니다. 위치: {text}"),
    "saved": ("Saved to {path}", "저장했습니다: {path}"),
    "about": ("Ondol {version} at {address}", "온돌 {version}, 주소: {address}"),
    "running": ("Ondol is running already: its icon is in the panel.", "온돌이 이미 실행 중입니다. 아이콘이 패널에 있습니다."),
    # Why no icon, or not all of it, can be shown here.
    "without_icon": (
        "The server is kept without it; Ctrl-C ends both.",
        "아이콘 없이 서버를 계속 실행합니다. Ctrl-C를 누르면 끝납니다.",
    ),
    "no_display": (
        "No display can be used here, so no icon is shown. {help}",
        "사용할 수 있는 화면이 없어 아이콘을 표시할 수 없습니다. {help}",
    ),
    "no_bus": (
        "There is no session bus, so no icon: log in to a desktop, or start it under dbus-run-session.",
        "세션 버스가 없어 아이콘을 표시할 수 없습니다.",
    ),
    "no_library": (
        "The desktop's icon library is missing, so no icon with a menu. {help}",
        "데스크톱 아이콘 라이브러리가 없어 아이콘을 표시할 수 없습니다. {help}",
    ),
    "no_menu": (
        "The icons of this desktop ({backend}) have no menu, so none is shown. {help}",
        "이 데스크톱({backend})의 아이콘에는 메뉴가 없습니다. {help}",
    ),
    "no_tray_host": (
        "No panel here shows icons yet; this one appears when a panel does. On GNOME, switch on the extension AppIndicator.",
        "아이콘을 보여 주는 패널이 아직 없습니다. 패널이 생기면 나타납니다. GNOME에서는 AppIndicator 확장을 켜세요.",
    ),
    "no_notification_daemon": (
        "No notification service runs here; notices stand in the log instead.",
        "알림 서비스가 없어 알림을 로그에 적습니다.",
    ),
}


class _Values(dict[str, str]):
    """A placeholder without a value stays empty: a menu is no place to fail."""

    def __missing__(self, name: str) -> str:
        return ""


def say(code: str, language: Language, **values: object) -> str:
    """The text of `code`. An unknown code, from a newer part perhaps, is shown as it stands."""
    texts = WORDS.get(code)
    if texts is None:
        return code
    return texts[1 if language == "ko" else 0].format_map(_Values({name: str(value) for name, value in values.items()})).strip()


def notice(told: Notice, language: Language) -> tuple[str, str]:
    """A notification's title and text. `failed` says the server's own problem where it is known."""
    code = told.values.get("code", "") if told.code == "failed" else ""
    known = code if code in WORDS else told.code
    values = {name: value for name, value in told.values.items() if name != "code"}
    return "Ondol" if language == "en" else "온돌", say(known, language, **values)


def language(choice: str, environ: Mapping[str, str], system: str = "") -> Language:
    """The choice; "auto" follows the environment in gettext's order, then `system` (a tag such as "ko-KR"), else English."""
    if choice in ("en", "ko"):
        return "ko" if choice == "ko" else "en"
    set_locale = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    plain = set_locale.partition(".")[0] in ("C", "POSIX")  # gettext ignores LANGUAGE then
    wanted = "" if plain else environ.get("LANGUAGE", "").partition(":")[0] or set_locale
    tag = (wanted or ("en" if plain else system)).lower().replace("_", "-")
    return "ko" if tag == "ko" or tag.startswith("ko-") else "en"
