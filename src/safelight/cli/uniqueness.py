"""Count how alone the records of a table stand."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from safelight.errors import InputError

if TYPE_CHECKING:
    from safelight.measures.uniqueness import Uniqueness


def uniqueness(
    table: Path,
    *,
    columns: str,
    population: Path | None = None,
    sensitive: str = "",
    k: int = 5,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Count how alone the records of a table stand: k-anonymity, k-map and l-diversity, before it is released.

    Facts of one table, no attack: a large k is no promise. Exit codes: 0 every group has k records (with a population:
    k people there), 1 some group has fewer, 2 bad input.

    Args:
        table: a .csv or .parquet file, one row a record.
        columns: what somebody may know of a person, such as age,sex,postcode.
        population: everybody whom the table could be about, one row a person, with the same columns.
        sensitive: columns whose values are secrets.
        k: the fewest records that may share their values.
        json: print one JSON object instead of words.
    """
    from dataclasses import asdict

    from safelight.data.tables import read_frame
    from safelight.measures.uniqueness import uniqueness as count

    if k < 1:
        raise InputError(f"--k is {k}; give a whole number of at least 1, such as 5.")
    people = None if population is None else read_frame(population)
    found = count(read_frame(table), _words(columns), people, _words(sensitive))
    print(json_format.dumps(asdict(found), indent=2) if json else "\n".join(_lines(found)))
    return int((found.k if found.k_map is None else found.k_map) < k)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _lines(found: Uniqueness) -> list[str]:
    lines = [
        f"k = {found.k}: the smallest of {found.groups:,} groups has {_records(found.k)}",
        f"{_records(found.alone)} of {found.records:,} stand alone ({found.alone / found.records:.1%})",
    ]
    if found.k_map is not None:
        lines.append(f"k-map = {found.k_map}: so many people of the population have the values of its rarest record")
        if found.k_map == 0:
            lines.append("  0: the population lacks somebody who is in the table, so it is not everybody")
        lines.append(f"{_records(found.alone_in_population or 0)} can only be one person of the population")
    for name, least in found.l_diversity.items():
        lines.append(f"l = {least} for {name}: the fewest different values in a group")
    return lines


def _records(count: int) -> str:
    return f"{count:,} record{'s' if count != 1 else ''}"
