"""Drift as the guard sees it: found when it is there, not when it is not, and never made by one client alone."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from safelight.errors import InputError
from safelight.guard.drift.due import Due, done, drifted, dues, schedule
from safelight.guard.drift.reference import DriftReference
from safelight.guard.drift.watching import Drift
from safelight.guard.policy import Drifting, parse_policy
from safelight.guard.registry.audits import Audit
from safelight.guard.seen import Seen
from safelight.guard.store import Store
from safelight.verdict.finding import Verdict

DIGITS = load_digits()
ORDER = np.random.default_rng(0).permutation(len(DIGITS.data))
X, Y = DIGITS.data[ORDER], DIGITS.target[ORDER]
MODEL = LogisticRegression(C=1e-4, max_iter=500).fit(X[:600], Y[:600])
NORMAL = DriftReference.of(X[:1000], MODEL.predict_proba(X[:1000]), "digits")
REST = X[1000:]
SMALL = Drifting(window=600, least=300)


def asked(drift, x, clients=6, each=5, model="digits", answers=None, at=0.0):
    """Ask about records in calls of five, clients in turn; return what was found."""
    answers = MODEL.predict_proba(x) if answers is None else answers
    found = []
    for call, start in enumerate(range(0, len(x), each)):
        part = slice(start, start + each)
        seen = Seen(f"c{call % clients}", "", model, at + call, x[part], answers[part])
        found += [drift.see(seen)]
    return [each for each in found if each is not None]


def test_normal_digits_do_not_drift_and_moved_ones_do():
    drift = Drift(NORMAL, SMALL, clients=6)
    assert asked(drift, REST) == []
    dark = np.clip(REST * 0.6, 0, 16)
    [found] = asked(drift, dark, at=1e6)
    assert found.model == "digits"
    assert found.clients == 6
    assert found.at < 1e6 + 140  # calls of five: within 600 records
    assert found.shifts[0].psi >= 0.25
    assert {shift.side for shift in found.shifts} <= {"inputs", "outputs"}
    assert "drifted: most column" in found.why
    assert asked(drift, dark) == []  # it is said once while it lasts
    assert drift.last is not None
    back = Drift(NORMAL, SMALL, clients=6)
    assert len(asked(back, dark)) == 1
    asked(back, np.tile(REST, (2, 1)))
    assert back.last is None
    assert len(asked(back, dark)) == 1  # and again when it begins anew


def test_the_mix_of_labels_drifts_in_the_outputs():
    drift = Drift(DriftReference.of(X[:1000], MODEL.predict(X[:1000])), SMALL, clients=6)
    labels = MODEL.predict(REST)
    assert asked(drift, REST, answers=labels) == []
    few = np.flatnonzero(labels < 4)
    found = asked(drift, REST[few].repeat(2, 0), answers=labels[few].repeat(2))
    assert any(shift.side == "outputs" for shift in found[0].shifts)


def table(rng, n):
    return np.column_stack([rng.normal(size=n), rng.integers(0, 2, n), rng.exponential(size=n), rng.integers(0, 9, n)])


@pytest.mark.parametrize("clients", [1, 6])
def test_false_alarms_are_no_more_than_alpha_a_window(clients):
    """The level is set to .1 and the thresholds of size are off: 60 windows may ring 6 times; 13 has chance .3 %."""
    rng, rung = np.random.default_rng(1), 0
    settings = Drifting(window=400, least=200, alpha=0.1, psi=1e-9, mmd=0.0)
    for seed in range(12):
        reference = DriftReference.of(table(rng, 3000), rng.dirichlet(np.ones(3), 3000), seed=seed)
        drift = Drift(reference, settings, clients)
        x = table(rng, 2000)
        rung += len(asked(drift, x, clients=clients, each=25, answers=rng.dirichlet(np.ones(3), 2000)))
    assert rung < 13


def test_no_client_alone_makes_drift_however_much_it_asks():
    drift = Drift(NORMAL, SMALL, clients=6)
    asked(drift, REST[:300], clients=5)
    noise = np.random.default_rng(2).random((3000, 64)) * 16
    for start in range(0, 3000, 50):
        part = noise[start : start + 50]
        assert drift.see(Seen("noisy", "", "digits", 0.0, part, MODEL.predict_proba(part))) is None
    assert len(drift.window._of[drift.window._numbers["noisy"]]) == 150  # a quarter of the window
    assert len(drift.window) == 450
    alone = Drift(NORMAL, SMALL, clients=6)
    for start in range(0, 3000, 50):
        alone.see(Seen("noisy", "", "digits", 0.0, noise[start : start + 50], noise[start : start + 50, :10]))
    assert not alone.ready
    only = Drift(NORMAL, SMALL, clients=1)  # where all who ask are one client, it is what there is
    assert len(asked(only, noise, clients=1)) == 1


def test_a_window_forgets_the_oldest_and_clients_with_it():
    drift = Drift(NORMAL, Drifting(window=200, least=100), clients=6)
    for number in range(1000):
        x = REST[number % 700 : number % 700 + 1]
        drift.see(Seen(f"c{number}", "", "digits", 0.0, x, MODEL.predict_proba(x)))
    assert len(drift.window) == 200
    assert drift.window.clients == 200
    assert set(drift.window._numbers) == {f"c{number}" for number in range(800, 1000)}
    whole = drift.window.totals(0)
    parts = [drift.window.totals(0, number) for number in drift.window._of]
    assert (sum(part[0] for part in parts) == whole[0]).all()
    assert sum(part[2] for part in parts) == whole[2] == 200


def test_other_shapes_models_and_odd_values_are_left_aside():
    drift = Drift(NORMAL, SMALL, clients=1)
    assert asked(drift, REST, clients=1, model="other") == []
    assert asked(drift, REST[:, :10], clients=1, answers=np.ones((797, 10))) == []
    assert len(drift.window) == 0
    words = np.array([["a"] * 64] * 400, object)
    asked(drift, words, clients=1, answers=np.array(["x"] * 400))
    odd = np.full((5, 64), np.nan)
    odd[0, 0], odd[1, 1] = np.inf, -1e300
    asked(drift, odd, clients=1, answers=np.full((5, 10), 0.1))
    assert drift.last is not None  # 400 records without one number are drift, and break nothing


def test_a_reference_survives_its_file_and_holds_no_record(tmp_path):
    NORMAL.save(tmp_path / "drift.npz")
    again = DriftReference.load(tmp_path / "drift.npz")
    one, other = (Drift(each, SMALL, 6) for each in (NORMAL, again))
    dark = REST * 0.6
    assert asked(one, dark) == asked(other, dark) != []
    with np.load(tmp_path / "drift.npz") as file:
        assert all(len(array) != 1000 for array in file.values() if array.ndim)
    with pytest.raises(InputError, match=r"cannot be read.*make it with: safelight guard drift-reference"):
        DriftReference.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(InputError, match="is no reference of drift"):
        DriftReference.load(tmp_path / "other.npz")
    with pytest.raises(InputError, match=r"200 records or more, and got \(30, 64\)"):
        DriftReference.of(X[:30])
    with pytest.raises(InputError, match="300 records and 299 answers"):
        DriftReference.of(X[:300], Y[:299])


def test_drift_is_logged_and_makes_one_audit_due_until_a_report_closes_it(tmp_path):
    store = Store.open(tmp_path / "guard.db")
    drift = Drift(NORMAL, SMALL, clients=6)
    [found] = asked(drift, REST * 0.6)
    drifted(store, found, "2")
    drifted(store, found, "2")
    [due] = dues(store)
    assert (due.model, due.version, due.why) == ("digits", "2", found.why)
    assert not schedule(store, Due("digits", "3", "a person asked", 9.0))
    whole = Audit(Verdict.NONE, "", {}, {}, {}, "ab" * 32)
    with pytest.raises(InputError, match="closes nothing: the audit ran nothing"):
        done(store, "digits", Audit(Verdict.UNCLEAR, "the audit ran nothing", {}, {}, {}, ""), 10.0)
    with pytest.raises(InputError, match=r"No audit of 'digit' is due\. Did you mean 'digits'"):
        done(store, "digit", whole, 10.0)
    done(store, "digits", whole, 10.0)
    assert dues(store) == []
    assert schedule(store, Due("digits", "3", "a person asked", 11.0))
    logged = [json.loads(row.text) for row in reversed(store.tail(9))]
    assert [row["what"] for row in logged] == ["drift", "audit due", "drift", "audit done", "audit due"]
    assert logged[0]["records"] == found.records
    assert logged[0]["version"] == "2"
    assert logged[3]["report"] == "ab" * 32
    assert store.verify()[1] == ""
    store.close()


def test_settings_are_held_to_their_ranges(tmp_path):
    upstream = {"upstream": {"url": "http://127.0.0.1:1", "protocol": "oip"}}
    settings = parse_policy({**upstream, "drift": {"reference": "d.npz", "alpha": 0.01}}, tmp_path, "p").drift
    assert settings == Drifting(reference="d.npz", alpha=0.01)
    for wrong, said in (
        ({"share": 0.0}, r"share is 0.0; it must be in \(0, 1\]"),
        ({"window": 10}, "window is 10; it must be at least 200|least is 400 and window is 10"),
        ({"least": 3000}, "least is 3000 and window is 2000"),
        ({"windows": 10}, "no setting 'windows'"),
    ):
        with pytest.raises(InputError, match=said):
            parse_policy({**upstream, "drift": wrong}, tmp_path, "p")
