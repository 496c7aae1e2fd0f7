"""The model that a target was fine-tuned from, as a reference that nobody has to train."""

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest

import safelight as sl
from safelight.attacks.membership.references import references
from safelight.attacks.membership.rmia import Rmia
from safelight.cli.build import build
from safelight.cli.config import parse_config
from safelight.compute.shadows import ShadowPool
from safelight.data.records import Records
from safelight.errors import AccessDenied, InputError
from safelight.evidence import WhoWasIn
from safelight.runner.base_model import unfit
from safelight.targets.base import Images, Side, Target
from safelight.threat import Access, Knows, ThreatModel

torch = pytest.importorskip("torch")
spec = importlib.util.spec_from_file_location(
    "bench_base_reference", Path(__file__).parents[3] / "benchmarks" / "bench_base_reference.py"
)
assert spec is not None
assert spec.loader is not None
bench = importlib.util.module_from_spec(spec)
__import__("sys").modules[spec.name] = bench
spec.loader.exec_module(bench)

SMALL = Images((1, 2, 2))


def net(classes: int, **options: object) -> Target:
    torch.manual_seed(classes)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, classes))
    return Target.from_torch(module, SMALL, **options)


def records(count: int, classes: int = 3) -> Records:
    rng = np.random.default_rng(count)
    return Records.of(rng.random((count, 1, 2, 2), dtype=np.float32), np.arange(count) % classes)


def test_the_base_alone_tells_more_than_the_loss_and_nothing_of_others():
    """Ten seeds in `bench_base_reference`: AUC .625 +- .017 for the base, .540 +- .034 for the loss; null .504."""
    found = [bench.aucs(seed, 0.0, shadows=0) for seed in range(100, 105)]
    gain = np.array([row["M002, base alone"] - row["M001"] for row in found])
    assert gain.mean() > 0.04
    assert gain.mean() > 2 * gain.std(ddof=1) / np.sqrt(5)
    null = np.array([bench.aucs(seed, 0.0, null=True, shadows=0)["M002, base alone"] for seed in range(100, 105)])
    assert abs(null.mean() - 0.5) < 0.035


def test_it_stands_behind_the_shadows_and_never_saw_a_record():
    question, public, base = records(12), records(30), net(3)
    view = net(3).view(ThreatModel(decimals=2), Side(public, None, base.model))
    alone = references(view, question, 4, based=True)
    assert alone.answers.shape == (1, 42, 3)
    assert not alone.inside.any()
    exact = base.model.scores(np.concatenate([question.x, public.x]))
    assert np.array_equal(alone.answers[0], exact.round(2)), "what the door shortens is shortened here, too"
    pool = ShadowPool(bench.FineTuning(1, base.model.net))
    both = references(net(3).view(ThreatModel(), Side(public, pool, base.model)), question, 4, based=True)
    assert both.answers.shape == (5, 42, 3)
    assert both.inside[:4].any(axis=0).all()
    assert not both.inside[4].any()
    others = references(net(3).view(ThreatModel(), Side(public, pool, base.model)), question, 4)
    assert len(others.answers) == 4, "attacks that compare with models that saw the record do not take it"
    assert np.array_equal(others.answers, both.answers[:4])


def test_it_costs_no_query_and_online_needs_more():
    view = net(3).view(ThreatModel(queries=40), Side(records(30), None, net(3).model))
    Rmia().run(view, WhoWasIn(records(10)), np.random.default_rng(0))
    assert view.spent == 40
    with pytest.raises(InputError, match="online needs reference models trained on the records"):
        Rmia(online=True).run(
            net(3).view(ThreatModel(), Side(records(30), None, net(3).model)), WhoWasIn(records(10)),
            np.random.default_rng(0),
        )  # fmt: skip
    with pytest.raises(AccessDenied, match="a way to train reference models"):
        Rmia().run(net(3).view(ThreatModel(), Side(records(30))), WhoWasIn(records(10)), np.random.default_rng(0))


def test_what_cannot_be_compared_is_said():
    assert unfit(net(3), net(3)) == ""
    assert unfit(net(3, labels=["a", "b", "c"]), net(3)) == "", "numbers stand for any names"
    assert unfit(net(5), net(3)) == "it has 5 classes, and the audited model has 3"
    assert unfit(net(3, labels=list("abc")), net(3, labels=list("abd"))) == (
        "its classes have other names (a, b, c, ...) than those of the audited model"
    )
    other = Target.from_torch(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 3)), Images((1, 3, 3)))
    assert unfit(other, net(3)) == "it takes other records than the audited model"

    class Silent:
        access, classes, inputs = Access.LABEL, ("0", "1", "2"), SMALL

    assert unfit(Target("silent", Silent()), net(3)) == "it gives no class scores"


def audited(base: Target | None, knows: frozenset[Knows] = frozenset(Knows)) -> sl.Report:
    splits = sl.Splits(records(60), records(61), records(40), sl.Split.RANDOM)
    return sl.audit(net(3), splits, ThreatModel(knows=knows), only="M002", base=base)


def test_an_audit_without_a_recipe_takes_it_and_says_so():
    assert not audited(None).findings
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = audited(net(3, name="public model"))
    assert [finding.about for finding in report.findings if finding.p is not None] == ["model"]
    assert report.description == "Sequential, fine-tuned from public model"
    assert not audited(net(3), frozenset({Knows.PUBLIC})).findings, "who does not know the recipe does not have it"


def test_an_audit_says_why_it_does_not_take_it():
    said = "The base model Sequential is not used as a reference: it has 5 classes, and the audited model has 3."
    with pytest.warns(UserWarning, match=said):
        report = audited(net(5))
    assert not report.findings
    assert report.description.endswith("fine-tuned from Sequential (not used as a reference)")


def test_the_settings_name_it_as_they_name_the_model(tmp_path):
    (tmp_path / "nets.py").write_text(
        "from torch.nn import Flatten, Linear, Sequential\n\n\n"
        "def target():\n    return Sequential(Flatten(), Linear(4, 3))\n\n\n"
        "def wide():\n    return Sequential(Flatten(), Linear(4, 7))\n"
    )
    for name, count in (("train", 12), ("test", 15)):
        np.savez(tmp_path / f"{name}.npz", x=records(count).x, y=records(count).y)
    settings = {"data": {"kind": "images", "members": "train.npz", "nonmembers": "test.npz"}}

    def built(base: str):
        target = {"model": "nets.py:target", "base": base}
        return build(parse_config({**settings, "target": target}, tmp_path, "safelight.toml"))

    assert built("nets.py:target").base.model.classes == ("0", "1", "2")
    assert len(built("nets.py:wide").base.model.classes) == 7, "it keeps its own classes, so that an audit can say so"
    with pytest.raises(InputError, match="name a file or a function, not an address"):
        built("https://example.org/model")
