"""The tables of `state.db`: what the server keeps of its own work. SQLite in WAL mode; the server alone writes."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

# Questions and answers are their user's data: they stay in this file, on this machine, and are never logged.
answers = Table(
    "answers",
    metadata,
    Column("id", String, primary_key=True),
    Column("request_id", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("tenant", String, nullable=False),
    Column("key", String, nullable=False),  # the key's name, never the key
    Column("assistant", String, nullable=False),
    Column("model", String, nullable=False),
    Column("style", String, nullable=False),  # written | quote | none
    Column("question", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("finish_reason", String, nullable=False),
    Column("relevance", Float, nullable=False),
    Column("passages", JSON, nullable=False),  # [store, chunk id, score] of each that was shown or sent to the model
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("milliseconds", Float, nullable=False),
    Index("answers_at", "at"),
)
