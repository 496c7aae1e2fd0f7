"""Secrets and planted canaries that a language model must not say: keyed hashes of their pieces, never in clear."""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from safelight.errors import InputError

LENGTH = 12
"""Letters and digits of a piece. Shorter ones turn up by chance, longer ones miss a short prefix."""
REMEMBERED = 65536
OTHER = re.compile(r"[\W_]+")
"""What is neither a letter nor a digit."""


@dataclass(frozen=True)
class Canaries:
    """Pieces of secrets.

    Attributes:
        length: letters and digits of each piece (>= 8).
        pieces: keyed hashes, 16 bytes each.
        key: of the hashes; the guard's own, `guard.key`. Who has key and file can try out guesses.
    """

    length: int = LENGTH
    pieces: frozenset[bytes] = frozenset()
    key: bytes = field(default=b"", repr=False)
    _known: dict[int, frozenset[bytes]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, words: Iterable[str], key: bytes, length: int = LENGTH, without: Iterable[str] = ()) -> Canaries:
        """Return the pieces of some secrets.

        Args:
            words: secrets that must not be said.
            key: of the hashes.
            length: of a piece.
            without: texts that anybody may say, such as the sentence around a secret; their pieces are left out.

        Raises:
            InputError: a secret is shorter than a piece.
        """
        if length < 8:
            raise InputError(f"length is {length}; pieces of fewer than 8 letters turn up by chance.")
        common = {piece for text in without for piece in _hashes(normal(text), key, length)}
        pieces: set[bytes] = set()
        for number, secret in enumerate(words, start=1):
            plain = normal(secret)
            if len(plain) < length:
                raise InputError(f"Secret {number} has {len(plain)} letters and digits; it needs {length} or more.")
            pieces |= set(_hashes(plain, key, length)) - common
        return cls(length, frozenset(pieces), key)

    def found(self, text: str) -> frozenset[bytes]:
        """Return the pieces that a text holds. The same text is hashed once."""
        if not self.pieces or not text:
            return frozenset()
        name = hash(text)
        known = self._known.get(name)
        if known is None:
            known = frozenset(self.pieces.intersection(_hashes(normal(text), self.key, self.length)))
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[name] = known
        return known

    def write(self, path: Path) -> None:
        """Write the hashes, without the key, for their owner alone; raises InputError where that cannot be done."""
        content = {"length": self.length, "pieces": sorted(piece.hex() for piece in self.pieces)}
        beside = path.with_name(path.name + ".new")
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(json.dumps(content) + "\n")
            os.replace(beside, path)
        except OSError as error:
            raise InputError(f"{path} cannot be written ({error.strerror}); name another file with --out.") from None


def read_canaries(path: Path, key: bytes) -> Canaries:
    """Read a file that `Canaries.write` wrote; raises InputError where it cannot be read."""
    try:
        content = json.loads(path.read_text("utf-8"))
        pieces = frozenset(bytes.fromhex(piece) for piece in content["pieces"])
        length = int(content["length"])
        if length < 8 or any(len(piece) != 16 for piece in pieces):
            raise ValueError
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); name a file of canaries.") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path} is no file of canaries; write it again.") from None
    return Canaries(length, pieces, key)


def normal(text: str) -> str:
    """Return the letters and digits of a text in one case: spaces, dashes and accents' spellings make no difference."""
    return OTHER.sub("", unicodedata.normalize("NFKC", text).casefold())


def _hashes(plain: str, key: bytes, length: int) -> Iterator[bytes]:
    begun = hashlib.blake2b(digest_size=16, key=key[:64], person=b"canary")
    for at in range(len(plain) - length + 1):
        one = begun.copy()
        one.update(plain[at : at + length].encode())
        yield one.digest()
