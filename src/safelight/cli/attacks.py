"""List every attack."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def attacks(*, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """List every attack with what it needs.

    Args:
        json: print one JSON list instead of a table.
    """
    from safelight.attacks.base import all_attacks, sees

    rows = [
        {
            "code": code,
            "title": attack.title,
            "access": sees(attack),
            "knows": sorted(knowledge.value for knowledge in attack.knows),
            "deep": attack.deep,
            "source": attack.source,
        }
        for code, attack in all_attacks().items()
    ]
    if json:
        import json as writer

        print(writer.dumps(rows, indent=2))
        return 0
    print(f"{'code':6}{'attack':42}{'needs':11}{'knows':16}source")
    for row in rows:
        knows = ", ".join(row["knows"]) or "-"  # type: ignore[arg-type]
        print(f"{row['code']:6}{row['title']:42}{row['access']:11}{knows:16}{row['source']}")
    print("\nNext: safelight explain CODE")
    return 0
