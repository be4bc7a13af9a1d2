"""All that the product does once its models are there, with `network: offline`: `python offline_story.py HOME MODELS DSN`.

Run it where nothing but this machine can be reached. Prints one JSON object, what was seen at each step; a step that fails
ends it with its trace. `DSN` is a PostgreSQL to be reached through a local socket.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psutil
import psycopg
from product import Product, Served

MODEL = "smollm2-135m-instruct"
# As on a company's machine. Only the product gets them: the official client would hand our own server's address to them.
PROXIES = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://proxy.example:3128")
HANDBOOK = """# Returns

A customer may send a scale back within 41 days. The parcel goes to the depot in Gunsan.

# 휴가

창립기념일은 5월 17일이며 모든 직원이 쉽니다.
"""


def tell(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]


def last(product: Product, *words: str) -> dict[str, Any]:
    """The last line of a command that must succeed."""
    line = product.lines(*words)[-1]
    assert "error" not in line or not line["error"], line
    return line


def tables(dsn: str) -> None:
    tell(
        dsn,
        "DROP TABLE IF EXISTS scales",
        "CREATE TABLE scales (sku text PRIMARY KEY, name text NOT NULL, price integer, about text)",
        "INSERT INTO scales VALUES ('Q1', 'Quokka bench scale', 4100, 'A small scale for bakeries.'),"
        " ('W2', 'Wombat floor scale', 9300, 'Weighs whole pallets.')",
    )


def streamed(served: Served, model: str, question: str, **options: Any) -> str:
    chunks = served.client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], stream=True, max_tokens=24, temperature=0, **options
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def peers(served: Served) -> list[str]:
    """Every internet socket of the server and its workers that has another end."""
    server = psutil.Process(served.process.pid)
    found = [one for process in (server, *server.children(recursive=True)) for one in process.net_connections("inet")]
    return sorted({one.raddr.ip for one in found if one.raddr})


def story(home: Path, models: Path, dsn: str) -> dict[str, Any]:
    seen: dict[str, Any] = {"devices": sorted(psutil.net_if_addrs())}
    product = Product(home, models)
    product.environment.update(PROXIES)
    (home / "config.yaml").write_text("network: offline\n", encoding="utf-8")
    page = home.parent / "안내서.md"
    page.write_text(HANDBOOK, encoding="utf-8")
    tables(dsn)

    seen["files"] = product.lines("ingest", "files", str(page), "--into", "shop")[-1]
    seen["search"] = product.lines("search", "How many days may a scale be sent back?", "--in", "shop", "--limit", "1")[0]["content"][0][
        "text"
    ]
    seen["ask"] = last(product, "ask", "How many days may a customer send a scale back?")["answer"]
    with product.serving() as served:
        seen["rows"] = product.lines("ingest", "postgres", dsn, "--table", "scales", "--title", "{name}", "--into", "shop")[-1]
        tell(dsn, "INSERT INTO scales VALUES ('B5', 'Bilby jewellery scale', 3210, 'Weighs rings.')")
        seen["sync"] = product.lines("ingest", "sync")
        seen["found"] = product.lines("search", "Bilby jewellery scale", "--in", "shop", "--limit", "1")[0]["filename"]
        seen["assistant"] = streamed(served, "shop", "What is the price of the Bilby jewellery scale?")
        seen["korean"] = streamed(served, "shop", "창립기념일은 언제인가요?")
        seen["raw"] = streamed(served, MODEL, "Say hello.")
        seen["models"] = [line["id"] for line in product.lines("models", "list")]
        seen["pulls"] = {
            source: product.lines("models", "pull", source)[-1]["error"]["code"]
            for source in ("pypi:ondol-no-such", "hf:ondol/none", "https://hub.example/none.gguf")
        }
        seen["indexed"] = served.drained()
        seen["peers"] = peers(served)
    return seen


if __name__ == "__main__":
    print(json.dumps(story(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]), ensure_ascii=False))
