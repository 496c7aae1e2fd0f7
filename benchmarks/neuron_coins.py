"""Attribute coins on networks with the weights in hand: what do they tell beyond the scores?

Fair's affairs as in attribute_coins.py, but networks learn little of 6,000 rows by heart: here a coin decides the
column for 300 of 1,200 rows of `reporting`, and each attack guesses the 100 coins that it is surest of. 1,000 rows of
`choosing` are public; the settings of A007 were chosen with coins among `choosing`. `population neurons` is the attack
of Jayaraman and Evans 2022 (arXiv:2209.01292): the neurons that go most with a value in public records whose column is
known, with that value filled in.

Run: python benchmarks/neuron_coins.py [seeds]
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
from attribute_coins import COINS, survey
from numpy import ndarray as Array
from scipy.stats import t
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from safelight.attacks.attributes.column import filled, which
from safelight.attacks.attributes.csmia import Csmia
from safelight.attacks.attributes.imputation import impute
from safelight.attacks.attributes.neuron import NeuronPeak
from safelight.controls.coins.base import guess
from safelight.data.records import Records, Splits
from safelight.evidence import Scores, WhichValue
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Target
from safelight.threat import ThreatModel

ATTACKS = {"A002": Csmia(), "A007": NeuronPeak()}
WORDS = ["affairs", "occupation", "occupation_husb", "religious", "educ"]
MODELS = {
    "MLP(64)": make_pipeline(StandardScaler(), MLPClassifier(64, max_iter=1000, tol=0, n_iter_no_change=1000)),
    "MLP(64, 64)": make_pipeline(StandardScaler(), MLPClassifier((64, 64), max_iter=300, tol=0, n_iter_no_change=300)),
    "MLP(64) on one-hot columns": make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), WORDS), remainder=StandardScaler()),
        MLPClassifier(64, max_iter=300, tol=0, n_iter_no_change=300),
    ),
    "MLP(4), 30 epochs": make_pipeline(StandardScaler(), MLPClassifier(4, max_iter=30)),
}


def population_neurons(target: Target, public: Records, question: WhichValue, most: int = 10) -> Scores:
    """Return the mean activation of the `most` neurons that go with each value, weighted by the correlation (n, k)."""
    network, codes = target.model.estimator(), which(public.x[question.column], question.values)  # type: ignore[attr-defined]
    columns = list(target.model.inputs.columns)  # type: ignore[union-attr]
    beliefs = []
    for place, value in enumerate(np.asarray(question.values).tolist()):
        known, asked = (
            activations(network, filled(records.x, question.column, value, question.values)[columns])
            for records in (public, question.records)
        )
        spread = known.std(axis=0)
        awake = spread > 1e-9
        scale = np.where(awake, spread, 1.0)
        held = (codes == place).astype(float)
        together = ((known - known.mean(axis=0)) / scale).T @ (held - held.mean()) / (len(held) * held.std())
        best = np.argsort(-np.abs(together))[:most]
        beliefs.append(((asked - known.mean(axis=0)) / scale)[:, best] @ together[best])
    return Scores(np.stack(beliefs, axis=1))


def activations(network: object, frame: object) -> Array:
    """Return the outputs of all hidden neurons and the logits (n, neurons)."""
    rows = network[:-1].transform(frame)  # type: ignore[index]
    layers = [rows.toarray() if hasattr(rows, "toarray") else np.asarray(rows)]
    last = network[-1]  # type: ignore[index]
    for weights, offsets in zip(last.coefs_, last.intercepts_):
        layers.append(layers[-1] @ weights + offsets)
        if len(layers) <= len(last.coefs_):
            layers[-1] = np.maximum(layers[-1], 0)
    return np.concatenate(layers[1:], axis=1)


def trial(name: str, seed: int) -> dict[str, int]:
    """Return how many of the 100 surest guesses are right, by attack."""
    everyone, choosing, reporting = survey()
    rng = np.random.default_rng([seed, 1])
    members = everyone.take(rng.permutation(reporting)[:1200])
    public = everyone.take(rng.permutation(choosing)[:1000])
    draw = COINS.flip(Splits(members), rng)
    target = SklearnRecipe(MODELS[name]).fit(draw.train, seed)
    answers = {
        code: attack.run(target.view(ThreatModel(attack.needs)), draw.question, np.random.default_rng([seed, 2]))
        for code, attack in ATTACKS.items()
    }
    answers["population neurons"] = population_neurons(target, public, draw.question)
    answers["imputation"] = impute(public, draw.question, np.random.default_rng([seed, 2]))
    coin = np.random.default_rng([seed, 3])
    return {code: guess(each.values, draw.secret, COINS.share, coin).right for code, each in answers.items()}


def main(seeds: int) -> None:
    print("right of 100 guesses, 300 coins of 1,200 rows")
    for name in MODELS:
        started = time.process_time()
        results = [trial(name, seed) for seed in range(seeds)]
        for code in results[0]:
            counts = np.array([result[code] for result in results])
            half = t.ppf(0.975, seeds - 1) * counts.std(ddof=1) / seeds**0.5
            more = counts - np.array([result["A002"] for result in results])
            reach = t.ppf(0.975, seeds - 1) * more.std(ddof=1) / seeds**0.5
            print(
                f"{name:28s}{code:20s}mean {counts.mean():6.2f} +- {half:5.2f}  least {counts.min():3d}  "
                f"most {counts.max():3d}  beyond A002 {more.mean():+6.2f} +- {reach:5.2f}"
            )
        print(f"{name:28s}CPU seconds {time.process_time() - started:.1f}", flush=True)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
