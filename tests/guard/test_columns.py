"""The order of columns is the site's: whatever order a client names them in, the watch sees the same records."""

import json
import struct
from dataclasses import fields
from functools import cache

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safelight.errors import InputError
from safelight.guard.calibrate import calibrate
from safelight.guard.calibration import load, save
from safelight.guard.columns import KNOWN, Columns, by_name, named, usual
from safelight.guard.fit import fit_reference
from safelight.guard.jsonpath import JsonRule
from safelight.guard.policy import Protocol
from safelight.guard.protocols import SPEAKS
from safelight.guard.protocols.rule import ByRule
from safelight.guard.recording import Recorder, recorded
from safelight.guard.reference import MOST_SURPRISE
from safelight.guard.seen import Seen

OIP, KSERVE, MLFLOW = SPEAKS[Protocol.OIP], SPEAKS[Protocol.KSERVE], SPEAKS[Protocol.MLFLOW]
JSON = {"content-type": "application/json"}
SECRET = b"s" * 32
FIELDS = ("age", "income", "größe", "hours", "town")
TOWNS = np.array(["Oslo", "Rome", "Bonn"], dtype=object)


def people(n, rng):
    x = np.empty((n, 5), dtype=object)
    x[:, 0] = rng.integers(18, 90, n).astype(float)
    x[:, 1] = (30000 + 9000 * rng.normal(size=n)).round()
    x[:, 2] = rng.normal(175, 9, n).round(1)
    x[:, 3] = rng.integers(0, 60, n).astype(float)
    x[:, 4] = rng.choice(TOWNS, n)
    return x


# Bodies in an order of columns, each with the protocol that reads it --------------------------------------------------


def split(x, order):
    rows = [[row[place] for place in order] for row in x.tolist()]
    return {"dataframe_split": {"columns": [FIELDS[place] for place in order], "index": list(range(9, 9 + len(x))),
                                "data": rows}}  # fmt: skip


def records(x, order):
    return [{FIELDS[place]: row[place] for place in order} for row in x.tolist()]


def lists(x, order):
    return {FIELDS[place]: x[:, place].tolist() for place in order}


def tensors(x, order):
    kinds = ["FP64"] * 4 + ["BYTES"]
    return {"inputs": [{"name": FIELDS[place], "shape": [len(x), 1], "datatype": kinds[place],
                        "data": x[:, place].tolist()} for place in order]}  # fmt: skip


def as_bytes(x, order):
    inputs, raws = tensors(x, order)["inputs"], []
    for tensor in inputs:
        data = tensor.pop("data")
        words = tensor["datatype"] == "BYTES"
        raw = b"".join(struct.pack("<I", len(word)) + word.encode() for word in data) if words else struct.pack(
            f"<{len(data)}d", *data
        )  # fmt: skip
        tensor["parameters"] = {"binary_data_size": len(raw)}
        raws.append(raw)
    head = json.dumps({"inputs": inputs}).encode()
    return head + b"".join(raws), {"inference-header-content-length": str(len(head))}


def nested(x, order):
    """Two of the columns are one field of two values."""
    return [
        {FIELDS[place]: row[place] for place in order if place not in (0, 1)} | {"both": [row[0], row[1]]}
        for row in x.tolist()
    ]


def two_parts(x, order):
    return {"people": records(x, order), "more": records(x, order[::-1])}


WAYS = {
    "mlflow split": (MLFLOW, split),
    "mlflow records": (MLFLOW, lambda x, order: {"dataframe_records": records(x, order)}),
    "mlflow inputs": (MLFLOW, lambda x, order: {"inputs": lists(x, order)}),
    "mlflow instances": (MLFLOW, lambda x, order: {"instances": records(x, order)}),
    "kserve": (KSERVE, lambda x, order: {"instances": records(x, order)}),
    "kserve, fields of two values": (KSERVE, lambda x, order: {"instances": nested(x, order)}),
    "oip": (OIP, tensors),
    "oip bytes": (OIP, as_bytes),
    "jsonpath": (ByRule(JsonRule("/p", ("$.rows",), ("$.a",))), lambda x, order: {"rows": records(x, order)}),
    "jsonpath, each": (
        ByRule(JsonRule("/p", ("$.rows[*].person",), ("$.a",))),
        lambda x, order: {"rows": [{"person": record} for record in records(x, order)]},
    ),
    "jsonpath, two": (ByRule(JsonRule("/p", ("$.people", "$.more"), ("$.a",))), two_parts),
}


