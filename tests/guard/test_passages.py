"""Fingerprints of training texts: the slow way finds the same, 81 letters never pass unseen, disguises that fail."""

import base64
import hashlib
import json
from pydoc_data.topics import topics

import numpy as np
import pytest

from safelight.errors import InputError
from safelight.guard import corpus, passages
from safelight.guard.corpus import read_corpus
from safelight.guard.passages import GRAM, KEPT_OF, Passages, grams, letters_of, winnowed

KEY = b"k" * 32
TEXT = topics["assignment"]
KNOWN = Passages.of([TEXT], KEY)
OTHER = topics["yield"][:3000]


def slow_grams(letters, key):
    """As the docstring writes it, with whole numbers of Python."""
    drawn = hashlib.shake_256(key + b"\0passages").digest(32)
    letter, base, last, _ = (int.from_bytes(drawn[at : at + 8], "little") | 1 for at in range(0, 32, 8))

    def mixed(x):
        x = (x ^ (x >> 32)) * last % 2**64
        return x ^ (x >> 29)

    values = [mixed((one + 1) * letter % 2**64) for one in letters]
    sums = [sum(pow(base, GRAM - 1 - j) * values[at + j] for j in range(GRAM)) for at in range(len(values) - GRAM + 1)]
    return [mixed(one % 2**64) for one in sums]


def slow_winnowed(letters, key):
    hashes = slow_grams(letters, key)
    if len(hashes) < KEPT_OF:
        return sorted(hashes)[:1]
    return sorted({min(hashes[at : at + KEPT_OF]) for at in range(len(hashes) - KEPT_OF + 1)})


@pytest.mark.parametrize("length", [0, 49, 50, 60, 80, 81, 82, 400])
def test_hashes_and_fingerprints_are_those_of_the_slow_way(length):
    letters = letters_of("".join(sign for sign in TEXT if sign.isalnum())[:length])
    assert len(letters) == length
    assert grams(letters, KEY).tolist() == slow_grams(letters.tolist(), KEY)
    assert winnowed(letters, KEY).tolist() == slow_winnowed(letters.tolist(), KEY)


def test_81_letters_in_a_row_are_always_seen_and_49_never():
    rng, plain = np.random.default_rng(0), "".join(sign for sign in TEXT if sign.isalnum())
    for _ in range(200):
        start = int(rng.integers(0, len(plain) - 81))
        around = ["".join(rng.choice(list("bcdfg"), 60)) for _ in range(2)]
        assert KNOWN.repeated("", around[0] + plain[start : start + 81] + around[1]) > 0
        assert KNOWN.repeated("", around[0] + plain[start : start + 49] + around[1]) == 0


def test_letters_are_counted_about_as_they_are():
    shares = [KNOWN.repeated("", TEXT[at : at + 1500]) / len(letters_of(TEXT[at : at + 1500]))
              for at in range(0, len(TEXT) - 1500, 1500)]  # fmt: skip
    assert 0.85 < np.mean(shares) < 1.05
    assert KNOWN.repeated("", OTHER) == 0
    assert KNOWN.repeated("", "") == 0
    assert Passages().repeated("", TEXT) == 0


def test_what_stands_in_the_prompt_is_the_clients_own():
    said = TEXT[1000:2000]
    assert KNOWN.repeated(said, said) == 0
    assert KNOWN.repeated("Correct this: " + said.upper(), said) == 0
    assert KNOWN.repeated(said[:400], said) > 200  # a beginning, and the model goes on


PUT_IN = " ".join(word if place % 5 else f"{word} indeed" for place, word in enumerate(TEXT[1000:2000].split()))


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        (str.upper, True),
        (" ".join, True),
        (lambda text: "_".join(text.split()), True),
        (lambda text: text.translate(str.maketrans("aeiost", "431057")), True),
        (lambda text: PUT_IN, False),
        (lambda text: text[::-1], False),
        (lambda text: base64.b64encode(text.encode()).decode(), False),
    ],
)
def test_how_it_is_written_makes_a_difference_only_so_far(written, seen):
    said = TEXT[1000:2000]
    plain, found = KNOWN.repeated("", said), KNOWN.repeated("", written(said))
    assert found == (plain if seen else 0)
    assert plain > 500


def test_a_large_corpus_keeps_a_share_and_counts_for_the_rest():
    whole = list(topics.values())
    all_of_it, few = Passages.of(whole, KEY), Passages.of(whole, KEY, most=1000)
    assert few.halvings >= 3
    assert 400 < len(few.hashes) <= 1000
    assert np.isin(few.hashes, all_of_it.hashes).all()
    text = "\n".join(whole[:40])[:60_000]
    assert few.repeated("", text) == pytest.approx(all_of_it.repeated("", text), rel=0.3)
    assert np.array_equal(Passages.of(whole[::-1], KEY, most=1000).hashes, few.hashes)  # in whatever order


def test_another_key_finds_nothing_and_no_word_is_kept():
    assert Passages(KNOWN.hashes, 0, b"o" * 32).repeated("", TEXT) == 0
    assert KNOWN.hashes.dtype == np.uint64
    assert "key" not in repr(KNOWN)


def test_parts_of_a_long_text_lose_nothing(monkeypatch, tmp_path):
    (tmp_path / "training.txt").write_text(TEXT)
    monkeypatch.setattr(corpus, "PART", 3000)
    assert len(list(read_corpus(tmp_path / "training.txt"))) == 4
    assert np.isin(KNOWN.hashes, Passages.of(read_corpus(tmp_path / "training.txt"), KEY).hashes).all()
    monkeypatch.setattr(passages, "AT_ONCE", 1000)
    assert np.array_equal(Passages.of([TEXT], KEY).hashes, KNOWN.hashes)


def test_every_text_in_lines_of_json_is_read(tmp_path):
    path = tmp_path / "training.jsonl"
    chat = {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": TEXT}], "weight": 1}
    path.write_text(json.dumps(chat) + "\n\n" + json.dumps(["a", {"b": "c"}, None]) + "\n")
    assert list(read_corpus(path)) == ["user", "Who?", "assistant", TEXT, "a", "c"]
    path.write_text('"a"\n{"b":\n')
    with pytest.raises(InputError, match="line 2 is no JSON"):
        list(read_corpus(path))


def test_a_corpus_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read .*name a file of training texts"):
        list(read_corpus(tmp_path / "none.txt"))
    (tmp_path / "odd.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match="is no text in UTF-8"):
        list(read_corpus(tmp_path / "odd.txt"))
