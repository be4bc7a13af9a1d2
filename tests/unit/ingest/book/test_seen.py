from __future__ import annotations

import random

from ingest.book.held import Seen


def test_a_place_is_new_once():
    seen, known, chance = Seen(), set(), random.Random(3)
    for _ in range(5000):
        pk = chance.choice([chance.randrange(100), chance.randrange(100_000)])
        assert (pk in seen) == (pk in known)
        assert seen.add(pk) == (pk not in known)
        known.add(pk)
