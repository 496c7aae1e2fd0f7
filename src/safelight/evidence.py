"""Frozen facts: the question an attack was asked, the answer it gave, and where both come from.

One piece of evidence is one npz file with fixed bytes for a fixed seed; clocks live elsewhere (run.json).
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.threat import Access, Knows, Observes, ThreatModel


# Questions: what an attack is asked. None of them holds a secret. ---------------------------------------------------
@dataclass(frozen=True)
class WhoWasIn:
    """Which of these records were trained on? Answered by `Scores` (n, 1)."""

    records: Records


@dataclass(frozen=True)
class WhichCanaries(WhoWasIn):
    """Which of these canaries, made to be memorised, were trained on? Answered by `Scores` (n, 1)."""


@dataclass(frozen=True)
class WhoWasInPoisoned:
    """Which of these records were trained on, beside copies with wrong labels that were? Answered by `Scores` (n, 1).

    Attributes:
        records: those in question, with their own labels.
        wrong: the label (n,) that the copies of each were given.
        copies: how many of each were put into the training data (>= 0).
    """

    records: Records
    wrong: Array
    copies: int

    @property
    def poison(self) -> Records:
        """All that was put in, n x copies records."""
        rows = np.repeat(np.arange(len(self.records)), self.copies)
        return self.records.take(rows).relabelled(self.wrong[rows])


@dataclass(frozen=True)
class WhichSets(WhoWasIn):
    """Which of these sets of records were trained on? Answered by `Scores` (n, 1), one a record.

    Attributes:
        owner: (n,) number of the set of each record, from 0.
    """

    owner: Array


@dataclass(frozen=True)
class WhichRanges(WhoWasIn):
    """Is some record of this range in the training data? Answered by `Scores` (n, 1).

    The records are the centres of the ranges, pictures: each range holds all moves of its centre.

    Attributes:
        reach: pixels that a move may go along each side (>= 0).
    """

    reach: int = 1


@dataclass(frozen=True)
class WhichValue:
    """Which of `values` did each record hold in `column`? The column is blanked. Answered by `Scores` (n, k)."""

    records: Records
    column: str
    values: Array


@dataclass(frozen=True)
class WhichShare:
    """Which of `shares` (k,) of the training records held `value` in `column`? Answered by `Scores` (1, k)."""

    column: str
    value: Any
    shares: Array


@dataclass(frozen=True)
class WhatIsInside:
    """What does each of these classes look like? Class numbers (c,). Answered by `Reconstructions`."""

    classes: Array


@dataclass(frozen=True)
class WhichIsMissing:
    """All training records but one are known: which record is missing? Answered by `Rebuilt`, one row."""

    known: Records


@dataclass(frozen=True)
class WhichBelongTogether:
    """Are row i of `left` and row i of `right` one record? They hold different columns of it.

    Answered by `Scores` (n, 1), at least 0 where the attack says yes.
    """

    left: Records
    right: Records


@dataclass(frozen=True)
class WhatSinglesOut:
    """Which conditions on these columns hold for exactly one record? Answered by `Predicates`."""

    columns: tuple[str, ...]


@dataclass(frozen=True)
class WhoIsWho:
    """Which released row is about each of these people, whose names are known? Answered by `Links`."""

    identified: Records


@dataclass(frozen=True)
class WhatWouldItAnswer:
    """What would the model answer to these records, without being asked about them?

    Answered by `Scores` (n, classes).
    """

    records: Records


# Answers -------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Scores:
    """One row a record; higher means that the attacker believes it more. Shape (n, 1) or (n, k)."""

    values: Array


@dataclass(frozen=True)
class Reconstructions:
    """One rebuilt picture a class.

    Attributes:
        images: (c, channels, height, width), in the range of the data.
        classes: class numbers (c,).
        confidence: the attack's own trust in each picture (c,), higher is better.
    """

    images: Array
    classes: Array
    confidence: Array


@dataclass(frozen=True)
class Rebuilt:
    """Records rebuilt as numbers.

    Attributes:
        x: (n, d) in the units of the data, columns in the order of the target's; pictures are flattened.
        y: (n,) class numbers, or real-valued answers for regression.
    """

    x: Array
    y: Array


@dataclass(frozen=True)
class Predicates:
    """Conditions on a record, written as in `safelight.data.predicates`.

    Attributes:
        texts: (p,) guesses that each hold for exactly one record.
        blind: (b,) guesses of the same form made without looking at any one record: what the form finds by luck.
    """

    texts: Array
    blind: Array


@dataclass(frozen=True)
class Links:
    """One released row for each person.

    Attributes:
        row: (n,) the likeliest row.
        score: (n,) log2 odds that it is the person's, higher is surer.
        margin: (n,) by how much that score beats the next row's; 0 for a tie.
    """

    row: Array
    score: Array
    margin: Array


Question = (
    WhoWasIn
    | WhoWasInPoisoned
    | WhichValue
    | WhichShare
    | WhatIsInside
    | WhichIsMissing
    | WhichBelongTogether
    | WhatSinglesOut
    | WhoIsWho
    | WhatWouldItAnswer
)
Answer = Scores | Reconstructions | Rebuilt | Predicates | Links

ANSWERS: tuple[type[Answer], ...] = (Scores, Reconstructions, Rebuilt, Predicates, Links)
"""Every class of answer. Each is a frozen dataclass of arrays, so that it is written and read by its fields alone."""


class Role(StrEnum):
    """Which part a piece of evidence plays in a finding."""

    TARGET = "target"
    COINS = "coins"
    CONTROL = "control"
    NEVER_SAW = "never saw"
    UNTRAINED = "untrained"
    PERMUTED = "labels permuted"
    REDRAWN = "coins redrawn"
    PLANTED = "planted"


@dataclass(frozen=True)
class Origin:
    """Where evidence comes from. No clock here, so that the bytes are equal on every machine.

    Attributes:
        attack: code of the attack.
        settings: its settings, as plain values.
        threat: the attacker that it played.
        role: the part that it plays.
        model: name or key of the attacked model.
        seed: the seed of this very run.
        queries: records that were sent.
        complete: whether the attack came to its end.
        run: which repetition it is, from 0.
    """

    attack: str
    settings: Mapping[str, Any]
    threat: ThreatModel
    role: Role
    model: str
    seed: int
    queries: int
    complete: bool
    run: int = 0


@dataclass(frozen=True)
class Evidence:
    """An answer, the beliefs read from it, and, joined afterwards, the secret.

    Attributes:
        origin: where it comes from.
        answer: what the attack gave back.
        belief: (m, k) how well the answer fits each of the k candidates of m units, or None.
        secret: (m,) which candidate it really was, or None.
        k: number of candidates a unit.
        unit: record, person, class or attribute.
        adjacency: add-remove, replace or none.
        curve: beliefs after fewer queries: {queries: (m, k)}.
        extra: further arrays worth keeping, by name.
    """

    origin: Origin
    answer: Answer
    belief: Array | None = None
    secret: Array | None = None
    k: int = 2
    unit: str = "record"
    adjacency: str = "none"
    curve: Mapping[int, Array] = field(default_factory=dict)
    extra: Mapping[str, Array] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the npz file: the same bytes for the same facts."""
        arrays = {f"answer_{item.name}": getattr(self.answer, item.name) for item in fields(self.answer)}
        if self.belief is not None:
            arrays["belief"] = self.belief
        if self.secret is not None:
            arrays["secret"] = self.secret
        arrays |= {f"curve_{queries}": belief for queries, belief in self.curve.items()}
        arrays |= {f"extra_{name}": np.asarray(values) for name, values in self.extra.items()}
        facts = {"origin": asdict(self.origin), "answer": type(self.answer).__name__, "k": self.k}
        facts |= {"unit": self.unit, "adjacency": self.adjacency}
        arrays["facts"] = np.frombuffer(json.dumps(facts, sort_keys=True, default=_plain).encode(), dtype=np.uint8)
        return _npz(arrays)

    @classmethod
    def from_bytes(cls, content: bytes) -> Evidence:
        """Read what `to_bytes` wrote. Nothing in it can run code."""
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        facts = json.loads(arrays["facts"].tobytes())
        origin = facts["origin"]
        threat = origin["threat"]
        origin["threat"] = ThreatModel(
            **{
                **threat,
                "access": Access(threat["access"]),
                "observes": Observes(threat["observes"]),
                "knows": frozenset(Knows(word) for word in threat["knows"]),
            }
        )
        origin["role"] = Role(origin["role"])
        kind = {each.__name__: each for each in ANSWERS}[facts["answer"]]
        answer = kind(**{item.name: arrays[f"answer_{item.name}"] for item in fields(kind)})
        return cls(
            Origin(**origin),
            answer,
            arrays.get("belief"),
            arrays.get("secret"),
            facts["k"],
            facts["unit"],
            facts["adjacency"],
            {int(name[6:]): value for name, value in arrays.items() if name.startswith("curve_")},
            {name[6:]: value for name, value in arrays.items() if name.startswith("extra_")},
        )

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()


