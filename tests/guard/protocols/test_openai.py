"""Questions to a language model are read from a list of known fields, and its answers keep text and nothing else."""

import base64
import json
from contextlib import suppress

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safelight.defences.outputs.policy import OutputPolicy
from safelight.errors import InputError
from safelight.guard.policy import Extras, Outputs, parse_policy
from safelight.guard.protocols import readers
from safelight.guard.protocols.base import NotUnderstood, Streams
from safelight.guard.protocols.events import DONE, LONGEST
from safelight.guard.protocols.openai import Chat, Completions, Embeddings

JSON = {"content-type": "application/json"}
STRICT = Outputs()
OPEN = Outputs(allow=("n", "best_of", "echo", "logit_bias", "seed", "tokens"), embeddings=True)
USER = [{"role": "user", "content": "Who was treated?"}]
PLAIN = OutputPolicy()


def asked(speaks, content):
    return speaks.question(json.dumps(content).encode(), JSON, ())


def chat(outputs=STRICT, **more):
    return asked(Chat(outputs), {"model": "org/small-1.5:chat", "messages": USER, **more})


def completion(outputs=STRICT, **more):
    return asked(Completions(outputs), {"model": "m", "prompt": "The", **more})


def answered(speaks, question, content, defence=PLAIN):
    return speaks.answer(question, json.dumps(content).encode(), JSON, defence, ())


# Questions -----------------------------------------------------------------------------------------------------------


def test_a_question_is_written_anew_from_known_fields():
    question = chat(temperature=0.5, max_tokens=9, stop=["."], user="ward-3", prompt_cache_key="k", top_p=None)
    assert orjson.loads(question.body) == {
        "model": "org/small-1.5:chat", "messages": USER, "temperature": 0.5, "max_tokens": 9, "stop": ["."]
    }  # fmt: skip
    assert (question.model, question.records, question.streams) == ("org/small-1.5:chat", 1, False)
    assert question.prompts == ("Who was treated?",)
    assert question.x.shape == (1, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [("logprobs", True), ("top_logprobs", 20), ("prompt_logprobs", 5), ("seed", 7), ("return_token_ids", True)],
)
def test_what_asks_to_be_told_more_is_taken_out_or_refused(field, value):
    assert field not in orjson.loads(chat(**{field: value}).body)
    with pytest.raises(NotUnderstood, match=f"it asks for {field}, which is not allowed"):
        chat(Outputs(extras=Extras.REFUSE), **{field: value})
    assert chat(Outputs(extras=Extras.REFUSE), logprobs=False).records == 1
    with pytest.raises(NotUnderstood, match="asks for logprobs"):
        completion(Outputs(extras=Extras.REFUSE), logprobs=0)  # 0 still tells of the token that was drawn


@pytest.mark.parametrize(
    ("field", "value", "neutral"),
    [("n", 5, 1), ("best_of", 5, 1), ("echo", True, False), ("logit_bias", {"9": 100}, {})],
)
def test_what_changes_the_text_is_refused_unless_it_is_allowed(field, value, neutral):
    with pytest.raises(NotUnderstood, match=f"it asks for {field}, which is not allowed"):
        completion(**{field: value})
    assert field not in orjson.loads(completion(**{field: neutral}).body)
    assert orjson.loads(completion(OPEN, **{field: value}).body)[field] == value


def test_a_record_is_one_text_that_is_drawn():
    assert completion(OPEN, prompt=["a", "b", "c"], n=4).records == 12
    assert completion(OPEN, prompt=["a", "b"], n=2, best_of=5).records == 10
    assert completion(prompt=["a", "b", "c"]).records == 3
    assert asked(Embeddings(OPEN), {"input": ["a", "b"], "model": "e"}).records == 2
    assert completion(OPEN, prompt=[[1, 2], [3]]).prompts == ("1 2", "3")
    assert completion(OPEN, prompt=[1, 2]).prompts == ("1 2",)
    assert completion(suffix="end").prompts == ("The\nend",)
    assert orjson.loads(chat(OPEN, seed=3).body)["seed"] == 3
    for drawn in (129, 0, -1):
        with pytest.raises(NotUnderstood, match="must be 1 to 128"):
            completion(OPEN, n=drawn)


def test_messages_and_tools_pass_where_their_shape_is_known():
    schema = {"type": "object", "properties": {"town": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "weather", "description": "of a town", "parameters": schema}}
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Oslo"}'}}
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "Rain?"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "no"},
    ]
    more = {"tools": [tool], "tool_choice": "auto", "parallel_tool_calls": False, "reasoning_effort": "low",
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}}  # fmt: skip
    question = chat(messages=messages, **more)
    left = orjson.loads(question.body)
    del messages[2]["content"]
    assert left == {"model": "org/small-1.5:chat", "messages": messages, **more}
    assert all(words in question.prompts[0] for words in ("Be short.", "Rain?", "Oslo", "of a town"))


