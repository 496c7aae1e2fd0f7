"""A rule for a server's own JSON: what it finds is read, and a body that holds more is not understood."""

import asyncio
import json
import tomllib
from contextlib import suppress

import httpx
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from safelight.defences.outputs.policy import OutputPolicy
from safelight.errors import InputError
from safelight.guard.jsonpath import NOTHING, JsonRule, kept, path_of_text, places, uncovered
from safelight.guard.middleware import GuardMiddleware
from safelight.guard.policy import Protocol, parse_policy
from safelight.guard.protocols import readers
from safelight.guard.protocols.base import NotUnderstood
from safelight.guard.protocols.rule import ByRule

IRIS = load_iris()
MODEL = LogisticRegression(max_iter=500).fit(IRIS.data, IRIS.target)
JSON = {"content-type": "application/json"}
COARSE = OutputPolicy(top_k=2, decimals=1)
LABEL = OutputPolicy(label_only=True)
SCORES = [[0.61, 0.26, 0.13], [0.02, 0.07, 0.91]]
LEFT = [[0.6, 0.3, 0.0], [0.0, 0.1, 0.9]]
RULE = JsonRule(
    "/predict",
    ("$.data[*].features",),
    answers=("$.result[*].probs",),
    labels=("$.result[*].label",),
    also_asked=("$.id", "$.data[*].ward"),
    also_answered=("$.model",),
    health=("/up",),
)
ROWS = {"data": [{"features": [1, 2]}, {"features": [3, 4.5]}]}


def asked(rule, content):
    return ByRule(rule).question(json.dumps(content).encode(), JSON, ())


def answered(rule, content, records=2, defence=COARSE):
    question = asked(JsonRule("/p", ("$",), ("$",)), [[1]] * records)
    return ByRule(rule).answer(question, json.dumps(content).encode(), JSON, defence, ())


# Paths ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("$", ()),
        ("$.a", ("a",)),
        ("$[0]['b c'].d[*].*", (0, "b c", "d", None, None)),
        ('$["a.b"].naïve_1', ("a.b", "naïve_1")),
    ],
)
def test_paths_are_read_as_rfc_9535_writes_them(text, path):
    assert path_of_text(text) == path


@pytest.mark.parametrize(
    "text", ["", "a", "$..a", "$.a[?@.b]", "$[1:2]", "$[-1]", "$.a.", "$ .a", "$['a", "$[a]", "$.1"]
)
def test_paths_that_say_more_are_refused(text):
    with pytest.raises(InputError, match="cannot be read at"):
        path_of_text(text)


def test_matches_come_in_the_order_of_the_body():
    body = {"a": [{"b": 1}, {"c": 2}, {"b": 3}], "d": {"x": 4, "y": 5}}
    assert list(places(body, path_of_text("$.a[*].b"))) == [(("a", 0, "b"), 1), (("a", 2, "b"), 3)]
    assert [value for _, value in places(body, path_of_text("$.d.*"))] == [4, 5]
    assert not list(places(body, path_of_text("$.a.b")))
    assert kept(body, [path_of_text("$.a[2].b"), path_of_text("$.d.y")]) == {"a": [None, None, {"b": 3}], "d": {"y": 5}}
    assert kept(body, [path_of_text("$.z")]) is NOTHING
    assert uncovered(body, [path_of_text("$.a"), path_of_text("$.d.x")]) == ("d", "y")
    assert uncovered(body, [path_of_text("$.a"), path_of_text("$.d[*]")]) is None
    assert uncovered({"a": []}, [path_of_text("$.a[*]")]) == ("a",)


trees = st.recursive(
    st.none() | st.integers(0, 3) | st.text("ab", max_size=1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "0"]), inner, max_size=3),
    max_leaves=12,
)
steps = st.sampled_from(["a", "b", 0, 1, None])


def all_leaves(content, at=()):
    below = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    found = [leaf for step, value in below for leaf in all_leaves(value, (*at, step))]
    return found or [(at, content)]


def fits(place, path):
    return len(path) <= len(place) and all(
        step is None or (type(step) is type(here) and step == here) for step, here in zip(path, place)
    )


@given(trees, st.lists(st.lists(steps, max_size=3).map(tuple), min_size=1, max_size=3))
@settings(max_examples=400, deadline=None)
def test_the_walk_agrees_with_a_list_of_all_leaves(body, paths):
    leaves = all_leaves(body)
    bare = [place for place, _ in leaves if not any(fits(place, path) for path in paths)]
    assert (uncovered(body, paths) is None) == (not bare)
    if bare:
        assert uncovered(body, paths) in bare
    left = kept(body, paths)
    covered = [(place, value) for place, value in leaves if any(fits(place, path) for path in paths)]
    remain = [] if left is NOTHING else [leaf for leaf in all_leaves(left) if leaf[1] is not None]
    assert remain == [leaf for leaf in covered if leaf[1] is not None]


# Questions -----------------------------------------------------------------------------------------------------------


