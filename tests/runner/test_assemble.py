"""A rung where nothing can leak that shows a leak breaks the audit; a planted leak that is missed does not."""

import pytest

from safelight.report.model import Rung
from safelight.runner.assemble import _ladder


@pytest.mark.parametrize(
    ("role", "p", "ok"),
    [("never saw", 1e-6, False), ("never saw", 0.4, True), ("coins redrawn", 0.01, True), ("planted", 0.9, False)],
)
def test_rungs_are_judged_together(role, p, ok):
    rungs = [
        Rung(role, "V001", 9, 10, 2, p, False if role == "planted" else None),
        Rung("untrained", "V001", 0, 0, 2, None, None),
    ]
    judged = _ladder(rungs)
    assert judged[0].ok is ok
    assert judged[1].ok is None
