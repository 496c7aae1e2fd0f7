"""List secrets that a guarded language model must not say, and draw canaries to plant in what it is trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from safelight.cli.guard import POLICY
from safelight.errors import InputError

Files = Annotated[tuple[Path, ...], Parameter(negative="")]


def canaries(
    *,
    secrets: Files = (),
    without: Files = (),
    plant: int = 0,
    planted: Path | None = None,
    out: Path | None = None,
    policy: Path = POLICY,
) -> int:
    """Write keyed hashes of what a language model must not say, for [signals] canaries; no word can be read there.

    A canary is a random code that stands nowhere else: a model that says it has it from its training data. It is
    planted by putting its line into them, several times, since what is seen once is seldom learnt by heart.

    Args:
        secrets: texts with one secret a line: a password, a name with a number. Each needs 12 letters and digits.
        without: texts with what anybody may say, one a line, such as the sentence around a secret.
        plant: canaries to draw.
        planted: text with the canaries, for their owner alone: with --plant it is made, else its canaries are taken.
        out: file of hashes to write; that of `canaries` in [signals] when left out, else canaries.json.
        policy: guard.toml; the hashes are made with the key of its guard.
    """
    from safelight.guard.canaries import Canaries
    from safelight.guard.planted import drawn, read_lines, read_planted, write_planted
    from safelight.guard.policy import read_policy
    from safelight.guard.store import key_of

    if plant and (planted is None or not 0 < plant <= 10_000):
        raise InputError(f"--plant is {plant}; give 1 to 10,000 canaries, and --planted, the file that they go to.")
    words = [line for path in secrets for line in read_lines(path)]
    if not words and planted is None:
        raise InputError("There is nothing to list; give --secrets, a text with one a line, or --plant and --planted.")
    rules = read_policy(policy)
    key = key_of(rules)
    codes = drawn(plant) if plant else () if planted is None else read_planted(planted)
    found = Canaries.of([*words, *codes], key, without=[line for path in without for line in read_lines(path)])
    if plant and planted is not None:
        write_planted(planted, codes)
        print(f"{planted} holds {plant} canaries; put each of its lines into the training data, several times.")
    named = rules.signals.canaries if rules.signals is not None else None
    path = out or rules.folder / (named or "canaries.json")
    found.write(path)
    print(f"{path} holds {len(found.pieces)} hashes of {len(words)} secrets and {len(codes)} canaries.")
    if named is None:
        print(f'In [signals], canaries = "{path.name}" has the guard look for them.')
    return 0