class Store:
    """Keeps evidence by name: in a folder when there is one, else in memory. Written before it is judged."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._memory: dict[str, bytes] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def put(self, name: str, evidence: Evidence) -> str:
        """Keep `evidence` under `name`; returns its sha256. A file appears whole or not at all."""
        content = evidence.to_bytes()
        self._memory[name] = content
        if self._folder is not None:
            partial = self._folder / f".{name}.partial"
            partial.write_bytes(content)
            partial.replace(self._folder / f"{name}.npz")
        return hashlib.sha256(content).hexdigest()

    def get(self, name: str) -> Evidence | None:
        """Return what is kept under `name`, or None: a file that is damaged, or of another version, is like none."""
        if name in self._memory:
            return Evidence.from_bytes(self._memory[name])
        if self._folder is None or not (self._folder / f"{name}.npz").exists():
            return None
        try:
            return Evidence.from_bytes((self._folder / f"{name}.npz").read_bytes())
        except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile):
            return None

    def __contains__(self, name: str) -> bool:
        return name in self._memory or (self._folder is not None and (self._folder / f"{name}.npz").exists())

    def names(self) -> list[str]:
        """Return the names of all kept evidence, sorted."""
        on_disk = {path.stem for path in self._folder.glob("*.npz")} if self._folder is not None else set()
        return sorted(on_disk | set(self._memory))


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(item) for item in value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Array):
        return value.tolist()
    return str(value)


def _npz(arrays: Mapping[str, Array]) -> bytes:
    """Write arrays as a compressed npz whose bytes depend on nothing but the arrays."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, member.getvalue())
    return buffer.getvalue()
