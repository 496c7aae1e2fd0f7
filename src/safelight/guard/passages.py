"""Fingerprints of texts that a language model was trained on: how much of an answer repeats them word for word.

A text is cut into all pieces of 50 letters and digits in a row. Of every 32 pieces that follow one another the one with
the smallest keyed hash is kept (winnowing), so that two texts that share 81 letters in a row share a fingerprint, while
most pieces are never stored. Of a very large corpus a random share of the fingerprints is kept.

Sources: Schleimer, Wilkerson and Aiken 2003, SIGMOD, section 3 (winnowing, k = 50, w = 32). 50 tokens word for word as
what shows memory: Carlini et al. 2023, arXiv:2202.07646, section 3; Nasr et al. 2023, arXiv:2311.17035, section 2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy import ndarray as Array

from safelight.guard.canaries import normal

GRAM = 50
"""Letters and digits of a piece: about 15 tokens."""
KEPT_OF = 32
"""Of so many pieces in a row one is kept at the least; a power of 2."""
MOST = 2**21
"""Fingerprints that are kept, 8 bytes each: all of about 35 million letters."""
ENDS = GRAM + KEPT_OF - 2
"""Letters of a passage that leave no mark on average: it counts for so many fewer."""
FIFTY_TOKENS = 160
"""Letters and digits of about 50 tokens."""
READ = 65_536
"""Characters of a prompt, and of an answer, that are looked at."""
AT_ONCE = 2**20
SAME = str.maketrans("01i3457", "olleast")
"""What is written for a letter: 0 for o, 1 for i or l (here one letter), 3 for e, 4 for a, 5 for s, 7 for t."""


@dataclass(frozen=True, eq=False)
class Passages:
    """Fingerprints of a corpus. Who has them and the key can try out whether a passage is in it.

    Attributes:
        hashes: (m,) uint64, rising; (0,) where no corpus was given.
        halvings: times that half of the fingerprints were left out, to keep at most `MOST`.
        key: of the hashes.
    """

    hashes: Array = field(default_factory=lambda: np.empty(0, np.uint64))
    halvings: int = 0
    key: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, texts: Iterable[str], key: bytes, most: int = MOST) -> Passages:
        """Return the fingerprints of texts, which are read one after the other; at most `most`, drawn by their hash."""
        kept, fresh, halvings, waiting = np.empty(0, np.uint64), list[Array](), 0, 0
        for text in texts:
            for letters in _parts(text):
                found = winnowed(letters, key)
                fresh.append(found[_drawn(found, halvings, key)])
                waiting += len(fresh[-1])
                if waiting > most:
                    kept, halvings = _fewer(np.concatenate([kept, *fresh]), halvings, key, most)
                    fresh, waiting = [], 0
        kept, halvings = _fewer(np.concatenate([kept, *fresh]), halvings, key, most)
        return cls(kept, halvings, key)

    def repeated(self, prompt: str, answer: str) -> float:
        """Return about how many letters and digits of an answer are those of the corpus, less 80 for each passage.

        Each fingerprint of both stands for 16.5 letters, the mean distance of two. Those of the prompt do not count:
        what a client says itself and gets back tells it nothing.
        """
        return len(self.found(prompt, answer)) * (KEPT_OF + 1) / 2 * 2.0**self.halvings

    def found(self, prompt: str, answer: str) -> Array:
        """Return the fingerprints (k,) of the corpus that an answer has, and its prompt does not hold."""
        if not len(self.hashes) or not answer:
            return self.hashes[:0]
        found = winnowed(letters_of(answer[:READ]), self.key)
        place = np.minimum(self.hashes.searchsorted(found), len(self.hashes) - 1)
        found = found[self.hashes[place] == found]
        if len(found) and prompt:
            found = found[~np.isin(found, grams(letters_of(prompt[:READ]), self.key))]
        return found

    def without(self, known: Array) -> Passages:
        """Return these without some fingerprints: of passages that anybody may say."""
        return replace(self, hashes=self.hashes[~np.isin(self.hashes, known)])


def letters_of(text: str) -> Array:
    """Return the letters and digits of a text (n,) uint32: in one case, and those that stand for one another as one."""
    plain = normal(text).translate(SAME)
    return np.frombuffer(plain.encode("utf-32-le"), np.uint32)


def grams(letters: Array, key: bytes) -> Array:
    """Return a keyed hash of each piece of `GRAM` letters in a row: (n - 49,) uint64, (0,) of fewer.

    It is the sum of b^(49 - j) v_j modulo 2^64, where v_j is a secret number for the letter at j and b a secret odd
    number, mixed once more. It is worked out by doubling: 2, 16 and 32 letters make 50.
    """
    if len(letters) < GRAM:
        return np.empty(0, np.uint64)
    letter, base, last, _ = _numbers(key)
    with np.errstate(over="ignore"):
        sums = {1: _mixed((letters.astype(np.uint64) + np.uint64(1)) * letter, last)}
        for length in (1, 2, 4, 8, 16):
            power = np.uint64(pow(int(base), length, 2**64))
            sums[2 * length] = sums[length][:-length] * power + sums[length][length:]
        n = len(letters) - GRAM + 1
        first = sums[32][:n] * np.uint64(pow(int(base), 18, 2**64))
        middle = sums[16][32 : 32 + n] * np.uint64(pow(int(base), 2, 2**64))
        return _mixed(first + middle + sums[2][48 : 48 + n], last)


def winnowed(letters: Array, key: bytes) -> Array:
    """Return the fingerprints of letters (n,): the smallest hash of each 32 pieces in a row, each once, rising."""
    hashes = grams(letters, key)
    if len(hashes) < KEPT_OF:
        return np.sort(hashes)[:1]
    step = 1
    while step < KEPT_OF:
        hashes = np.minimum(hashes[:-step], hashes[step:])
        step *= 2
    return np.unique(hashes)  # type: ignore[no-any-return]


def _parts(text: str) -> Iterator[Array]:
    """Yield the letters of a text in parts that overlap by all but one of those that a fingerprint is chosen from."""
    rest = np.empty(0, np.uint32)
    for start in range(0, len(text), AT_ONCE):
        rest = np.concatenate([rest, letters_of(text[start : start + AT_ONCE])])
        yield rest
        rest = rest[-(GRAM + KEPT_OF - 2) :]


def _fewer(hashes: Array, halvings: int, key: bytes, most: int) -> tuple[Array, int]:
    hashes = np.unique(hashes)
    while True:
        hashes = hashes[_drawn(hashes, halvings, key)]
        if len(hashes) <= most:
            return hashes, halvings
        halvings += 1


def _drawn(hashes: Array, halvings: int, key: bytes) -> Array:
    """Return (n,) bool: which are kept when half of all were left out so many times."""
    if not halvings:
        return np.ones(len(hashes), bool)
    with np.errstate(over="ignore"):
        order = (hashes ^ (hashes >> np.uint64(32))) * _numbers(key)[3]
    return (order >> np.uint64(64 - halvings)) == 0  # type: ignore[no-any-return]


def _mixed(x: Array, by: np.uint64) -> Array:
    x = (x ^ (x >> np.uint64(32))) * by
    return x ^ (x >> np.uint64(29))


def _numbers(key: bytes) -> Array:
    """Return four secret odd numbers (4,) uint64."""
    drawn = hashlib.shake_256(key + b"\0passages").digest(32)
    return np.frombuffer(drawn, np.uint64) | np.uint64(1)