def question(way, x, order):
    speaks, body = WAYS[way]
    content = body(x, list(order))
    if isinstance(content, tuple):
        return speaks.question(content[0], JSON | content[1], ())
    asked = speaks.question(json.dumps(content).encode(), JSON, ())
    assert orjson.loads(asked.body) == content
    assert list(content) == list(orjson.loads(asked.body))
    return asked


def same(one, other):
    return all(np.array_equal(getattr(one, item.name), getattr(other, item.name), equal_nan=False)
               for item in fields(one))  # fmt: skip


@cache
def fitted(names, rows):
    rng = np.random.default_rng(0)
    x = np.array(json.loads(rows), dtype=object)
    return fit_reference(x, rng.integers(3, size=len(x)), SECRET, rng).named(names).reference


@pytest.mark.parametrize("way", WAYS)
def test_columns_in_any_order_are_the_same_records_to_the_watch(way):
    x = people(100, np.random.default_rng(0))
    first = question(way, x, range(5))
    reference = fitted(first.names, json.dumps(first.x.tolist()))
    said = np.full((8, 2), 0.5)
    for orders in range(5):
        order = np.random.default_rng(orders).permutation(5).tolist()
        one, other = question(way, x[:8], range(5)), question(way, x[:8], order)
        assert sorted(one.names) == sorted(other.names)
        assert len(one.names) == one.x.shape[1]
        facts = [reference.read(Seen("a", "", "m", 1e9, each.x, said, names=each.names)) for each in (one, other)]
        assert same(*facts)
        if order != [0, 1, 2, 3, 4]:  # without the names they are other records: the test above could fail
            blind = reference.read(Seen("a", "", "m", 1e9, other.x, said))
            assert (blind.digest == facts[0].digest).all() == (one.names == other.names)


def test_what_goes_on_keeps_the_clients_order():
    asked = question("mlflow split", people(2, np.random.default_rng(1)), [4, 2, 0, 1, 3])
    assert orjson.loads(asked.body)["dataframe_split"]["columns"] == ["town", "größe", "age", "income", "hours"]
    assert asked.names == ("town", "größe", "age", "income", "hours")


@pytest.mark.parametrize(
    ("speaks", "content"),
    [
        (MLFLOW, {"dataframe_split": {"data": [[1, 2]]}}),
        (MLFLOW, {"inputs": [[1, 2]]}),
        (MLFLOW, {"inputs": {"x": [[1, 2]]}}),
        (MLFLOW, {"dataframe_records": [{"a": 1}]}),
        (KSERVE, {"instances": [[1, 2]]}),
        (OIP, {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}]}),
        (ByRule(JsonRule("/p", ("$.a[*].x", "$.a[*].y"), ("$.b",))), {"a": [{"y": 1, "x": 2}]}),
    ],
)
def test_arrays_and_only_columns_have_no_names(speaks, content):
    asked = speaks.question(json.dumps(content).encode(), JSON, ())
    assert asked.names == ()
    assert Columns(("a", "b")).read(asked.x, asked.names)[0] is asked.x


def test_a_rule_names_what_has_no_name_by_its_place():
    rule = ByRule(JsonRule("/p", ("$.a", "$.b"), ("$.c",)))
    asked = rule.question(b'{"a": [{"y": 1, "x": 2}], "b": [[7, 8]]}', JSON, ())
    assert asked.names == ("0.y", "0.x", "1.0", "1.1")
    assert asked.x.tolist() == [[1, 2, 7, 8]]


