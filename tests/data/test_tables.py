"""Tables: columns, labels, people, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from safelight.data.tables import load_table
from safelight.errors import InputError, MissingExtra

FRAME = pd.DataFrame(
    {
        "age": [30, 41, 52, 63],
        "job": ["nurse", "cook", "nurse", "pilot"],
        "pay": [1.5, 2.25, 3.0, 0.1],
        "patient": ["p1", "p2", "p2", "p3"],
        "ill": ["yes", "no", "no", "yes"],
    }
)


@pytest.mark.parametrize("kind", ["frame", "csv", "parquet"])
def test_a_table_from_each_source(tmp_path: Path, kind: str) -> None:
    source: Path | pd.DataFrame = FRAME
    if kind == "csv":
        source = tmp_path / "train.csv"
        FRAME.to_csv(source, index=False)
    if kind == "parquet":
        source = tmp_path / "train.parquet"
        FRAME.to_parquet(source)
    records, columns = load_table(source, "ill", person="patient", sensitive=["job"], name="train")
    assert list(records.x.columns) == ["age", "job", "pay"]
    assert records.x["pay"].tolist() == [1.5, 2.25, 3.0, 0.1]
    assert records.x["job"].tolist() == FRAME["job"].tolist()
    assert records.y.tolist() == [1, 0, 0, 1]
    assert records.person is not None
    assert records.person.tolist() == ["p1", "p2", "p2", "p3"]
    assert records.ids.tolist() == ["train:0", "train:1", "train:2", "train:3"]
    assert (columns.classes, columns.numeric, columns.categorical) == (("no", "yes"), ("age", "pay"), ("job",))
    assert (columns.label, columns.person, columns.inputs) == ("ill", "patient", ("age", "job", "pay"))


def test_the_index_of_a_frame_does_not_matter() -> None:
    records, _ = load_table(FRAME.set_index(pd.Index([7, 7, 3, 1])), "ill")
    assert records.x.index.tolist() == [0, 1, 2, 3]


def test_nonmembers_follow_the_members() -> None:
    _, like = load_table(FRAME, "ill")
    other = FRAME[["ill", "pay", "job", "patient", "age"]].iloc[[1]]
    records, columns = load_table(other, "ill", like=like)
    assert columns.classes == ("no", "yes")
    assert records.y.tolist() == [0]
    assert tuple(records.x.columns) == like.inputs


def test_codes_that_look_like_numbers_stay_categories() -> None:
    _, like = load_table(FRAME.assign(job=["3", "A", "B", "3"]), "ill")
    records, columns = load_table(FRAME.assign(job=[3, 3, 4, 4]), "ill", like=like)
    assert records.x["job"].tolist() == ["3", "3", "4", "4"]
    assert "job" in columns.categorical


def test_the_models_order_of_classes() -> None:
    records, columns = load_table(FRAME, "ill", classes=("yes", "no"))
    assert records.y.tolist() == [0, 1, 1, 0]
    assert columns.classes == ("yes", "no")


def test_when_a_label_is_the_answer_of_a_regression() -> None:
    many = pd.DataFrame({"a": range(60), "y": np.linspace(0, 1, 60)})
    records, columns = load_table(many, "y")
    assert columns.classes == ()
    assert np.array_equal(records.y, many["y"])
    assert len(load_table(many, "y", regression=False)[1].classes) == 60
    few = many.assign(y=np.round(many["y"] * 19) / 19)
    assert few["y"].nunique() == 20
    assert len(load_table(few, "y")[1].classes) == 20
    assert load_table(few, "y", regression=True)[1].classes == ()
    whole = many.assign(y=range(60))
    assert len(load_table(whole, "y")[1].classes) == 60
    _, like = load_table(many, "y")
    assert load_table(few, "y", like=like)[1].classes == ()


def test_numbers_as_labels_go_by_value() -> None:
    table = FRAME.assign(ill=[10, 9, 9, 10])
    records, columns = load_table(table, "ill")
    assert columns.classes == ("9", "10")
    other, _ = load_table(table.assign(ill=[9.0, 9.0, 10.0, 10.0]), "ill", like=columns)
    assert other.y.tolist() == [0, 0, 1, 1]
    assert records.y.tolist() == [1, 0, 0, 1]


def with_hole(column: str, value: object) -> pd.DataFrame:
    table = FRAME.copy()
    table[column] = table[column].astype(object)
    table.loc[2, column] = value
    return table.infer_objects()


@pytest.mark.parametrize(
    ("table", "settings", "says"),
    [
        (FRAME, {"label": "il"}, r"no label column 'il'; its columns are age, job.*Did you mean 'ill'"),
        (FRAME, {"sensitive": ["jobs"]}, "no sensitive column 'jobs'.*Did you mean 'job'"),
        (FRAME, {"person": "patent"}, "no person column 'patent'.*Did you mean 'patient'"),
        (FRAME, {"sensitive": ["ill"]}, "'ill' cannot be sensitive and the label column at once"),
        (with_hole("pay", np.nan), {}, "column 'pay' of The table has 1 missing, NaN or infinite.*first in row 2"),
        (with_hole("pay", np.inf), {}, "column 'pay' of The table has 1 missing"),
        (with_hole("job", None), {}, "column 'job' of The table has 1 missing"),
        (with_hole("ill", None), {}, "column 'ill' of The table has 1 missing"),
        (FRAME.set_axis(["age", "job", "pay", "pay", "ill"], axis=1), {}, "more than one column called 'pay'"),
        (FRAME.iloc[:0], {}, "holds no rows"),
        (FRAME, {"regression": True}, "holds 'yes', but a regression needs numbers"),
        (FRAME, {"classes": ("no", "yess")}, "holds the class 'yes', which is not among the 2 known classes"),
    ],
)
def test_tables_that_cannot_be_used(table: pd.DataFrame, settings: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_table(table, **{"label": "ill", **settings})


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (FRAME.rename(columns={"pay": "pays"}), "lacks 'pay' and has 'pays' besides.*Did you mean 'pays'"),
        (FRAME.assign(more=1), "has 'more' besides, unlike the members"),
        (FRAME.assign(age=["30", "old", "52", "63"]), "column 'age' of The test holds 'old', but numbers"),
        (FRAME.assign(ill="perhaps"), "class 'perhaps'"),
    ],
)
def test_files_that_differ(other: pd.DataFrame, says: str) -> None:
    _, like = load_table(FRAME, "ill")
    with pytest.raises(InputError, match=says):
        load_table(other, "ill", like=like, name="test")


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"There is no file .*none.csv"):
        load_table(tmp_path / "none.csv", "ill")
    for name, content, says in [
        ("a.xlsx", b"", "ends with '.xlsx'; give a .csv or .parquet file"),
        ("a.csv", b"", "cannot be read as a table"),
        ("b.csv", b"a,b\n1,2,3\n4,5,6,7,8\n", "cannot be read as a table"),
        ("c.csv", b"a,b\n\xff\xfe,2\n", "cannot be read as a table"),
        ("a.parquet", b"no parquet", "cannot be read as a table"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=says):
            load_table(tmp_path / name, "a")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"needs the package pyarrow.*safelight\[parquet\]"):
        load_table(tmp_path / "a.parquet", "a")
