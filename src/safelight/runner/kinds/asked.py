"""Members and nonmembers in one shuffled group: what an attack is asked about, and the truth that stays behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy import ndarray as Array

from safelight.controls.coins.attributes import values_of
from safelight.data.copies import copies
from safelight.data.records import Records, concat
from safelight.evidence import Answer, Scores
from safelight.measures.calibration import Calibration
from safelight.measures.permutation import rank_p
from safelight.report.model import AtRisk
from safelight.runner.kinds.base import Claim
from safelight.runner.session import Session

MOST_RECORDS = 2000


def asked(session: Session, claim: Claim) -> tuple[Records, Array]:
    """Return members and nonmembers in one shuffled group, and who is a member (n,)."""
    splits = session.splits
    assert splits.nonmembers is not None
    rng = session.rng("asked", claim.attack.answers.__name__, claim.column)
    each = 1 if not claim.column else len(values_of(splits.members, claim.column))
    limit = session.threat.queries
    most = MOST_RECORDS if limit is None else min(MOST_RECORDS, limit // (2 * each))
    groups = [group.take(np.sort(rng.permutation(len(group))[:most])) for group in (splits.members, splits.nonmembers)]
    member = np.repeat([True, False], [len(group) for group in groups])
    order = rng.permutation(len(member))
    return concat(groups).take(order), member[order]


def nameless(records: Records) -> Records:
    """Return the records without names, which could betray the group that a record comes from."""
    return replace(records, ids=np.arange(len(records)), person=None, group=None)


def scores_of(answer: Answer) -> Array:
    """Return the scores (n, k) of an answer that is known to be scores."""
    assert isinstance(answer, Scores)
    return answer.values


def ranked(name: str, claim: Claim, score: float, decoys: Array) -> AtRisk:
    """Return one record or person with the conformal p of its score among those of decoys (d,)."""
    p = rank_p(np.append(decoys, score), len(decoys))
    return AtRisk(name, claim.attack.code, float(score), float((decoys >= score).mean()), p)


def members_ranked(
    session: Session, claim: Claim, scores: Array, most: int, chance: Calibration | None = None
) -> list[AtRisk]:
    """Return the members with the highest scores (n,), each beside all nonmembers, with its copies among the members.

    Args:
        chance: what scores say of the chance of membership, where that has been learnt.
    """
    records, member = asked(session, claim)
    outside, inside = scores[~member], np.flatnonzero(member)
    alike = copies(records.take(inside))
    others = np.bincount(alike)[alike] - 1
    top = np.argsort(-scores[inside], kind="stable")[:most]
    return [
        replace(
            ranked(str(records.ids[inside[row]]), claim, scores[inside[row]], outside),
            chance=None if chance is None else float(chance(scores[inside[row]])),
            copies=int(others[row]),
        )
        for row in top
    ]