def test_records_are_found_and_counted():
    question = asked(RULE, {**ROWS, "id": "7"})
    assert question.records == 2
    assert question.x.tolist() == [[1, 2], [3, 4.5]]
    assert orjson.loads(question.body) == {**ROWS, "id": "7"}
    plain = JsonRule("/p", ("$.rows",), ("$.scores",))
    assert asked(plain, {"rows": [[1, 2], [3, 4], [5, 6]]}).records == 3
    assert asked(plain, {"rows": [{"age": 30, "town": "Oslo"}]}).x.tolist() == [[30, "Oslo"]]
    columns = JsonRule("/p", ("$.age", "$.town"), ("$.scores",))
    assert asked(columns, {"age": [30, 40], "town": ["Oslo", "Rome"]}).x.tolist() == [[30, "Oslo"], [40, "Rome"]]
    assert asked(JsonRule("/p", ("$[*]",), ("$[*]",)), [[1, 2], [3, 4]]).records == 2


def test_paths_of_questions_and_health():
    speaks = ByRule(JsonRule("/predictions/{model}", ("$",), ("$",), health=("/ping",)))
    assert speaks.asked("/predictions/faces") == "faces"
    assert speaks.asked("/predictions/") is speaks.asked("/predictions/a/b") is speaks.asked("/predictions/..") is None
    assert speaks.described("/ping")
    assert not speaks.described("/predictions/faces")
    assert ByRule(RULE).asked("/predict") == ""
    assert ByRule(JsonRule("/a.b", ("$",), ("$",))).asked("/axb") is None


@pytest.mark.parametrize(
    "content",
    [
        {**ROWS, "explain": True},
        {"data": [{"features": [1, 2], "layer": "fc"}]},
        {"data": []},
        {"data": [{}]},
        {"data": [{"features": [1]}, {"features": [2, 3]}]},
        {"data": [{"features": [1]}, {"ward": 3}]} | {"more": []},
        {"id": "7"},
        {},
        [],
        3,
        None,
    ],
)
def test_a_question_with_more_than_the_rule_is_not_understood(content):
    with pytest.raises(NotUnderstood):
        asked(RULE, content)


# Answers -------------------------------------------------------------------------------------------------------------


def test_answers_are_hardened_and_the_rest_is_left_out():
    result = [{"probs": row, "label": "a", "embedding": [0.3, 1.2]} for row in SCORES]
    written = answered(RULE, {"result": result, "model": "v3", "debug": {"logits": [1.2]}})
    assert orjson.loads(written.body) == {"result": [{"probs": row, "label": "a"} for row in LEFT], "model": "v3"}
    assert written.raw == pytest.approx(np.array(SCORES))
    bare = orjson.loads(answered(RULE, {"result": result}, defence=LABEL).body)
    assert [row["probs"] for row in bare["result"]] == [[1, 0, 0], [0, 0, 1]]


def test_scores_in_one_list_by_name_and_in_columns():
    plain = JsonRule("/p", ("$",), ("$.scores",))
    assert orjson.loads(answered(plain, {"scores": SCORES}).body) == {"scores": LEFT}
    named = [dict(zip("abc", row)) for row in SCORES]
    written = answered(plain, {"scores": named})
    assert orjson.loads(written.body) == {"scores": [dict(zip("abc", row)) for row in LEFT]}
    assert written.raw.shape == (2, 3)
    columns = JsonRule("/p", ("$",), ("$.p0", "$.p1", "$.p2"))
    by_column = {f"p{place}": [row[place] for row in SCORES] for place in range(3)}
    left = orjson.loads(answered(columns, by_column).body)
    assert [[left[f"p{place}"][row] for place in range(3)] for row in range(2)] == LEFT
    assert orjson.loads(answered(JsonRule("/p", ("$",), ("$",)), SCORES).body) == LEFT
    assert orjson.loads(answered(plain, {"scores": [1.234, 5.678]}).body) == {"scores": [1.2, 5.7]}


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"other": 1},
        {"result": [{"probs": [0.6, 0.4]}]},
        {"result": [{"probs": [1.6, -2.4]}] * 2},
        {"result": [{"probs": [0.6, 0.4]}, {"label": "b"}]},
        {"result": [{"label": 0.61}] * 2},
        {"result": [{"label": "0.61"}] * 2},
        {"result": [{"probs": {"a": 0.6, "b": 0.4}}, {"probs": {"a": 0.6, "c": 0.4}}]},
        {"result": [{"label": "a"}] * 2, "model": 0.123},
        {"result": [{"label": "a"}] * 2, "model": [0.5]},
        {"result": [{"label": "a"}] * 2, "model": "x" * 201},
        {"model": "v3"},
    ],
)
def test_answers_that_do_not_fit_are_not_understood(content):
    with pytest.raises(NotUnderstood):
        answered(RULE, content)


bodies = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "features", "result", "probs", "label", "model", "secret", "id"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
RULES = (RULE, JsonRule("/p", ("$",), ("$",)), JsonRule("/p", ("$.*.features",), ("$.result.*.probs",), ("$.label",)))


