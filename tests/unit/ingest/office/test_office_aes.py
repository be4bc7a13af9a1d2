from __future__ import annotations

from ingest.readers.office.aes import decrypt


def test_the_standards_own_example_is_decrypted():
    found = decrypt(bytes.fromhex("69c4e0d86a7b0430d8cdb78070b4c55a"), bytes(range(16)))
    assert found == bytes.fromhex("00112233445566778899aabbccddeeff")


def test_each_block_stands_for_itself_and_a_piece_of_one_is_left_out():
    block, other = bytes.fromhex("69c4e0d86a7b0430d8cdb78070b4c55a"), bytes(16)
    key = bytes(range(16))
    assert decrypt(block + other + block + b"short", key) == decrypt(block, key) + decrypt(other, key) + decrypt(block, key)
