"""The real all-MiniLM in a real worker process."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest
import pytest_asyncio

from app.core.errors import BadRequest, ItemError, NotReady, WorkerDied
from app.core.workers.parent import State
from models.embed_client import EmbedClient
from models.embed_queue import Kind
from models.installed import InstalledModel, embedder_info, read_model
from models.precision import Found, Precisions
from models.sentence import open_embedder
from models.tokenizer import ModelTokenCounter

IN_THE_OFFICE = pytest.mark.asyncio(loop_scope="module")
"""Where the client and its worker outlive a test."""
TEXTS = ["The cat sits on the mat.", "A kitten rests on a rug.", "Quarterly revenue grew by four percent.", "", "연차 휴가는 며칠인가요?"]


@dataclass
class Office:
    """A client that asks for the model in use now, `models[0]`; it has been told that they calculate in fp32 here."""

    models: list[InstalledModel]
    client: EmbedClient


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(minilm: InstalledModel, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    """One for all, as each start of a worker imports torch anew."""
    folder = tmp_path_factory.mktemp("office")
    precisions = Precisions(folder / "remembered")
    precisions.write(minilm, Found("cpu", "fp32"))
    shutil.copytree(minilm.path, folder / "copy")
    models = [minilm, msgspec.structs.replace(read_model(folder / "copy"), sha256="another")]
    precisions.write(models[1], Found("cpu", "fp32"))
    client = EmbedClient(lambda: models[0], logs=folder, threads=1, precisions=precisions, installed=lambda: [minilm])
    yield Office(models, client)
    await client.stop()


@pytest.fixture
def client(office: Office) -> EmbedClient:
    return office.client


async def test_what_an_index_must_know_is_known_without_the_weights(minilm: InstalledModel, tmp_path: Path) -> None:
    client = EmbedClient(minilm, logs=tmp_path, threads=1)
    assert (client.state, client.pid) == (State.STOPPED, None)
    assert await client.info() == embedder_info(minilm)
    assert client.state is State.STOPPED


@IN_THE_OFFICE
async def test_vectors_are_those_of_the_model_have_length_one_and_tell_likeness(client: EmbedClient, minilm: InstalledModel) -> None:
    vectors = await client.passages(TEXTS)
    assert (vectors.shape, vectors.dtype) == ((5, 384), np.dtype(np.float32))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2
    # Alone or in company, in whatever order: the same vector for the same text.
    rows, dimensions = await client.vectors_bytes(TEXTS[2:3], "query")
    assert dimensions == 384
    assert np.allclose(np.frombuffer(rows, "<f4"), vectors[2], atol=1e-5)
    assert np.allclose(open_embedder(minilm, 1).passages(TEXTS), vectors, atol=1e-5)


@IN_THE_OFFICE
async def test_a_question_does_not_wait_for_a_bulk_that_came_before_it(client: EmbedClient) -> None:
    await client.start()
    order: list[str] = []

    async def ask(name: str, texts: list[str], kind: Kind) -> None:
        await client.vectors_bytes(texts, kind)
        order.append(name)

    bulk = asyncio.create_task(ask("bulk", ["a long passage about many things " * 30] * 200, Kind.PASSAGE))
    await asyncio.sleep(0.3)
    await ask("question", ["where is it?"], Kind.QUERY)
    assert order == ["question"]
    bulk.cancel()
    await asyncio.wait([bulk])
    await ask("after", ["and now?"], Kind.PASSAGE)
    assert order == ["question", "after"]


@IN_THE_OFFICE
async def test_a_killed_worker_fails_what_was_under_way_and_the_next_request_works(client: EmbedClient) -> None:
    await client.start()
    first = client.pid
    assert first is not None
    bulk = asyncio.create_task(client.passages(["a long passage about many things " * 30] * 200))
    await asyncio.sleep(0.3)
    os.kill(first, signal.SIGKILL)
    with pytest.raises(WorkerDied):
        await bulk
    assert (await client.queries(["still there?"])).shape == (1, 384)
    assert client.pid not in (None, first)


async def test_an_idle_worker_ends(minilm: InstalledModel, tmp_path: Path) -> None:
    client = EmbedClient(minilm, logs=tmp_path, threads=1, idle_seconds=0.3)
    await client.vectors_bytes(["hello"])
    pid = client.pid
    assert pid is not None
    async with asyncio.timeout(30):
        while psutil.pid_exists(pid):
            await asyncio.sleep(0.05)
    assert client.state is State.STOPPED


async def test_another_model_gets_its_own_worker_and_the_old_one_ends(minilm: InstalledModel, tmp_path: Path) -> None:
    shutil.copytree(minilm.path, tmp_path / "copy")
    models = [minilm, read_model(tmp_path / "copy")]
    client = EmbedClient(lambda: models[0], logs=tmp_path, threads=1, spared_seconds=0.5)
    await client.queries(["hello"])
    old = client.pid
    assert old is not None
    models.reverse()
    await client.queries(["hello"])
    assert client.pid not in (None, old)
    async with asyncio.timeout(30):
        while psutil.pid_exists(old):
            await asyncio.sleep(0.05)
    await client.stop()
    assert client.state is State.STOPPED


@IN_THE_OFFICE
async def test_a_store_filled_in_another_precision_or_by_an_older_model_is_asked_in_just_that_way(
    client: EmbedClient, minilm: InstalledModel
) -> None:
    exact, coarse = (
        np.frombuffer(rows, "<f4")
        for rows in [
            (await client.vectors_bytes(["hello there"], "query", fingerprint=embedder_info(minilm, precision).fingerprint))[0]
            for precision in ("fp32", "bf16")
        ]
    )
    assert 0.999 < float(exact @ coarse) < 1 - 1e-7
    assert np.allclose(np.frombuffer((await client.vectors_bytes(["hello there"], "query"))[0], "<f4"), exact, atol=1e-6)
    with pytest.raises(NotReady, match="no longer installed"):
        await client.vectors_bytes(["hello"], "query", fingerprint="gone:fp32:0")


@IN_THE_OFFICE
async def test_the_model_that_was_in_use_goes_on_answering_for_its_stores_without_another_start(office: Office) -> None:
    client = office.client
    older = (await client.start()).fingerprint
    pid = client.pid
    office.models.reverse()
    await client.queries(["hello"])
    assert client.pid != pid
    await client.vectors_bytes(["hello"], "query", fingerprint=older)
    assert pid is not None
    assert psutil.pid_exists(pid)
    await client.stop()
    office.models.reverse()
    assert not psutil.pid_exists(pid)


async def test_no_texts_are_answered_without_a_worker(minilm: InstalledModel, tmp_path: Path) -> None:
    client = EmbedClient(minilm, logs=tmp_path, threads=1)
    assert await client.vectors_bytes([]) == (b"", 384)
    assert (await client.passages([])).shape == (0, 384)
    assert client.state is State.STOPPED


async def test_a_model_whose_weights_are_broken_fails_its_request_with_what_to_do(minilm: InstalledModel, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(minilm.path, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(b"\xff" * weights.stat().st_size)
    client = EmbedClient(read_model(folder), logs=tmp_path, threads=1)
    with pytest.raises(ItemError, match="pull it again"):
        await client.queries(["hello"])
    await client.stop()


def test_a_folder_that_was_changed_to_run_code_is_not_loaded(minilm: InstalledModel, tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(minilm.path, folder)
    modules = (folder / "modules.json").read_text("utf-8")
    # Of the same length, so that nothing but the look at the content can tell.
    (folder / "modules.json").write_text(
        modules.replace("sentence_transformers.models.Transformer", "evil_transformers_12.models.Transformer_"), "utf-8"
    )
    with pytest.raises(ItemError, match="code of its own"):
        open_embedder(read_model(folder)).queries(["hello"])


def test_the_embedder_of_a_process_knows_its_model_before_torch_is_loaded(minilm: InstalledModel) -> None:
    look = """