# The order itself ----------------------------------------------------------------------------------------------------


def literal(order, x, names):
    """Each record as a mapping, and each value looked up in it."""
    if not names or not order or not set(order) & set(names):
        return x.tolist(), False
    rows = [[dict(zip(names, row)).get(name) for name in order] for row in x.tolist()]
    return rows, not set(names) <= set(order) or len(set(names)) < len(names)


words = st.sampled_from(["a", "b", "c", "d", "", "ü", "a[0]"])


@given(st.lists(words, unique=True, max_size=5), st.lists(words, max_size=6), st.booleans())
@settings(max_examples=300, deadline=None)
def test_it_agrees_with_looking_up_each_value_by_its_name(order, names, is_object):
    x = np.arange(2.0 * len(names)).reshape(2, len(names)).astype(object if is_object else float)
    columns = Columns(tuple(order))
    for _ in range(2):  # the second time from what is remembered
        found, odd = columns.read(x, tuple(names))
        rows, expected = literal(order, x, names)
        if not set(order) & set(names):
            assert found is x
        gone = [[None if value is None or value != value else value for value in row] for row in found.tolist()]
        assert gone == rows
        assert odd == expected
    assert (columns.places(tuple(names)) is not None) == (sorted(names) == sorted(order) or names == order)


def test_a_missing_value_is_nan_and_one_too_many_is_as_far_from_normal_as_can_be():
    rng = np.random.default_rng(2)
    x = people(300, rng)
    reference = fit_reference(x, rng.integers(3, size=300), SECRET, rng).named(FIELDS).reference
    said = np.full((1, 2), 0.5)

    def read(x, names):
        return reference.read(Seen("a", "", "m", 1e9, x, said, names=names))

    plain = read(x[:1], FIELDS)
    lacking = read(x[:1, [4, 3, 1, 0]], ("town", "hours", "income", "age"))
    assert np.isfinite(lacking.numbers).all()
    assert lacking.numbers[0, 0] < MOST_SURPRISE
    assert (lacking.fields == plain.fields).tolist() == [[True, True, False, True, True]]
    for names, row in (
        ((*FIELDS, "salt"), [*x[0], 0.7]),
        (("salt", *FIELDS), ["x", *x[0]]),
        (("town", *FIELDS), ["Rome", *x[0]]),
    ):
        more = read(np.array([row], dtype=object), names)
        assert (more.fields == plain.fields).all()  # the others are read: what is enumerated still shows
        assert (more.digest == plain.digest).all()
        assert (more.numbers[:, :2] == MOST_SURPRISE).all()
    other = read(x[:1], ("f0", "f1", "f2", "f3", "f4"))  # no name that is known: the place is the meaning
    assert same(other, plain)
    shorter = read(x[:1, :3], ("f0", "f1", "f2"))
    assert (shorter.numbers[:, :2] == MOST_SURPRISE).all()


def test_hostile_names_break_nothing_and_are_not_remembered():
    columns = Columns(tuple(f"c{place}" for place in range(12)))
    rng = np.random.default_rng(3)
    for _ in range(200):
        order = rng.permutation(12)
        found, odd = columns.read(order[None].astype(float), tuple(f"c{place}" for place in order))
        assert found.tolist() == [list(range(12))]
        assert not odd
    for names in (
        tuple(f"n{place}" for place in range(10_000)),
        ("c0",) * 10_000,
        ("c0", "x" * 1_000_000),
        ("c0", "\u202e", "\0", "\U0001f600", "é", "é"),
    ):
        found, odd = columns.read(np.ones((1, len(names))), names)
        assert odd == ("c0" in names)
        assert found.shape == (1, 12 if odd else 10_000)
    assert 0 < len(columns._known) <= KNOWN
    long = Columns(("x" * 100_000, "y" * 100_000))
    assert long.read(np.array([[1, 2]]), long.names[::-1])[0].tolist() == [[2, 1]]
    assert not long._known
    assert {name for names in columns._known for name in names} == set(columns.names)


