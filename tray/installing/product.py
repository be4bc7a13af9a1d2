"""What desktops call this program, where they keep a name of it: menu entries, bundles, login items."""

from __future__ import annotations

NAME, NAME_KO = "Ondol", "온돌"
COMMENT = "A private assistant over your own data, on this computer"
COMMENT_KO = "내 컴퓨터에서, 내 데이터로 답하는 개인 비서"
KEYWORDS, KEYWORDS_KO = "AI;chat;assistant;documents;search;LLM;Ondol;", "AI;채팅;비서;문서;검색;언어모델;온돌;Ondol;"
LABEL = "ondol.tray"  # macOS: of the launch agent and of the bundle
