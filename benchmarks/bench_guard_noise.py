"""What [outputs.noise] of the guard takes from attacks, and from answers.

Two attacks of the drill, without watch or budgets: NES on faces, which asks near copies and so averages, and CSMIA on
the survey, which asks each question once. Right answers are those on the nonmembers; the noise of these records is
another than the drill's. One minute of CPU for both.

Run: python benchmarks/bench_guard_noise.py [--runs 3] [--only survey]
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from bench_drill import KEY, ROWS, SEED, built, case

from safelight.drill.rounds import drill
from safelight.guard.noise import noisy
from safelight.guard.policy import GuardPolicy, Noise, Outputs, Protocol, Upstream
from safelight.measures.base import Measurement

TRIED = ((ROWS[0], (None, 40.0, 8.0)), (ROWS[5], (None, 40.0, 8.0, 2.0)))


def words(mu: Measurement) -> str:
    return f"mu {mu.value:.1f} ({mu.low:.1f} to {mu.high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="")
    chosen = parser.parse_args()
    policy = GuardPolicy(Upstream("http://127.0.0.1:1", Protocol.OIP), clients=KEY)
    for row, epsilons in TRIED:
        if chosen.only not in row.data:
            continue
        made = built(row.data)
        records = made.splits.nonmembers
        assert records is not None
        exact = np.asarray(made.target.model.scores(records.x), dtype=float)
        key = np.random.default_rng(SEED).integers(2**63, size=len(exact)).astype(np.uint64)
        for epsilon in epsilons:
            outputs = Outputs() if epsilon is None else Outputs(noise=Noise(epsilon))
            scores = noisy(outputs, bytes(32), "").harden(exact, key)
            right = (scores.argmax(axis=1) == records.y).mean()
            much = "no noise" if epsilon is None else f"epsilon {epsilon:g}"
            told = f"{row.data}, {row.name}, {much}: {right:.1%} right"
            if epsilon is not None:
                (found,) = drill(case(row.data, replace(policy, outputs=outputs), row, chosen.runs)).attacks
                assert found.mu_unguarded is not None
                assert found.mu_guarded is not None
                told += f"; without the guard {words(found.mu_unguarded)}, behind it {words(found.mu_guarded)}"
            print(told, flush=True)


if __name__ == "__main__":
    main()
