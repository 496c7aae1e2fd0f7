"""A file of outputs: every column is read as what it is, and what cannot be used is one sentence."""

import numpy as np
import pandas as pd
import pytest

from safelight.attacks.membership.loss import LossThreshold
from safelight.data.outputs import ROW, load_outputs
from safelight.errors import InputError
from safelight.evidence import WhoWasIn
from safelight.targets.recorded import from_outputs
from safelight.threat import Access, ThreatModel


def table(n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], n)
    return pd.DataFrame(
        {
            "split": ["member", "nonmember"] * (n // 2),
            "label": rng.integers(0, 3, n),
            **{f"p{c}": p[:, c] for c in range(3)},
        }
    )


def load(frame: pd.DataFrame, tmp_path, name="outputs.csv"):
    frame.to_csv(tmp_path / name, index=False)
    return load_outputs(tmp_path / name, np.random.default_rng(1))


def test_answers_belong_to_their_records_though_rows_have_names_without_meaning(tmp_path):
    frame = table().assign(id=[f"patient {i}" for i in range(40)], person=np.arange(40) // 2, group="north")
    outputs = load(frame, tmp_path)
    target, shadows = from_outputs(outputs, "outputs.csv")
    assert shadows is None
    assert not np.array_equal(outputs.records.x[ROW], np.arange(40)), "the order of the file is not told"
    for rows in (np.arange(40), np.array([7, 3])):
        records = outputs.records.take(rows)
        assert np.allclose(target.model.scores(records.x), frame[["p0", "p1", "p2"]].to_numpy()[rows])
        assert records.ids.tolist() == [f"patient {i}" for i in rows]
        assert records.group.tolist() == ["north"] * len(rows)
    assert outputs.member.tolist() == [True, False] * 20
    assert target.view(ThreatModel(Access.SCORES)).classes == ("0", "1", "2")


def test_a_loss_orders_records_as_the_probabilities_it_comes_from(tmp_path):
    frame = table()
    own = frame[["p0", "p1", "p2"]].to_numpy()[np.arange(40), frame["label"]]
    scores = []
    for given in (frame, frame[["split", "label"]].assign(loss=-np.log(own))):
        outputs = load(given, tmp_path)
        view = from_outputs(outputs, "x")[0].view(ThreatModel(Access.SCORES))
        scores.append(LossThreshold().run(view, WhoWasIn(outputs.records), np.random.default_rng(0)).values[:, 0])
    assert np.allclose(*scores)


def test_words_as_labels_go_with_a_loss(tmp_path):
    frame = table()[["split"]].assign(label=["sick", "well"] * 20, loss=0.5)
    assert load(frame, tmp_path).classes == ("sick", "well")


def test_reference_models_answer_about_the_same_records(tmp_path):
    frame = table()
    for model in (0, 1, 5):
        frame = frame.assign(**{f"ref{model}_p{c}": np.roll(frame[f"p{c}"], model + 1) for c in range(3)})
        frame[f"ref{model}_in"] = np.arange(40) % 2 == model % 2
    outputs = load(frame.astype({f"ref{m}_in": int for m in (0, 1, 5)}), tmp_path)
    shadows = from_outputs(outputs, "x")[1]
    assert shadows is not None
    rows = np.array([9, 2, 30])
    answers, inside = shadows.answers(outputs.records.take(rows), 2)
    assert answers.shape == (2, 3, 3)
    assert np.allclose(answers[1], frame[[f"ref1_p{c}" for c in range(3)]].to_numpy()[rows])
    assert inside.tolist() == [[False, True, True], [True, False, False]]
    assert len(shadows.answers(outputs.records, 16)[0]) == 3, "no more than there are"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="split"), "has no column 'split'"),
        (lambda t: t.rename(columns={"label": "lable"}), "no column 'label'.*Did you mean 'lable'"),
        (lambda t: t.assign(split="train"), 'holds \'train\'; write "member" or "nonmember"'),
        (lambda t: t.assign(split="member"), "holds no nonmembers"),
        (lambda t: t[t.split == "nonmember"], "holds no members"),
        (lambda t: t.assign(p1=np.nan), "row 0, column p1, is nan; it must be a number"),
        (lambda t: t.assign(p1=0.9), r"row \d+: the probabilities of the model sum to .* sum to 1"),
        (lambda t: t.drop(columns=["p0", "p1", "p2"]), "neither columns p0, p1, ... nor loss for the model"),
        (lambda t: t.assign(label=3), "holds '3'; with columns p0 to p2 it must be a whole number from 0 to 2"),
        (lambda t: t.assign(ref0_p0=1.0), "has 1 columns ref0_p0, ... for reference model 0, and 3 classes"),
        (lambda t: t.assign(ref0_loss=1.0), "no column 'ref0_in'"),
        (lambda t: t.assign(ref0_loss=1.0, ref0_in=2), "column ref0_in, holds 2; write 0 or 1"),
        (lambda t: t[["split", "label"]].assign(loss=-1.0), "column loss holds -1; a loss is"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        load(change(table()), tmp_path)
