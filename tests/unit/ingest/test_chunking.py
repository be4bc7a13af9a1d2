from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chunking import ChunkOptions, _Measure, chunk, embedded_text
from ingest.documents import Block
from models.hash_embedder import WordCounter

WORDS = WordCounter().offsets
SMALL = ChunkOptions(tokens=20, overlap=5, characters=60)


def crumbs(text: str) -> list[tuple[int, int]]:
    """As all-MiniLM cuts Hangul: three tokens on each syllable."""
    return [(at, at + 1) for at, letter in enumerate(text) if not letter.isspace() for _ in range(3 if "가" <= letter <= "힣" else 1)]


texts = st.text(st.sampled_from("ab cd.e!\n가나다 라.마？“”。0"), max_size=400) | st.text(max_size=200)
blocks = st.lists(
    st.builds(
        Block,
        text=texts,
        heading_path=st.sampled_from([(), ("A",), ("A", "B")]),
        page=st.sampled_from([None, 1, 2]),
        kind=st.sampled_from(["text", "list", "row", "code"]),
    ),
    max_size=6,
)


@settings(deadline=None, max_examples=200)
@given(blocks=blocks, counter=st.sampled_from([WORDS, crumbs]))
def test_every_character_of_the_input_stands_in_some_chunk_and_in_order(blocks, counter):
    chunks = chunk("title", blocks, counter, 30, SMALL)
    wanted = "".join("".join(block.text.split()) for block in blocks)
    at = 0
    for found in chunks:
        bare = "".join(found.text.split())
        # A chunk goes on where the last one ended, or repeats some of its end.
        starts = [
            begin for begin in range(at, max(-1, at - len(bare) - 1), -1) if wanted.startswith(bare, begin) and begin + len(bare) >= at
        ]
        assert starts, (found.text, wanted[at : at + 40])
        at = starts[0] + len(bare)
    assert at == len(wanted)


@settings(deadline=None, max_examples=200)
@given(blocks=blocks)
def test_no_chunk_is_larger_than_both_measures_allow(blocks):
    for found in chunk("title", blocks, crumbs, 30, SMALL):
        tokens = len(crumbs(found.text))
        # 27 = 30 tokens of the embedder, less two special ones and the title's; half of it at the worst title.
        assert tokens <= 27 or tokens / 20 <= 1 or len("".join(found.text.split())) <= 60 + 27


@settings(deadline=None, max_examples=100)
@given(words=st.lists(st.text("abcdefgh", min_size=1, max_size=6), min_size=1, max_size=300))
def test_no_word_is_cut_that_fits_in_a_chunk(words):
    text = " ".join(words)
    for found in chunk("", [Block(text)], WORDS, 30, SMALL):
        assert set(found.text.split()) <= set(words)


@given(blocks=blocks)
@settings(deadline=None, max_examples=50)
def test_cutting_twice_gives_the_same_chunks(blocks):
    assert chunk("t", blocks, WORDS, 30, SMALL) == chunk("t", blocks, WORDS, 30, SMALL)


def test_an_ordinary_paragraph_stays_one_chunk():
    paragraph = "Ondol is a floor heating system of old Korean houses. " * 15
    assert len(chunk("Ondol", [Block(paragraph)], WORDS, 256)) == 1


def test_a_section_that_fits_by_its_characters_is_one_chunk_and_its_tokens_are_not_counted():
    def nobody(text: str) -> list[tuple[int, int]]:
        raise AssertionError(f"counted: {text}")

    rows = [Block(f"column {n}: {'가' * 80}", kind="row") for n in range(5)]
    (whole,) = chunk("Title", rows, nobody, 256)
    assert whole.text == "\n".join(row.text for row in rows)
    with pytest.raises(AssertionError, match="counted"):
        chunk("Title", [*rows, Block("과" * 80, kind="row")], nobody, 256)


def test_tokens_are_counted_in_the_longest_values_alone_where_these_leave_room_for_the_others():
    counted: list[str] = []

    def counter(text: str) -> list[tuple[int, int]]:
        counted.append(text)
        return WORDS(text)

    long, short = " ".join(["word"] * 90), "a value of forty characters, or near it."
    values = [Block(text, (), kind="row") for text in (short, long, short, short)]
    assert len(chunk("title", values, counter, 256)) == 1
    assert counted == ["title", long]
    counted.clear()
    assert len(chunk("title", [*values, *values, *values], counter, 256)) == 2
    assert counted.count(long) == 1


@settings(deadline=None, max_examples=300)
@given(blocks=blocks, counter=st.sampled_from([WORDS, crumbs]))
def test_what_is_known_from_characters_changes_no_cut(blocks, counter):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Measure, "holds", lambda _measure, _blocks: False)
        counted = chunk("title", blocks, counter, 30, SMALL)
    assert chunk("title", blocks, counter, 30, SMALL) == counted


