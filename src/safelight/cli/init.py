"""Write a commented safelight.toml."""

from __future__ import annotations

from pathlib import Path

from safelight.errors import InputError

TEMPLATE = """\
# Settings of one audit. Run it with: safelight audit

[target]
model = "{model}"                # a file, "module:function", "file.py:function", or a URL
# trusted = true                 # needed for pickle and joblib files: opening them runs their code
# protocol = "mlflow"            # for URLs: oip or mlflow; also auth_env, rate, timeout, input_name, output_name
# output = "probabilities"       # probabilities, logits (the default for torch) or labels

[data]
kind = "{kind}"                  # table or images
members = "{members}"            # what the model was trained on: a file; for images a folder with one folder a class
nonmembers = "{nonmembers}"      # the same kind of records, never trained on
# public = "public.csv"          # records of other people, which an attacker may hold
{label}
# sensitive = ["disease"]        # columns whose values are secrets
# person = "patient_id"          # who a row is about
split = "unknown"                # "random" if members and nonmembers were drawn at random from one pool
class_is_person = false          # true if each class is one person

# [recipe]                       # how the model is trained again; scikit-learn models are cloned without it
# train = "my_project.train:fit" # fit(records, seed) -> model

[threat]
access = "scores"                # label, scores, logits, gradients or weights
queries = 2000                   # what one attacker may send in one attack
# top_k = 3
# decimals = 2
knows = ["public", "recipe"]

[policy]
fail_on = "leak"                 # or "unclear"
alpha = 0.01                     # chance of any false alarm in the whole audit
tolerate = 0.0
look_for = 0.75                  # "no leak found" must have been able to see an attack right on this share of secrets

# [claim]                        # a promise of differential privacy, to hold against the coins
# epsilon = 8
# delta = 1e-5
# dp_sgd = [1.1, 0.01, 1000]     # where known: noise multiplier, sampling rate, steps

# [[accepted]]
# code = "V005"
# reason = "the classes are public"
# expires = 2027-05-01
"""

_LABEL = {
    True: "# label: images take it from the names of their folders",
    False: 'label = "income"                 # the column that the model predicts',
}


def init(path: Path = Path("safelight.toml"), *, images: bool = False, force: bool = False) -> int:
    """Write a commented safelight.toml to fill in.

    Args:
        path: where to write it.
        images: for a model that takes images.
        force: overwrite a file that is there.
    """
    if path.exists() and not force:
        raise InputError(f"{path} is there already; use --force to overwrite it.")
    content = TEMPLATE.format(
        model="model.onnx" if images else "model.skops",
        kind="images" if images else "table",
        members="train" if images else "train.csv",
        nonmembers="test" if images else "test.csv",
        label=_LABEL[images],
    )  # fmt: skip
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror}.") from error
    print(f"Wrote {path}. Next: fill it in, then safelight audit --config {path}")
    return 0