@given(bodies | st.fixed_dictionaries({"result": st.lists(st.fixed_dictionaries({"probs": bodies}), max_size=2)}))
@settings(max_examples=500, deadline=None)
def test_no_body_breaks_the_rule_or_passes_it(content):
    for rule in RULES:
        with suppress(NotUnderstood):
            read = asked(rule, content)
            assert len(read.x) == read.records >= 1
            paths = [path_of_text(text) for text in (*rule.records, *rule.also_asked)]
            assert all(any(fits(place, path) for path in paths) for place, _ in all_leaves(orjson.loads(read.body)))
        for defence in (COARSE, LABEL):
            with suppress(NotUnderstood):
                left = orjson.loads(answered(rule, content, 1, defence).body)
                paths = [path_of_text(text) for text in (*rule.answers, *rule.labels, *rule.also_answered)]
                for place, value in all_leaves(left):
                    assert value is None or any(fits(place, path) for path in paths)
                    assert not isinstance(value, float) or value == round(value, 1)


# Policy --------------------------------------------------------------------------------------------------------------

HEAD = '[upstream]\nurl = "http://127.0.0.1:1"\nprotocol = "jsonpath"\n[upstream.jsonpath]\n'


def policy(text, tmp_path):
    return parse_policy(tomllib.loads(HEAD + text), tmp_path, "guard.toml")


def test_the_rule_is_read_from_the_policy(tmp_path):
    found = policy('path = "/predict"\nrecords = "$.data"\nanswers = ["$.probs"]\nhealth = "/up"\n', tmp_path)
    assert found.upstream.protocol is Protocol.JSONPATH
    assert found.upstream.jsonpath == JsonRule("/predict", ("$.data",), ("$.probs",), health=("/up",))
    assert isinstance(readers(found)[0], ByRule)
    assert readers(found) is readers(found)


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ('records = "$"\nanswers = "$"', r"\[upstream.jsonpath\] needs the key 'path'"),
        ('path = "/p"\nanswers = "$"', r"\[upstream.jsonpath\] needs the key 'records'"),
        ('path = "/p"\nrecords = "$"', "needs paths of records, and of answers or labels"),
        ('path = "p"\nrecords = "$"\nanswers = "$"', "path is 'p'; it must begin with /"),
        ('path = "/{name}"\nrecords = "$"\nanswers = "$"', "{model} is all it may leave open"),
        ('path = "/p"\nrecords = "$..x"\nanswers = "$"', r"'\$\.\.x' cannot be read at '\.\.x'"),
        ('path = "/p"\nrecords = ["$.a[*]", "$[*].b"]\nanswers = "$"', "may mean the same value"),
        ('path = "/p"\nrecords = "$"\nanswers = "$.a"\nlabels = "$.a.b"', r"'\$.a' and '\$.a.b' may mean the same"),
        ('path = "/p"\nrecord = "$"\nrecords = "$"\nanswers = "$"', "no setting 'record'"),
        ('path = "/p"\nrecords = 3\nanswers = "$"', "records is 3; it must be a list of words"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said(tmp_path, text, trouble):
    with pytest.raises(InputError, match=trouble):
        policy(text, tmp_path)


# Through the door ----------------------------------------------------------------------------------------------------


def test_a_server_of_ones_own_is_guarded_by_a_rule(tmp_path):
    asked_of_it = []

    async def predict(request) -> JSONResponse:
        asked_of_it.append(await request.json())
        rows = np.array([row["features"] for row in asked_of_it[-1]["data"]])
        scores = MODEL.predict_proba(rows)
        result = [{"probs": row.tolist(), "logits": np.log(row).tolist()} for row in scores]
        return JSONResponse({"result": result, "took": 0.0123})

    text = HEAD + 'path = "/predictions/{model}"\nrecords = "$.data[*].features"\nanswers = "$.result[*].probs"\n'
    (tmp_path / "guard.toml").write_text(text + "[outputs]\ntop_k = 1\ndecimals = 1\n[budget]\nlifetime = 3\n")
    app = Starlette(routes=[Route("/predictions/iris", predict, methods=["POST"])])
    guard = GuardMiddleware(app, tmp_path / "guard.toml", say=lambda words: None)

    async def all_of_it() -> list[httpx.Response]:
        transport = httpx.ASGITransport(guard)
        async with httpx.AsyncClient(transport=transport, base_url="http://guard") as client:
            good = {"data": [{"features": row} for row in IRIS.data[:2].tolist()]}
            return [
                await client.post("/predictions/iris", json=content)
                for content in (good, good | {"explain": True}, good)
            ]

    answer, odd, late = asyncio.run(all_of_it())
    guard.store.close()
    inside = MODEL.predict_proba(IRIS.data[:2])
    left = np.where(inside == inside.max(axis=1, keepdims=True), np.round(inside, 1), 0)
    assert answer.json() == {"result": [{"probs": row} for row in left.tolist()]}
    assert (odd.status_code, late.status_code) == (400, 429)
    assert len(asked_of_it) == 1
