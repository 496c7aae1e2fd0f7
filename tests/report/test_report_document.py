from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import report_samples as samples

from safelight.errors import InputError
from safelight.evidence import Role
from safelight.measures.base import Measurement
from safelight.report import document
from safelight.report.model import Report
from safelight.report.pictures import png, read_pictures, triplets, write_pictures
from safelight.verdict.finding import Status, Verdict

every_sample = pytest.mark.parametrize("name", sorted(samples.ALL))


@every_sample
def test_every_document_follows_the_shipped_schema(name: str) -> None:
    schema = document.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(document.to_document(samples.ALL[name]()))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.pop("schema_version"),
        lambda text: text.update(verdict="safe"),
        lambda text: text.update(surprise=1),
        lambda text: text["findings"][0].update(status="fine"),
        lambda text: text["findings"][0].pop("evidence"),
        lambda text: text["findings"][0]["evidence"].update(coins="no hash"),
        lambda text: text["findings"][0]["threat"].update(access="everything"),
        lambda text: text["findings"][0]["measured"][0].update(value="many"),
    ],
)
def test_the_schema_refuses_what_is_no_report(spoil: object) -> None:
    text = document.to_document(samples.table_leak())
    spoil(text)  # type: ignore[operator]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(document.schema()).validate(text)


def test_a_finding_has_the_fixed_names() -> None:
    text = document.to_document(samples.table_leak())
    assert text["schema_version"] == "1.3"
    assert text["verdict"] == "leak"
    finding = text["findings"][0]
    fixed = "code title target status reason claim about unit adjacency runs threat measured p source seed evidence"
    assert set(finding) >= set(fixed.split())
    assert {key: finding["threat"][key] for key in ("access", "queries")} == {"access": "scores", "queries": 2000}
    assert finding["measured"][0] == {
        "name": "coins_correct", "value": 98, "low": None, "high": None, "floor": None, "control": None,
    }  # fmt: skip
    assert set(finding["evidence"]) == {"coins", "target"}


@every_sample
def test_a_report_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    report = samples.ALL[name]()
    write_pictures(report.pictures, tmp_path)
    text = json.loads(document.to_json(report))
    back = document.from_document(text, tmp_path)
    assert replace(back, pictures=()) == replace(report, pictures=())
    assert str(back) == str(report)
    assert len(back.pictures) == len(report.pictures)


def test_the_types_come_back_too(tmp_path: Path) -> None:
    back = document.from_document(document.to_document(samples.faces_leak()), tmp_path)
    assert back.verdict is Verdict.LEAK
    assert back.findings[0].status is Status.LEAK
    assert list(back.findings[0].evidence) == [Role.COINS, Role.TARGET]
    assert back.findings[0].threat == samples.WEIGHTS
    assert back.pictures == ()


def test_nan_and_infinity_are_never_written() -> None:
    broken = samples.finding(
        p=float("nan"), measured=(Measurement("mu", float("inf"), np.float64("nan"), np.int64(3)),)
    )
    text = document.to_json(replace(samples.table_leak(), findings=(broken,)))
    number = json.loads(text, parse_constant=lambda word: pytest.fail(word))["findings"][0]
    assert number["p"] is None
    assert number["measured"][0]["value"] is None
    assert number["measured"][0]["high"] == 3


def test_settings_of_any_kind_become_plain() -> None:
    report = replace(
        samples.table_leak(), settings={"A002": {"path": Path("x"), "grid": (1, np.arange(2)), "on": True}}
    )
    text = document.to_document(report)["settings"]["A002"]
    assert text == {"path": "x", "grid": [1, [0, 1]], "on": True}


