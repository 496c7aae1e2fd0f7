"""Fair's survey of 6,366 women (Redbook 1974; Fair 1978), as it comes with statsmodels."""

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from safelight.data.bundled import affairs
from safelight.targets.base import Target


def _part(number: int) -> pd.DataFrame:
    """Return one of three random parts: 4,000 respondents to train on, 1,200 held out, the rest public."""
    survey = affairs()
    survey["affair"] = (survey.pop("affairs") > 0).astype(int)
    survey["rate_marriage"] = survey["rate_marriage"].astype(int)
    order = np.random.default_rng(2026).permutation(len(survey))
    rows = np.split(order, [4000, 5200])[number]
    return survey.iloc[np.sort(rows)].reset_index(drop=True)


def members() -> pd.DataFrame:
    return _part(0)


def nonmembers() -> pd.DataFrame:
    return _part(1)


def public() -> pd.DataFrame:
    return _part(2)


def model() -> Target:
    respondents = members()
    answers = respondents.pop("rate_marriage")
    forest = RandomForestClassifier(random_state=1).fit(respondents, answers)
    return Target.from_sklearn(forest, respondents)
