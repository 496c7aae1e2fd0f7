"""Write the pages about attacks and defences, or check the documentation: `python docs/build.py [--check]`."""

from __future__ import annotations

import sys
from pathlib import Path

from checks import troubles
from defence_pages import defence_pages
from pages import attack_pages

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> int:
    """Write the generated pages, or with --check say what is stale, broken or unknown; return the exit code."""
    if arguments not in ([], ["--check"]):
        print("usage: python docs/build.py [--check]", file=sys.stderr)
        return 2
    made = {ROOT / "docs" / "attacks": attack_pages(), ROOT / "docs" / "defences": defence_pages()}
    if arguments:
        found = [trouble for folder, pages in made.items() for trouble in stale(folder, pages)] + troubles(ROOT)
        for trouble in found:
            print(f"docs: {trouble}", file=sys.stderr)
        return int(bool(found))
    for folder, pages in made.items():
        write(folder, pages)
    return 0


def stale(folder: Path, pages: dict[str, str]) -> list[str]:
    """Return one sentence for each generated page that is not what the docstrings say now."""
    known, where = {path.name for path in folder.glob("*.md")}, f"docs/{folder.name}"
    found = [
        f"{where}/{name} is stale; run `python docs/build.py`."
        for name, text in pages.items()
        if name not in known or (folder / name).read_text("utf-8") != text
    ]
    return found + [
        f"{where}/{name} belongs to no docstring; run `python docs/build.py`." for name in sorted(known - set(pages))
    ]


def write(folder: Path, pages: dict[str, str]) -> None:
    """Write the generated pages, and take away those whose subject is gone."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.md"):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, "utf-8", newline="\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