@pytest.mark.parametrize(
    "more",
    [
        {"guided_choice": ["yes", "no"]},
        {"structured_outputs": {"choice": ["a", "b"]}},
        {"vllm_xargs": {}},
        {"functions": []},
        {"modalities": ["audio"]},
        {"messages": []},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "admin", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x", "more": 1}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://10.0.0.1"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}
            ]
        },
        {"tools": [{"type": "code_interpreter"}]},
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        {"tool_choice": "any"},
        {"response_format": {"type": "grammar"}},
        {"stream": 1},
        {"stream": True, "stream_options": {"continuous_usage_stats": True}},
        {"temperature": "0"},
        {"temperature": True},
        {"max_tokens": 1.5},
        {"stop": [1]},
        {"n": True},
        {"n": "2"},
        {"logit_bias": {"5": "x"}},
        {"model": "../admin and more"},
        {"model": 3},
    ],
)
def test_what_the_guard_does_not_know_is_not_understood(more):
    for outputs in (STRICT, OPEN):
        with pytest.raises(NotUnderstood):
            chat(outputs, **more)


@pytest.mark.parametrize("prompt", [None, "", [], [""], 3, [1, 2], [[1]], ["a", 1], [True], {"a": 1}])
def test_a_prompt_is_text_unless_tokens_are_allowed(prompt):
    if prompt in ("", [""]):
        assert completion(prompt=prompt).records == 1
        return
    with pytest.raises(NotUnderstood, match="neither a text nor"):
        completion(prompt=prompt)


# Answers -------------------------------------------------------------------------------------------------------------

SAID = {
    "id": "cmpl-1", "object": "chat.completion", "created": 1800000000, "model": "m", "system_fingerprint": "fp_1",
    "prompt_logprobs": [None, {"5": {"logprob": -0.123}}], "kv_transfer_params": {}, "service_tier": "default",
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7,
              "prompt_tokens_details": {"cached_tokens": 2}},
    "choices": [{
        "index": 0, "finish_reason": "stop", "stop_reason": 13, "token_ids": [4, 5],
        "logprobs": {"content": [{"token": "No", "logprob": -0.51234, "top_logprobs": []}]},
        "message": {"role": "assistant", "content": "Nobody.", "refusal": None, "annotations": [], "reasoning": "-0.5"},
    }],
}  # fmt: skip


def test_an_answer_keeps_text_reason_and_counts():
    written = answered(Chat(STRICT), chat(), SAID)
    assert orjson.loads(written.body) == {
        "id": "cmpl-1", "object": "chat.completion", "created": 1800000000, "model": "m",
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None,
                     "message": {"role": "assistant", "content": "Nobody."}}],
    }  # fmt: skip
    assert written.texts == (("Who was treated?", "Nobody."),)
    assert np.isnan(written.raw).tolist() == [True]


def test_choices_belong_to_the_prompts_in_order():
    question = completion(OPEN, prompt=["a", "b"], n=2)
    found = [{"index": place, "text": f"t{place}", "finish_reason": "length"} for place in (3, 0, 2, 1)]
    written = answered(Completions(OPEN), question, {"choices": found})
    assert written.texts == (("a", "t0"), ("a", "t1"), ("b", "t2"), ("b", "t3"))


@pytest.mark.parametrize(
    "choices",
    [
        None,
        [],
        [{"index": 0, "text": "a"}, {"index": 1, "text": "b"}],
        [{"index": 1, "text": "a"}],
        [{"index": 0}],
        [{"index": 0, "text": ["a"]}],
        [{"index": 0, "text": "a", "finish_reason": -0.123}],
        [{"index": 0, "text": "a", "finish_reason": "logprob is -0.123"}],
        [{"index": True, "text": "a"}],
        ["a"],
    ],
)
def test_other_choices_than_were_asked_for_are_not_understood(choices):
    with pytest.raises(NotUnderstood):
        answered(Completions(STRICT), completion(), {"choices": choices})


