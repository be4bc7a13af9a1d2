"""How long the look takes that says whether the rows behind an answer's citations are still as they were read.

    python tests/bench/fresh.py [--rows 8] [--rounds 200]

Rows of a real PostgreSQL on this machine are ingested with a deterministic vector generator and looked at again and again, as an
answer's citations are. Prints one JSON line: milliseconds of the first look, which connects and reads the catalogue, and of the others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "bench")]

import psycopg  # noqa: E402
from drain import spread  # noqa: E402
from postgres_servers import embedded_server  # noqa: E402

from app.core.paths import Home  # noqa: E402
from ingest.chunking import DEFAULT  # noqa: E402
from ingest.freshness import FreshnessChecker  # noqa: E402
from ingest.postgres.asked import Asked  # noqa: E402
from ingest.sync import ingest_postgres  # noqa: E402
from models.hash_embedder import HashEmbedder, WordCounter  # noqa: E402

IN_ALL = 10_000


async def measure(home: Home, cited: list[tuple[str, str]], rounds: int) -> list[float]:
    """Milliseconds of each look."""
    checker, took = FreshnessChecker(home, DEFAULT), list[float]()
    for _ in range(rounds):
        began, told = time.perf_counter(), 0
        async for part in checker.look(cited):
            told += sum(fresh == "current" for fresh in part.values())
        took.append(1e3 * (time.perf_counter() - began))
        assert told == len(cited), "not every row was found to be as it was"
    await checker.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    with embedded_server() as dsn, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE items (id bigint PRIMARY KEY, name text, body text, price numeric)")
            connection.execute(f"INSERT INTO items SELECT n, 'item ' || n, repeat('words ', 30), n FROM generate_series(1, {IN_ALL}) n")
        home = Home(Path(folder))
        (report,) = ingest_postgres(home, dsn, Asked(tables=("items",)), "shop", HashEmbedder(8), WordCounter())
        cited = [("shop", f"{report.source}/{IN_ALL // options.rows * number}") for number in range(1, options.rows + 1)]
        first, *others = asyncio.run(measure(home, cited, options.rounds))
    print(json.dumps({"rows": options.rows, "first_ms": round(first, 1), "others_ms": spread(others)}))


if __name__ == "__main__":
    main()