def test_the_same_report_is_the_same_text() -> None:
    assert document.to_json(samples.faces_leak()) == document.to_json(samples.faces_leak())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "it is not a JSON object"),
        ("{", "is no JSON"),
        ("{}", "has schema_version none and this Safelight reads 1.3"),
        ('{"schema_version": "2.0"}', "has schema_version 2.0"),
        ('{"schema_version": "1.4"}', "cannot be read \\(KeyError: 'verdict'\\)"),
    ],
)
def test_what_is_no_report_gets_one_sentence(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(InputError, match=message):
        document.read(tmp_path)


def test_an_unknown_part_gets_one_sentence(tmp_path: Path) -> None:
    text = document.to_document(samples.table_leak()) | {"colour": "red"}
    with pytest.raises(InputError, match=r"TypeError: .*colour"):
        document.from_document(text, tmp_path)


def test_a_missing_report_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.json cannot be read \(No such file or directory\)"):
        document.read(tmp_path / "nowhere.json")


def test_pictures_come_back_from_their_archive(tmp_path: Path) -> None:
    groups = (samples.pictures(3, nearest=True), replace(samples.pictures(2), code="V001", control=None))
    path = write_pictures(groups, tmp_path)
    assert path == tmp_path / "evidence" / "pictures.npz"
    for wrote, read in zip(groups, read_pictures(tmp_path), strict=True):
        assert (wrote.code, wrote.names, wrote.low, wrote.high) == (read.code, read.names, read.low, read.high)
        for part in ("rebuilt", "control", "nearest", "recognised"):
            before, after = getattr(wrote, part), getattr(read, part)
            assert (before is None and after is None) or np.array_equal(before, after)


def test_the_archive_has_the_same_bytes_for_the_same_pictures(tmp_path: Path) -> None:
    one, two = (write_pictures([samples.pictures(2)], tmp_path / name) for name in ("a", "b"))
    assert one is not None
    assert two is not None
    assert one.read_bytes() == two.read_bytes()


def test_no_pictures_leave_no_file(tmp_path: Path) -> None:
    assert write_pictures((), tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    assert read_pictures(tmp_path) == ()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"\x80\x04N."])
def test_a_spoilt_archive_gets_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "pictures.npz").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as pictures"):
        read_pictures(tmp_path)


def test_a_pickle_in_the_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    np.savez(tmp_path / "evidence" / "pictures.npz", **{"0_code": np.array([object()])})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="allow_pickle=False"):
        read_pictures(tmp_path)


def test_pixels_keep_their_values_and_their_colour() -> None:
    import base64
    import io

    from PIL import Image

    def pixels(address: str) -> np.ndarray:
        assert address.startswith("data:image/png;base64,")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))))

    grey = np.array([[[-1.0, 0.0, 1.0, 9.0]]])
    assert pixels(png(grey, -1, 1)).tolist() == [[0, 128, 255, 255]]
    assert pixels(png(np.stack([np.ones((2, 2)), np.zeros((2, 2)), np.zeros((2, 2))]), 0, 1))[0, 0].tolist() == [
        255,
        0,
        0,
    ]
    assert pixels(png(np.ones((2, 3, 4)), 0, 2)).tolist() == [[128] * 4] * 3
    assert pixels(png(np.ones((1, 300, 200)), 0, 1)).shape == (112, 75)
    assert pixels(png(np.ones((1, 2, 2)), 1, 1)).shape == (2, 2)


def test_at_least_one_triplet_is_shown_and_the_order_is_kept() -> None:
    group = samples.pictures(4)
    assert [row.name for row in triplets(group, 10**6)] == list(group.names)
    assert [row.name for row in triplets(group, 0)] == ["person 0"]
    assert [row.name for row in triplets(replace(group, names=("0", "b", "c", "d")), 0)] == ["class 0"]
    first = triplets(group, 10**6)[0]
    assert first.nearest == ""
    assert first.control != first.rebuilt
    assert not first.small
    assert triplets(replace(group, rebuilt=group.rebuilt[:, :, ::8, ::8]), 10**6)[0].small


def test_a_report_compares_by_its_facts() -> None:
    assert samples.table_leak() == samples.table_leak()
    assert isinstance(samples.table_leak(), Report)


def test_a_verdict_without_its_finding_is_refused(tmp_path: Path) -> None:
    text = document.to_document(samples.no_leak())
    for verdict in ("leak", "unclear"):
        with pytest.raises(InputError, match=f"The verdict is '{verdict}', but no finding ended so"):
            document.from_document(text | {"verdict": verdict}, tmp_path)
    assert replace(samples.nothing_run(), verdict=Verdict.UNCLEAR).verdict is Verdict.UNCLEAR