def test_a_korean_paragraph_is_not_cut_because_its_syllables_make_many_tokens():
    paragraph = "온돌은 방바닥을 데우는 난방 방식이다. " * 20
    assert len(crumbs(paragraph)) > 900
    assert len(chunk("온돌", [Block(paragraph)], crumbs, 256)) == 1


def test_a_long_text_is_cut_between_sentences_with_the_last_one_repeated():
    text = " ".join(f"Sentence number {number} says nothing much at all." for number in range(80))
    chunks = chunk("", [Block(text)], WORDS, 256)
    assert len(chunks) > 2
    for before, after in itertools.pairwise(chunks):
        assert after.text.startswith("Sentence number")
        assert after.text.split(".")[0] in before.text
        assert before.text.endswith("all.")
    sizes = [len(found.text) for found in chunks]
    assert min(sizes) > max(sizes) / 2


def test_sections_and_pages_are_not_mixed():
    blocks = [
        Block("one", heading_path=("A",), page=1),
        Block("two", heading_path=("A",), page=1),
        Block("three", heading_path=("B",), page=1),
        Block("four", heading_path=("B",), page=2, line=7),
    ]
    found = chunk("", blocks, WORDS, 256)
    assert [(c.text, c.heading, c.page, c.line) for c in found] == [
        ("one\n\ntwo", "A", 1, None),
        ("three", "B", 1, None),
        ("four", "B", 2, 7),
    ]


def test_a_part_of_a_long_block_knows_its_own_line():
    text = "\n".join(f"line {number} has five words" for number in range(1, 101))
    chunks = chunk("", [Block(text, line=11)], WORDS, 256)
    assert len(chunks) > 1
    for found in chunks:
        assert found.line == 10 + int(found.text.split()[1])


def test_a_word_without_end_is_cut_rather_than_dropped():
    text = "x" * 5000
    chunks = chunk("", [Block(text)], lambda text: [(at, at + 1) for at in range(len(text))], 256)
    assert max(len(found.text) for found in chunks) <= 500
    assert sum(len(found.text) for found in chunks) >= 5000


def test_a_word_of_one_token_fills_no_chunk_beyond_some_thousand_characters():
    chunks = chunk("dump", [Block("ff00" * 50_000)], WORDS, 256)
    assert max(len(found.text) for found in chunks) <= 5_000
    assert sum(len(found.text) for found in chunks) >= 200_000


def test_a_title_as_long_as_the_embedder_leaves_room_for_the_text():
    chunks = chunk("word " * 400, [Block("Some sentence of six words. " * 100)], WORDS, 100)
    assert all(len(WORDS(found.text)) <= 110 for found in chunks)
    assert len(chunks) < 20


def test_the_embedder_sees_title_and_headings_before_the_text():
    assert embedded_text("Handbook", "Leave > Sick days", "Call us.") == "Handbook\nLeave > Sick days\nCall us."
    assert embedded_text("", "", "Call us.") == "Call us."


def test_code_is_cut_at_empty_lines_and_never_within_a_line_and_keeps_its_indentation():
    functions = [f"def step{number}(rows):\n    # Adds one. Then it stops.\n    return rows[{number}] + 1" for number in range(40)]
    chunks = chunk("", [Block("\n\n".join(functions), kind="code")], WORDS, 256)
    assert len(chunks) > 2
    for found in chunks:
        assert found.text.startswith("def step")
        assert found.text.endswith("+ 1")
        assert "\n    return" in found.text


def test_code_without_an_empty_line_is_cut_between_lines():
    lines = [f"        total = total + rows[{number}] * 3" for number in range(80)]
    chunks = chunk("", [Block("\n".join(lines), kind="code")], WORDS, 256)
    assert len(chunks) > 2
    assert all(line in lines for found in chunks for line in found.text.split("\n"))


def test_a_long_list_is_cut_between_its_items_and_not_between_their_sentences():
    items = [f"- Item {number}. It has a second sentence. And a third one." for number in range(60)]
    chunks = chunk("", [Block("\n".join(items), kind="list")], WORDS, 256)
    assert len(chunks) > 2
    assert all(item in items for found in chunks for item in found.text.split("\n"))


def test_the_line_that_announces_a_list_stays_with_it():
    filler = Block("Some words that stand before it. " * 27)
    line, items = Block("These belong together:"), Block("\n".join(f"- thing number {n} of these" for n in range(12)), kind="list")
    first, second = chunk("", [filler, line, items], WORDS, 256)
    assert first.text.endswith("before it.")
    assert second.text.startswith("These belong together:\n\n- thing number 0")


def test_the_later_parts_of_a_long_row_are_headed_by_its_first_value():
    row = "name: Kim Minji\n" + "\n".join(f"note {number}: words of a note that is not short at all" for number in range(60))
    chunks = chunk("", [Block(row, heading_path=("Customers",), kind="row")], WORDS, 256)
    assert len(chunks) > 2
    assert [found.heading for found in chunks] == ["Customers", *["Customers > name: Kim Minji"] * (len(chunks) - 1)]
    assert all(line.startswith(("name", "note")) for found in chunks for line in found.text.split("\n"))
