"""Evidence: the same bytes for the same facts, nothing lost on the way to disk and back."""

from pathlib import Path

import numpy as np
import pytest

from safelight.evidence import Evidence, Origin, Reconstructions, Role, Scores, Store
from safelight.threat import Access, Knows, ThreatModel


def origin(**changes):
    threat = ThreatModel(Access.SCORES, queries=7, knows=frozenset({Knows.PUBLIC}))
    facts = {"attack": "V001", "settings": {"steps": 3, "loss": "margin"}, "threat": threat, "role": Role.COINS,
             "model": "m", "seed": 5, "queries": 7, "complete": True, "run": 2}  # fmt: skip
    return Origin(**{**facts, **changes})


def test_pictures_survive_writing_and_reading():
    answer = Reconstructions(np.random.default_rng(0).random((3, 1, 4, 4)), np.arange(3), np.ones(3))
    belief = np.arange(6.0).reshape(3, 2)
    kept = Evidence(
        origin(), answer, belief, np.array([0, 1, 1]), 2, "class", "replace", {10: belief + 1}, {"x": belief}
    )
    read = Evidence.from_bytes(kept.to_bytes())
    np.testing.assert_array_equal(read.answer.images, answer.images)
    np.testing.assert_array_equal(read.curve[10], belief + 1)
    np.testing.assert_array_equal(read.extra["x"], belief)
    assert read.origin == kept.origin
    assert (read.unit, read.adjacency, read.k) == ("class", "replace", 2)


def test_equal_facts_have_equal_bytes_and_any_other_fact_has_not():
    answer = Scores(np.ones((2, 1)))
    assert Evidence(origin(), answer).sha256 == Evidence(origin(), Scores(np.ones((2, 1)))).sha256
    assert Evidence(origin(), answer).sha256 != Evidence(origin(seed=6), answer).sha256
    assert Evidence(origin(), answer).sha256 != Evidence(origin(), Scores(np.zeros((2, 1)))).sha256


@pytest.mark.parametrize("on_disk", [True, False])
def test_the_store_gives_back_what_was_put_in(tmp_path: Path, on_disk: bool):
    store = Store(tmp_path / "evidence" if on_disk else None)
    assert store.get("a") is None
    sha = store.put("a", Evidence(origin(), Scores(np.ones((2, 1)))))
    again = Store(tmp_path / "evidence") if on_disk else store
    found = again.get("a")
    assert found is not None
    assert found.sha256 == sha
    assert again.names() == ["a"]


def test_reading_runs_no_code(tmp_path: Path):
    np.savez(tmp_path / "evil.npz", facts=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        Evidence.from_bytes((tmp_path / "evil.npz").read_bytes())


def test_a_file_that_is_damaged_or_of_another_version_counts_as_absent(tmp_path: Path):
    store = Store(tmp_path)
    store.put("a", Evidence(origin(), Scores(np.ones((2, 1)))))
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    np.savez(tmp_path / "old.npz", facts=np.frombuffer(b'{"k": 2}', dtype=np.uint8))
    again = Store(tmp_path)
    assert again.get("a") is not None
    assert again.get("cut") is None
    assert again.get("old") is None