import sys
from pathlib import Path
from models.installed import read_model
from models.sentence import open_embedder
embedder = open_embedder(read_model(Path(sys.argv[1])))
assert embedder.passages([]).shape == (0, 384)
print(embedder.info.dimensions, [name for name in ("torch", "sentence_transformers", "transformers") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", look, str(minilm.path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "384 []"


def test_a_chat_model_is_refused_as_an_embedder(minilm: InstalledModel) -> None:
    with pytest.raises(BadRequest, match="no model that stores are filled with"):
        embedder_info(InstalledModel("chat", "chat", minilm.path, 1, "file:x", "", 0.0, "0"))


def test_the_fingerprint_changes_with_precision_prefix_and_weights(minilm: InstalledModel) -> None:
    facts = minilm.embedding
    assert facts is not None
    prefixed = msgspec.structs.replace(minilm, embedding=msgspec.structs.replace(facts, passage_prefix="passage: "))
    others = [embedder_info(minilm, "bf16"), embedder_info(prefixed), embedder_info(msgspec.structs.replace(minilm, sha256="0"))]
    assert len({embedder_info(minilm).fingerprint, *(other.fingerprint for other in others)}) == 4


def test_tokens_are_counted_as_the_model_cuts_and_without_its_saved_padding(minilm: InstalledModel) -> None:
    counter = ModelTokenCounter(minilm)
    text = "Unbelievable: 안녕 world"
    spans = counter.offsets(text)
    assert text[spans[0][0] : spans[0][1]] == "Un".lower() or text[slice(*spans[0])].lower() == "unbelievable"
    assert spans == sorted(spans)
    assert text[spans[-1][0] : spans[-1][1]] == "world"
    assert len(counter.offsets("word " * 1000)) == 1000
    assert counter.offsets("") == []