@pytest.mark.parametrize("way", ["mlflow split", "mlflow records", "oip"])
def test_ten_thousand_columns_and_long_names_are_read(way):
    many = [f"{place}\u202e" + "ü" * (500_000 if place == 7 else 1) for place in range(10_000)]
    bodies = {
        "mlflow split": {"dataframe_split": {"columns": many, "data": [[1.0] * 10_000]}},
        "mlflow records": {"dataframe_records": [dict.fromkeys(many, 1.0)]},
        "oip": {"inputs": [{"name": name, "shape": [1], "datatype": "FP64", "data": [1.0]} for name in many]},
    }
    asked = WAYS[way][0].question(json.dumps(bodies[way]).encode(), JSON, ())
    assert asked.names == tuple(many)
    assert asked.x.shape == (1, 10_000)


def test_values_are_named_once_each():
    parts = [np.zeros(3), np.zeros((3, 2)), np.zeros((3, 1))]
    assert named(["a", "b", "c"], parts) == ("a", "b[0]", "b[1]", "c")
    assert named(["a"], parts[1:2]) == ()
    assert by_name(np.array([[1, 2, 3]]), ("c", "a", "b")).tolist() == [[2, 3, 1]]


def test_the_order_of_most_clients_is_the_sites_and_nobody_elses():
    usual_ones = [[("a", "b", "c")] * 3 for _ in range(5)]
    other = [[("c", "b", "a")] * 1000, [("c", "a", "b")], [()]]
    assert usual([*other, *usual_ones]) == ("a", "b", "c")
    assert usual([[("a", "x")], [("b", "c")], [("c", "b")]]) == ("b", "c")  # names first, then their order
    assert usual([[("b", "a")], [("a", "b")]]) == usual([[("a", "b")], [("b", "a")]]) == ("a", "b")
    assert usual([[("a", "b", "id")], [("a", "b", "id")], [("b", "a")], [()]], [2]) == ("b", "a")
    assert usual([[()], []]) == usual([]) == ()


# Recordings and calibrations ----------------------------------------------------------------------------------------


def traffic(clients, rng, order=None, names=FIELDS, calls=6):
    for number in range(clients):
        for call in range(calls):
            x = people(4, rng)
            places = list(range(5)) if order is None else order(number, call)
            called = tuple(names[place] for place in places) if names else ()
            yield Seen(f"c{number}", "", "m", 60.0 * call, x[:, places], np.full((4, 2), 0.5), names=called)


def shuffled(number, call):
    """Most clients keep to one order; some have their own at each call."""
    return np.random.default_rng([number, call]).permutation(5).tolist() if number % 3 == 2 else [1, 0, 2, 3, 4]


def test_a_recording_keeps_names_and_calls_in_other_orders_join_a_block(tmp_path):
    calls = list(traffic(30, np.random.default_rng(4), shuffled))
    recorder = Recorder(tmp_path / "t.npy")
    for call in calls:
        recorder.keep(call)
    recorder.flush()
    found = list(recorded(tmp_path / "t.npy"))
    assert (tmp_path / "t.npy").read_bytes().count(b"NUMPY") == 3 * 3  # 180 calls of 4 records, 256 a block
    for one, call in zip(found, calls, strict=True):
        assert sorted(one.names) == sorted(FIELDS)
        assert [dict(zip(one.names, row)) for row in one.x.tolist()] == [
            dict(zip(call.names, row)) for row in call.x.tolist()
        ]
    for names in (FIELDS[::-1], ("a", "b", "c", "d", "e"), ()):  # the very same names join, others begin a block
        recorder.keep(Seen("a", "", "m", 0.0, people(1, np.random.default_rng(5)), np.zeros(1), names=names))
    recorder.flush()
    assert [call.names for call in recorded(tmp_path / "t.npy")][-3:] == [FIELDS[::-1], ("a", "b", "c", "d", "e"), ()]


