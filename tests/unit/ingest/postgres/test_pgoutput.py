from __future__ import annotations

import struct

import pytest

from ingest.postgres.pgoutput import Changes, Unreadable, position, position_text, settled


def begin(xid: int) -> bytes:
    return b"B" + struct.pack(">QqI", 1, 2, xid)


def commit(end: int) -> bytes:
    return b"C" + struct.pack(">bQQq", 0, end - 8, end, 2)


def relation(oid: int, *columns: str) -> bytes:
    told = b"".join(b"\1" + name.encode() + b"\0" + struct.pack(">Ii", 25, -1) for name in columns)
    return b"R" + struct.pack(">I", oid) + b"public\0t\0d" + struct.pack(">h", len(columns)) + told


def row(*values: str | None) -> bytes:
    told = [b"n" if value is None else b"u" if value == "…" else b"t" + packed(value) for value in values]
    return struct.pack(">h", len(values)) + b"".join(told)


def packed(value: str) -> bytes:
    return struct.pack(">i", len(value.encode())) + value.encode()


def insert(oid: int, *values: str | None) -> bytes:
    return b"I" + struct.pack(">I", oid) + b"N" + row(*values)


def update(oid: int, new: bytes, old: bytes = b"") -> bytes:
    return b"U" + struct.pack(">I", oid) + old + b"N" + new


def delete(oid: int, old: bytes) -> bytes:
    return b"D" + struct.pack(">I", oid) + b"K" + old


def read(*messages: bytes, key: tuple[str, ...] = ("id",)) -> Changes:
    changes = Changes(("public", "t"), key)
    for message in messages:
        changes.take(message)
    return changes


def test_inserts_updates_and_deletions_tell_the_keys_of_their_rows() -> None:
    changes = read(begin(7), relation(1, "a", "id"), insert(1, "x", "키"), update(1, row("y", "2")), delete(1, row(None, "3")), commit(900))
    assert (changes.keys, changes.end, changes.transactions) == ({("키",), ("2",), ("3",)}, 900, [7])
    assert not changes.unclear
    assert not changes.truncated


def test_an_update_of_the_key_tells_the_old_one_and_the_new_one() -> None:
    changes = read(relation(1, "id", "a"), update(1, row("9", "x"), b"K" + row("1", None)))
    assert changes.keys == {("1",), ("9",)}


def test_a_part_of_the_key_that_is_left_out_for_its_length_is_that_of_the_old_row() -> None:
    changes = read(relation(1, "id", "long"), update(1, row("9", "…"), b"O" + row("1", "words")), key=("id", "long"))
    assert changes.keys == {("1", "words"), ("9", "words")}
    assert read(relation(1, "id"), update(1, row("…"))).unclear


def test_a_key_of_several_columns_comes_in_the_order_asked_for() -> None:
    assert read(relation(1, "b", "x", "a"), insert(1, "2", "-", "1"), key=("a", "b")).keys == {("1", "2")}


def test_a_truncation_and_a_table_without_the_key_are_told() -> None:
    assert read(b"T" + struct.pack(">IbI", 1, 0, 1)).truncated
    assert read(relation(1, "other"), insert(1, "x")).unclear
    assert read(relation(1, "id"), delete(1, row(None))).unclear


def test_a_message_that_breaks_off_or_is_of_another_kind_is_refused() -> None:
    whole = insert(1, "x", "abc")
    for broken in (whole[:-1], whole[:8], whole[:5], b"", b"S1", b"B12"):
        with pytest.raises(Unreadable):
            read(relation(1, "a", "id"), broken)


def test_a_change_of_another_table_of_the_publication_is_told_apart() -> None:
    changes = read(relation(2, "id").replace(b"\0t\0", b"\0other\0"), insert(2, "5"))
    assert (changes.elsewhere, changes.keys, changes.unclear) == (True, set(), False)


def test_positions_are_read_and_written_as_postgresql_writes_them() -> None:
    assert position("16/B374D848") == 0x16B374D848
    assert position_text(0x16B374D848) == "16/B374D848"


@pytest.mark.parametrize(
    ("transactions", "snapshot", "over"),
    [
        ([], "10:10:", True),
        ([9], "10:12:10", True),
        ([10], "10:12:10", False),
        ([11], "10:12:10", True),
        ([12], "10:12:10", False),
        ([4294967295], f"{(1 << 32) + 3}:{(1 << 32) + 3}:", True),
        ([5], f"{(1 << 32) + 3}:{(1 << 32) + 3}:", False),
        ([2], f"{(1 << 32) + 2}:{(1 << 32) + 3}:{(1 << 32) + 2}", False),
    ],
)
def test_a_transaction_is_over_when_a_snapshot_sees_it_also_where_ids_turn_round(transactions, snapshot, over) -> None:
    assert settled(transactions, snapshot) is over