def test_embeddings_leave_only_where_they_may_and_rounded():
    with pytest.raises(NotUnderstood, match="embeddings, which may not leave"):
        asked(Embeddings(STRICT), {"input": "a"})
    speaks, values = Embeddings(OPEN), [[0.123456, -0.5], [0.75, 0.25]]
    question = asked(speaks, {"input": ["a", "b"], "model": "e", "encoding_format": "base64", "user": "me"})
    assert orjson.loads(question.body) == {"input": ["a", "b"], "model": "e", "encoding_format": "float"}
    entries = [{"object": "embedding", "index": place, "embedding": values[place]} for place in (1, 0)]
    reply = {"object": "list", "data": entries, "model": "e", "usage": {"prompt_tokens": 2, "total_tokens": 2}}
    written = answered(speaks, question, reply, OutputPolicy(decimals=1))
    rows = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in orjson.loads(written.body)["data"]]
    assert np.array(rows) == pytest.approx(np.array([[0.1, -0.5], [0.8, 0.2]]))
    assert written.texts == (("a", ""), ("b", ""))
    plain = asked(speaks, {"input": ["a", "b"], "model": "e"})
    packed = [{**entry, "embedding": base64.b64encode(np.array(entry["embedding"], "<f4").tobytes()).decode()}
              for entry in entries]  # fmt: skip
    left = orjson.loads(answered(speaks, plain, {**reply, "data": packed}, OutputPolicy(decimals=2)).body)
    assert [row["embedding"] for row in left["data"]] == [[0.12, -0.5], [0.75, 0.25]]
    with pytest.raises(NotUnderstood, match="no label stands for"):
        answered(speaks, plain, reply, OutputPolicy(label_only=True))
    for data in (entries[:1], [entries[0]] * 2, [entries[0], {"index": 0, "embedding": [1.0]}], [{}, {}],
                 [entries[0], {"index": 0, "embedding": "??"}]):  # fmt: skip
        with pytest.raises(NotUnderstood):
            answered(speaks, plain, {**reply, "data": data})


# Streams -------------------------------------------------------------------------------------------------------------


def piece(content, index=0, **more):
    choice = {"index": index, "delta": {"content": content}, "finish_reason": None,
              "logprobs": {"content": [{"token": content, "logprob": -0.51234}]}}  # fmt: skip
    return b"data: " + orjson.dumps({"id": "1", "object": "x", "model": "m", "created": 1, "choices": [choice], **more})


def events(body: bytes) -> list:
    assert body.endswith(b"\n\n")
    return [orjson.loads(event.removeprefix(b"data: ")) if b"[DONE]" not in event else "[DONE]"
            for event in body.strip().split(b"\n\n") if event != b":"]  # fmt: skip


def streamed(*parts, **more):
    stream = Chat(OPEN).stream(chat(OPEN, stream=True, **more))
    return stream, b"".join([piece for part in parts for piece in stream.feed(part)] + list(stream.end()))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 7, 10**6])
def test_a_stream_is_read_whatever_its_parts_and_line_ends(end, size):
    body = b": hello\n\n" + piece("No") + b"\n\n" + piece("body.", usage=None) + b"\n\n" + DONE
    body = body.replace(b"\n", end)
    stream, left = streamed(*(body[at : at + size] for at in range(0, len(body), size)))
    assert b"0.51" not in left
    found = events(left)
    assert [event["choices"][0]["delta"]["content"] for event in found[:-1]] == ["No", "body."]
    assert found[0]["object"] == "chat.completion.chunk"
    assert found[-1] == "[DONE]"
    assert stream.done
    assert stream.written().texts == (("Who was treated?", "Nobody."),)


def test_choices_of_a_stream_are_told_apart():
    stream, _ = streamed(*(piece(word, place) + b"\n\n" for word, place in (("a", 0), ("b", 1), ("c", 0))), DONE, n=2)
    assert [said for _, said in stream.written().texts] == ["ac", "b"]