def test_a_recording_with_names_calibrates_whatever_the_order(tmp_path):
    plain, mixed = (
        list(traffic(30, np.random.default_rng(6), order)) for order in (lambda *_: [1, 0, 2, 3, 4], shuffled)
    )
    one, other = (calibrate(calls, 50.0, secret=SECRET)["m"] for calls in (plain, mixed))
    assert one.reference.names == other.reference.names == ("income", "age", "größe", "hours", "town")
    assert one.clients.threshold == other.clients.threshold
    assert (one.reference.axes == other.reference.axes).all()
    save(tmp_path / "c.npz", {"m": one})
    again = load(tmp_path / "c.npz")["m"].reference
    assert again.names == one.reference.names
    call = next(iter(traffic(1, np.random.default_rng(7), lambda *_: [4, 3, 2, 1, 0])))
    assert same(again.read(call), one.reference.read(call))


def test_files_from_before_there_were_names_are_read(tmp_path):
    calls = list(traffic(24, np.random.default_rng(8), names=()))
    head = {"version": 1, "model": "m", "client": [call.client for call in calls], "cohort": [""] * len(calls),
            "at": [call.at for call in calls], "records": [4] * len(calls)}  # fmt: skip
    rows = np.array([json.dumps(row) for call in calls for row in call.x.tolist()])
    with (tmp_path / "old.npy").open("wb") as file:
        for array in (np.array(json.dumps(head)), rows, np.full((4 * len(calls), 2), 0.5)):
            np.save(file, array)
    old = calibrate(recorded(tmp_path / "old.npy"), 50.0, secret=SECRET)
    assert old["m"].reference.names == ()
    save(tmp_path / "new.npz", old)
    with np.load(tmp_path / "new.npz") as held:
        kept = {name: held[name] for name in held.files if name != "0_names"}
        assert len(kept) == len(held.files) - 1
    np.savez(tmp_path / "old.npz", **kept)
    again = load(tmp_path / "old.npz")["m"].reference
    assert again.names == ()
    assert same(again.read(calls[0]), old["m"].reference.read(calls[0]))


def test_training_records_are_held_to_the_same_columns():
    calls = [Seen(call.client, "", "m", call.at, call.x[:, :4].astype(float), call.answers, names=call.names[:4])
             for call in traffic(24, np.random.default_rng(9))]  # fmt: skip
    training = np.concatenate([call.x for call in calls[:60]])
    columns = [2, 0, 3, 1]
    hashes = [
        calibrate(calls, 50.0, rows, secret=SECRET, training_columns=names)["m"].reference.training
        for rows, names in ((training, ()), (training[:, columns], tuple(FIELDS[place] for place in columns)))
    ]
    assert (hashes[0] == hashes[1]).all()
    with pytest.raises(InputError, match="The training records have 3 of the 4 columns of the recorded traffic"):
        calibrate(calls, 50.0, training, secret=SECRET, training_columns=("age", "income", "größe", "salt"))


def test_columns_of_calls_without_names_can_be_named():
    calls = list(traffic(24, np.random.default_rng(10), names=()))
    assert calibrate(calls, 50.0, secret=SECRET, columns=FIELDS)["m"].reference.names == FIELDS
    with pytest.raises(InputError, match="No recorded model takes records of the 2 columns that were named"):
        calibrate(calls, 50.0, secret=SECRET, columns=("a", "b"))
    own = traffic(24, np.random.default_rng(12), lambda *_: [3, 1, 2, 0, 4])
    assert calibrate(own, 50.0, secret=SECRET, columns=FIELDS)["m"].reference.names == FIELDS
    mixed = [*calls, *traffic(5, np.random.default_rng(11), lambda *_: [4, 3, 2, 1, 0])]
    assert calibrate(mixed, 50.0, secret=SECRET)["m"].reference.names == FIELDS[::-1]
