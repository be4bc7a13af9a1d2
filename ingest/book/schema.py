"""The tables of `book.db`: what was read, what it was cut into, and what the index still has to learn.

SQLite in WAL mode. Ingest alone writes, one writer per store at a time; the server, the index worker and the command line
read. Everything that one batch changes is written in one transaction: documents, chunks, vectors, full-text rows, outbox.

- A chunk's id is `document id#ordinal` within its store: deterministic, so that doing a thing twice changes nothing.
- A vector belongs to a text (by its hash) and a generation, so that the same text is embedded once.
- A generation is one way to embed a store (model, precision): `fingerprint`. One generation of a store is `current`.
- `outbox.seq` grows for ever. The index worker keeps, in its own directory, the seq up to which it has taken the changes
  in; a row of the outbox says that the chunk with this `pk` of this generation was put or deleted. Rows that the
  index has passed are pruned by the writer.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

stores = Table(
    "stores",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
)

generations = Table(
    "generations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("store_id", ForeignKey("stores.id", ondelete="CASCADE"), nullable=False),
    Column("model", String, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("dimensions", Integer, nullable=False),
    Column("state", String, nullable=False),  # building | current | previous
    Column("created_at", Float, nullable=False),
    sqlite_autoincrement=True,
)

sources = Table(
    "sources",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("store_id", ForeignKey("stores.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String, nullable=False),  # files | bucket | postgres
    Column("name", String, nullable=False),  # a folder or file; a redacted DSN with its table: never a password
    Column("spec", JSON, nullable=False),  # what `ingest sync` needs to run it again
    Column("state", JSON, nullable=False),  # the sync rule's own memory (snapshot, table OID)
    Column("last_started", Float),
    Column("last_finished", Float),
    Column("last_summary", JSON),
    Column("schedule", JSON),  # when the server reads it again by itself: `ingest.keeping.schedule.Schedule`
    Column("last_good", Float),  # when the last run without an error ended
    Column("outcome", String, nullable=False, server_default=""),  # of the last run: running | ok | failed | interrupted
    Column("failed_runs", Integer, nullable=False, server_default="0"),  # in a row, the last one among them
    Column("runner", JSON),  # the process that runs it: id and birth, so that a killed one is told from a slow one
    UniqueConstraint("store_id", "kind", "name"),
)

documents = Table(
    "documents",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("store_id", ForeignKey("stores.id", ondelete="CASCADE"), nullable=False),
    Column("source_id", ForeignKey("sources.id", ondelete="CASCADE"), nullable=False),
    Column("id", String, nullable=False),  # connection/schema.table/key, path, path#record
    Column("title", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("content_hash", String, nullable=False),  # of all that chunks are made from, and the chunking rule
    Column("attributes", JSON, nullable=False),
    Column("access", JSON, nullable=False),  # labels; empty: everyone
    Column("may_leave", Boolean, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("store_id", "id"),
    Index("documents_source", "source_id"),
)

chunks = Table(
    "chunks",
    metadata,
    Column("pk", Integer, primary_key=True),  # also the rowid in chunk_text and the id in the vector index
    Column("store_id", ForeignKey("stores.id", ondelete="CASCADE"), nullable=False),
    Column("document_pk", ForeignKey("documents.pk", ondelete="CASCADE"), nullable=False),
    Column("id", String, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("text", Text, nullable=False),  # as the reader sees it
    Column("heading", Text, nullable=False),  # heading path; goes to the embedder with the title, not to the reader
    Column("page", Integer),
    Column("line", Integer),
    Column("text_hash", String, nullable=False),  # of title + heading + text: what was embedded
    UniqueConstraint("store_id", "id"),
    Index("chunks_document", "document_pk"),
    Index("chunks_hash", "text_hash"),
    # A pk is never used twice: a deleted chunk's entry in an index that lags can't be mistaken for a new chunk.
    sqlite_autoincrement=True,
)

vectors = Table(
    "vectors",
    metadata,
    Column("pk", Integer, primary_key=True),
    Column("generation_id", ForeignKey("generations.id", ondelete="CASCADE"), nullable=False),
    Column("text_hash", String, nullable=False),
    Column("vector", LargeBinary, nullable=False),  # float32, little endian, of length 1
    UniqueConstraint("generation_id", "text_hash"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("generation_id", Integer, nullable=False),
    Column("op", String, nullable=False),  # put | delete
    Column("chunk_pk", Integer, nullable=False),
    Index("outbox_generation", "generation_id", "seq"),
    sqlite_autoincrement=True,
)

failures = Table(
    "failures",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source_id", ForeignKey("sources.id", ondelete="CASCADE"), nullable=False),
    Column("item", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("version", String, nullable=False, server_default=""),  # of what failed: another one is tried at once
    Column("next_at", Float, server_default="0"),  # not before this is it tried again unchanged; NULL: set aside
    UniqueConstraint("source_id", "item"),
)

# FTS5 is made by the migration: SQLAlchemy has no shape for it. `terms` holds title, heading and text as
# `ingest.search.lexical.index_terms` cuts them (NFC, Hangul as bigrams), stemmed by FTS5's porter tokenizer.
FULL_TEXT = "CREATE VIRTUAL TABLE chunk_text USING fts5(terms, tokenize = 'porter unicode61 remove_diacritics 2')"