@pytest.mark.parametrize(
    "body",
    [
        b"data: {\n\n",
        b"data: [1]\n\n",
        b'data: {"error": {"message": "the row is 0.61"}}\n\n',
        b"text\n\n",
        b'{"choices": []}\n\n',
        piece("a", index=1) + b"\n\n",
        piece(["a"]) + b"\n\n",
        piece("a") + b"\n\n",  # and no end
        b"data: " + b"x" * (LONGEST + 1),
        b"data: x\n" * (LONGEST // 2),
        (piece("x" * 2**18) + b"\n\n") * 5 + DONE,
    ],
)
def test_a_stream_that_cannot_be_read_is_not_understood(body):
    with pytest.raises(NotUnderstood):
        streamed(body)


def test_what_comes_after_the_end_never_leaves():
    _, left = streamed(piece("a") + b"\n\n" + DONE + piece("b") + b"\n\n", b"no event at all", DONE)
    assert len(events(left)) == 2


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.sampled_from(["user", "a", "-1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([
                "role", "content", "type", "text", "function", "name", "arguments", "index", "message", "delta", "n",
                "tool_calls", "id", "logprobs", "top_logprobs", "embedding", "secret", "finish_reason",
            ]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)  # fmt: skip
fields = ["model", "messages", "prompt", "input", "n", "best_of", "logprobs", "logit_bias", "stream", "stream_options",
          "tools", "tool_choice", "response_format", "stop", "seed", "suffix", "secret", "dimensions",
          "encoding_format",
          "choices", "data", "usage", "created", "id", "object"]  # fmt: skip
KNOWN = {"model", "messages", "prompt", "input", "n", "best_of", "logit_bias", "stream", "stream_options", "tools",
         "echo", "tool_choice", "response_format", "stop", "seed", "suffix", "dimensions",
         "encoding_format"}  # fmt: skip
ALLOWED = {"id", "object", "created", "model", "choices", "usage", "data"}
some = st.dictionaries(st.sampled_from(fields), anything, max_size=5)


def leaves(content):
    if isinstance(content, dict):
        for name, value in content.items():
            yield name, value
            yield from leaves(value)
    elif isinstance(content, list):
        for value in content:
            yield from leaves(value)


@given(some, st.sampled_from([{}, {"messages": USER}, {"prompt": "a"}, {"input": ["a"]}]), some, anything)
@settings(max_examples=500, deadline=None)
def test_no_body_breaks_a_reader_and_nothing_unknown_goes_on(content, base, reply, choice):
    for outputs in (STRICT, OPEN):
        for speaks in (Chat(outputs), Completions(outputs), Embeddings(outputs)):
            for question in (content, content | base):
                with suppress(NotUnderstood):
                    read = asked(speaks, question)
                    onward = orjson.loads(read.body)
                    assert read.records >= 1
                    assert set(onward) <= KNOWN
                    assert "logprobs" not in onward
    for speaks, question in ((Chat(OPEN), chat()), (Completions(OPEN), completion())):
        for answer in (reply, reply | {"choices": [choice]}, reply | {"choices": [{"index": 0, "text": "", "message": choice, "delta": choice}]}):  # noqa: E501  # fmt: skip
            with suppress(NotUnderstood):
                left = orjson.loads(answered(speaks, question, answer).body)
                assert set(left) <= ALLOWED
                names = {name for name, value in leaves(left) if value is not None}
                assert not names & {"logprobs", "top_logprobs", "embedding", "secret"}
            with suppress(NotUnderstood):
                stream = speaks.stream(question)
                left = b"".join(stream.feed(b"data: " + orjson.dumps(answer) + b"\n\n"))
                assert b"secret" not in left
                assert b"top_logprobs" not in left


@given(st.lists(st.binary(max_size=30) | st.sampled_from([piece("a") + b"\n\n", DONE, b"data: ", b"\n", b"\r", b":"])))
@settings(max_examples=300, deadline=None)
def test_no_bytes_break_a_stream(parts):
    with suppress(NotUnderstood):
        stream, left = streamed(*parts)
        assert stream.done
        assert all(event == "[DONE]" or event["object"] == "chat.completion.chunk" for event in events(left))


# Policy --------------------------------------------------------------------------------------------------------------


def policy(text: str, tmp_path):
    import tomllib

    return parse_policy(
        tomllib.loads('[upstream]\nurl = "http://127.0.0.1:1"\nprotocol = "openai"\n' + text), tmp_path, "guard.toml"
    )


def test_the_policy_names_what_may_be_asked_for(tmp_path):
    speak = readers(policy('[outputs]\nallow = ["n"]\nextras = "refuse"\nembeddings = true\n', tmp_path))
    assert [each.asked("/v1/chat/completions") for each in speak] == ["", None, None]
    assert speak[2].asked("/v1/embeddings") == ""
    assert [isinstance(each, Streams) for each in speak] == [True, True, False]
    assert speak[0].described("/v1/models")
    assert not speak[0].described("/metrics")
    assert all(each.asked("/v1/chat/completions/") is None for each in speak)
    assert asked(speak[0], {"model": "anything", "messages": USER}).model == "anything"
    with pytest.raises(InputError, match=r"allow has 'logprobs'; it may list n, best_of, echo"):
        policy('[outputs]\nallow = ["logprobs"]\n', tmp_path)
    with pytest.raises(InputError, match="names is for other protocols"):
        policy('[outputs]\nnames = ["a"]\n', tmp_path)


def test_a_client_does_not_choose_by_which_name_it_is_counted():
    speaks = Chat(STRICT, "diag@champion")
    for named in ({"model": "diag"}, {"model": "diag@champion"}, {}):
        question = asked(speaks, {"messages": USER, **named})
        assert question.model == "diag@champion"
        assert orjson.loads(question.body) == {"messages": USER, **named}
    with pytest.raises(NotUnderstood, match="another model than the one that is served"):
        asked(speaks, {"messages": USER, "model": "other"})
