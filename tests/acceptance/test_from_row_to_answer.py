"""The main line as a user has it: rows and files in, cited answers out, through the commands and a real server."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import openai
import psutil
import psycopg
import pytest
from postgres_servers import embedded_server
from product import Product, Served

from models.installed import InstalledModel

pytestmark = pytest.mark.acceptance
MODEL = "smollm2-135m-instruct"
HANDBOOK = """# Returns

A customer may send a scale back within 41 days. The parcel goes to the depot in Gunsan.

# 휴가

창립기념일은 5월 17일이며 모든 직원이 쉽니다.
"""


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with embedded_server() as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE products (sku text PRIMARY KEY, name text NOT NULL, price integer, about text)")
            connection.execute(
                "INSERT INTO products VALUES ('Q1', 'Quokka bench scale', 4100, 'A small scale for bakeries.'),"
                " ('W2', 'Wombat floor scale', 9300, 'Weighs whole pallets.'), ('N3', 'Numbat pocket scale', 700, 'Fits in a coat.')"
            )
        yield dsn


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, smollm2: Path, minilm: InstalledModel, database: str) -> Product:
    """A home filled from a file and a table, without a server."""
    made = Product(tmp_path_factory.mktemp("한글 home") / "ondol", models_dir)
    page = made.home.parent / "안내서.md"
    page.write_text(HANDBOOK, encoding="utf-8")
    assert made.run("ingest", "files", str(page), "--into", "shop").returncode == 0
    ingested = made.run("ingest", "postgres", database, "--table", "products", "--title", "{name}", "--into", "shop")
    assert ingested.returncode == 0, ingested.stderr
    return made


@pytest.fixture(scope="module")
def served(product: Product) -> Iterator[Served]:
    with product.serving() as running:
        yield running


def test_without_a_server_new_and_changed_rows_are_found_by_the_next_search_and_deleted_ones_go(product: Product, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO products VALUES ('B5', 'Bilby jewellery scale', 3210, 'Weighs rings.')")
        connection.execute("UPDATE products SET about = 'A small scale for chocolate makers.' WHERE sku = 'Q1'")
    assert product.run("ingest", "sync").returncode == 0
    hits = product.lines("search", "Which scale is for chocolate makers?", "--in", "shop", "--limit", "4")
    found = {hit["filename"]: hit for hit in hits}
    assert hits[0]["filename"] == "Quokka bench scale"
    assert found["Quokka bench scale"]["attributes"]["price"] == 4100
    assert "chocolate makers" in found["Quokka bench scale"]["content"][0]["text"]
    assert found["Bilby jewellery scale"]["attributes"]["price"] == 3210
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DELETE FROM products WHERE sku = 'B5'")
    assert sum(report.get("deleted", 0) for report in product.lines("ingest", "sync") if report["event"] == "report") == 1


def test_ask_starts_a_temporary_server_and_prints_the_answer_with_its_source(product: Product) -> None:
    done = product.run("ask", "How many days may a customer send a scale back?")
    assert done.returncode == 0, done.stderr
    assert "41 days" in done.stdout
    assert "[1]" in done.stdout
    assert "안내서.md" in done.stdout
    assert not (product.home / "server.json").exists()


def test_an_answer_from_a_row_cites_the_row(served: Served) -> None:
    made = served.client.chat.completions.create(
        model="shop", messages=[{"role": "user", "content": "What is the price of the Wombat floor scale?"}]
    )
    message = made.choices[0].message
    assert "9300" in (message.content or "")
    assert message.annotations
    assert any(one.url_citation.document_id.endswith("products/W2") for one in message.annotations)  # type: ignore[attr-defined]


def test_a_korean_question_is_answered_from_a_korean_passage(served: Served) -> None:
    assert "5월 17일" in served.answer("창립기념일은 언제인가요?", "shop")


def test_what_is_not_in_the_data_is_refused_honestly(served: Served) -> None:
    assert served.answer("Who won the football world cup in 1998?", "shop") == "I couldn't find an answer to this in your data."
    assert served.answer("1998년 월드컵 우승국은 어디인가요?", "shop") == "가지고 계신 데이터에서 이 질문의 답을 찾지 못했습니다."


def test_ingest_while_the_server_answers_is_seen_by_the_next_question(product: Product, served: Served, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO products VALUES ('P4', 'Potoroo counting scale', 5250, 'Counts screws.')")
        connection.execute("UPDATE products SET price = 9999 WHERE sku = 'W2'")
        connection.execute("DELETE FROM products WHERE sku = 'N3'")
    report = product.lines("ingest", "sync", "--in", "shop")[-1]
    assert (report["added"], report["changed"], report["deleted"]) == (1, 1, 1)
    assert "5250" in served.answer("What is the price of the Potoroo counting scale?", "shop")
    changed = served.answer("What is the price of the Wombat floor scale?", "shop")
    assert "9999" in changed
    assert "9300" not in changed
    hits = served.client.vector_stores.search("shop", query="Numbat pocket scale or Bilby jewellery scale", max_num_results=50).data
    assert not any(gone in hit.content[0].text for gone in ("Numbat", "Bilby") for hit in hits)


def test_the_official_client_streams_completes_embeds_and_searches(served: Served) -> None:
    client = served.client
    assert {"ondol", "shop", MODEL, "all-minilm-l6-v2"} <= {model.id for model in client.models.list()}
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Say hello."}],
            max_tokens=12,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).strip()
    assert chunks[-1].usage is not None
    assert 0 < chunks[-1].usage.completion_tokens <= 12
    text = client.completions.create(model=MODEL, prompt="One, two, three,", max_tokens=4, temperature=0).choices[0].text
    assert "four" in text
    vectors = client.embeddings.create(model="default", input=["a scale", "a balance", "a poem about rain"]).data
    near = sum(a * b for a, b in zip(vectors[0].embedding, vectors[1].embedding, strict=True))
    far = sum(a * b for a, b in zip(vectors[0].embedding, vectors[2].embedding, strict=True))
    assert len(vectors[0].embedding) == 384
    assert near > far
    assert client.vector_stores.search("shop", query="chocolate makers").data[0].filename == "Quokka bench scale"


def test_the_official_clients_error_classes_fit(served: Served) -> None:
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="sk-wrong", max_retries=0).models.list()
    with pytest.raises(openai.NotFoundError):
        served.answer("hello", "no-such-model")
    with pytest.raises(openai.BadRequestError):
        served.client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x"}], temperature=7)
    with pytest.raises(openai.BadRequestError, match="tokens") as caught:
        served.answer("word " * 40_000, MODEL)
    assert caught.value.code == "context_length_exceeded"


def engines(served: Served) -> list[psutil.Process]:
    children = psutil.Process(served.process.pid).children(recursive=True)
    return [child for child in children if any("models.engine.worker" in word for word in child.cmdline())]


def test_eight_chats_stream_at_once_and_killing_the_engine_ends_each_clearly_and_the_next_works(served: Served) -> None:
    told: list[str] = []
    begun = threading.Barrier(9, timeout=120)

    def chat(number: int) -> None:
        stream = served.client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": f"Tell a long story about ship number {number}."}],
            max_tokens=3000,
            stream=True,
            extra_body={"ignore_eos": True},
        )
        try:
            for place, _ in enumerate(stream):
                if place == 3:
                    begun.wait()
            told.append("ended")
        except openai.APIError as error:
            told.append(error.message)

    threads = [threading.Thread(target=chat, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    begun.wait()
    os.kill(engines(served)[0].pid, signal.SIGKILL)
    for thread in threads:
        thread.join(30)
    assert len(told) == 8
    assert all("SIGKILL" in message and "try again" in message.lower() for message in told), told
    made = served.client.completions.create(model=MODEL, prompt="One, two, three,", max_tokens=4, temperature=0)
    assert "four" in made.choices[0].text


def test_models_are_listed_at_once_while_a_model_loads(served: Served) -> None:
    engine = engines(served)[0]
    engine.kill()
    engine.wait(10)
    loading = threading.Thread(
        target=lambda: served.client.with_options(max_retries=3).completions.create(model=MODEL, prompt="a", max_tokens=1)
    )
    loading.start()
    answers = 0
    while loading.is_alive():
        assert served.client.models.list().data
        answers += 1
    assert answers > 1


def test_a_second_server_over_the_same_data_says_who_has_it(product: Product, served: Served) -> None:
    done = product.run("serve", "--port", "0")
    assert done.returncode == 75
    assert served.url in done.stderr


def test_a_lost_index_is_rebuilt_from_the_book_and_answers_go_on_without_embedding_again(product: Product, served: Served) -> None:
    import shutil

    assert served.drained()
    index = served.health()["index"]["pid"]
    shutil.rmtree(product.home / "index")
    os.kill(index, signal.SIGKILL)
    assert "5250" in served.answer("What is the price of the Potoroo counting scale?", "shop")
    assert served.drained()
    assert "5250" in served.answer("What is the price of the Potoroo counting scale?", "shop")


def test_a_server_that_is_killed_leaves_no_worker_behind_and_the_next_one_answers(product: Product) -> None:
    with Product(product.home.parent / "second", product.home / "models").serving() as running:
        running.client.completions.create(model=MODEL, prompt="a", max_tokens=1)
        workers = psutil.Process(running.process.pid).children(recursive=True)
        assert workers
        running.process.kill()
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert alive == []


def test_over_a_damaged_book_the_server_lives_lists_models_and_says_what_to_do(product: Product) -> None:
    damaged = Product(product.home.parent / "damaged", product.home / "models")
    (damaged.home / "book.db").write_bytes(b"this is no database" * 100)
    with damaged.serving() as running:
        assert MODEL in {model.id for model in running.client.models.list()}
        with pytest.raises(openai.InternalServerError, match=r"Move book\.db away"):
            running.client.vector_stores.search("shop", query="anything")
    assert "Move book.db away" in damaged.run("search", "x", "--in", "shop").stderr
