"""A language model of characters that has its training text by heart, and repeats it when it is asked greedily."""

from __future__ import annotations

from collections import Counter, defaultdict
from random import Random


class Recalling:
    """It says what followed the last 24 characters in its text, else the last 12, else 5.

    Of each character the chance is `temperature` times `wander` that it is drawn from what followed the last 5 alone:
    at temperature 0 it goes on with the training text word for word, at 1 it leaves it again and again.

    Args:
        text: that it learns.
        wander: as above, in [0, 1].
    """

    orders = (24, 12, 5)

    def __init__(self, text: str, wander: float = 0.35) -> None:
        after: dict[str, list[str]] = defaultdict(list)
        for at in range(self.orders[0], len(text)):
            for order in self.orders:
                after[text[at - order : at]].append(text[at])
        self.after = {context: "".join(signs) for context, signs in after.items()}
        self.wander, self.anything = wander, text[:4000]

    def say(self, prompt: str, count: int, temperature: float, seed: int) -> str:
        """Return `count` characters after a prompt."""
        rng, text = Random(seed), prompt
        for _ in range(count):
            orders = self.orders[-1:] if rng.random() < temperature * self.wander else self.orders
            found = next((self.after[text[-order:]] for order in orders if text[-order:] in self.after), self.anything)
            text += rng.choice(found) if temperature else Counter(found).most_common(1)[0][0]
        return text[len(prompt) :]
