from __future__ import annotations

from dataclasses import replace

import pytest
import report_samples as samples

from safelight.measures.base import Measurement
from safelight.report import claims, numbers
from safelight.report.model import Curve
from safelight.threat import Access, Knows, ThreatModel
from safelight.verdict.finding import Finding, Status


def with_numbers(finding: Finding, *measured: Measurement) -> Finding:
    return replace(finding, measured=measured)


def test_this_model_and_a_model_trained_this_way_are_told_apart() -> None:
    recipe = claims.opening(samples.finding(about="recipe"))
    given = claims.opening(samples.finding(about="model", runs=0))
    assert recipe == "A model trained this way gives away secret values in the records it was trained on."
    assert given == "This model gives away secret values in the records it was trained on."
    assert claims.where(samples.finding(runs=1)).startswith("Measured on 1 model trained anew")
    assert claims.where(samples.finding(runs=3)).startswith("Measured on 3 models trained anew")
    assert claims.where(samples.membership()) == "Measured on the given model itself."


def test_every_claim_says_something_else() -> None:
    kinds = ("record", "person", "class", "attribute", "property", "link", "extraction", "model", "prior", "membership")
    assert len({claims.opening(samples.finding(claim=kind, unit="record")) for kind in kinds}) == len(kinds)


def test_record_person_class_and_prior_are_told_apart() -> None:
    said = {
        kind: claims.whole(samples.finding(claim=kind, unit="class"), samples.POLICY) for kind in ("class", "prior")
    }
    assert "A class is not a person" in said["class"]
    assert "Only the public prior was rebuilt" in said["prior"]
    assert "not about one certain record" in claims.boundary(samples.finding(claim="person"))
    assert "single records" in claims.boundary(samples.finding(claim="record"))
    assert claims.boundary(samples.silent(claim="person")) == ""


def test_membership_names_its_unit() -> None:
    assert "whether a record was" in claims.opening(samples.membership())
    assert "whether a person was" in claims.opening(samples.membership(unit="person"))


@pytest.mark.parametrize(
    ("status", "start"),
    [
        (Status.LEAK, "A model trained this way gives away"),
        (Status.UNCLEAR, "Unclear whether a model trained this way gives away"),
        (Status.NONE, "No leak found: this attack did not show that a model trained this way gives away"),
        (Status.NOT_RUN, "Not tested whether a model trained this way gives away"),
    ],
)
def test_the_status_decides_the_opening(status: Status, start: str) -> None:
    assert claims.opening(samples.finding(status=status)).startswith(start)


def test_coins_are_counted_against_luck() -> None:
    said = claims.numbers(samples.finding(measured=samples.coins(98, 100)))[0]
    assert "98 of 100 hidden secrets right; luck alone gives about 50" in said
    assert "between 93 and 99.8 in 100" in said
    assert "chose" not in said
    four = claims.numbers(samples.finding(measured=samples.coins(30, 40, k=4)))[0]
    assert "30 of 40 hidden secrets right; luck alone gives about 10" in four
    some = claims.numbers(samples.finding(measured=samples.coins(98, 100, secrets=300)))[0]
    assert "it chose which of the 300 secrets to guess" in some


def test_coins_without_a_rate_claim_no_luck_and_no_interval() -> None:
    bare = with_numbers(samples.finding(), Measurement("coins_correct", 7), Measurement("coins", 9))
    assert claims.numbers(bare) == ["The attack guessed 7 of 9 hidden secrets right."]


def test_members_recognised_carry_their_false_alarms() -> None:
    said = claims.numbers(samples.membership())
    assert "recognises 19 in 100 training records (very likely between 15 and 23 in 100)" in said[0]
    assert "1 in 100 others are wrongly accused" in said[0]
    assert "in 72 in 100 pairs (very likely between 68 and 77 in 100; luck gives 50)" in said[1]


def test_the_rarest_false_alarm_that_has_a_digit_is_spoken_of() -> None:
    auc = Measurement("auc", 0.6, 0.5, 0.7)
    coarse, fine = Measurement("tpr_at_fpr_0.01", 0.2, 0.1, 0.3), Measurement("tpr_at_fpr_0.001", 0.1, 0.05, 0.2)
    empty = replace(fine, value=None, low=None, high=None)
    assert "1 in 1,000 others" in claims.numbers(with_numbers(samples.membership(), auc, coarse, fine))[0]
    assert "1 in 100 others" in claims.numbers(with_numbers(samples.membership(), auc, coarse, empty))[0]
    none = claims.numbers(with_numbers(samples.membership(), empty))[0]
    assert none == "There are too few other records to measure at 1 in 1,000 false alarms."


def test_an_auc_carries_the_claim_where_no_member_is_recognised() -> None:
    auc = Measurement("auc", 0.724, 0.68, 0.77, None, 0.5)
    blind = Measurement("tpr_at_fpr_0.01", 0.01, 0.003, 0.025, 1 / 400, 0.01)
    assert numbers.headline_number(with_numbers(samples.membership(), auc, blind))[0] == "72 in 100"
    assert "picks the right one in 72 in 100" in claims.numbers(with_numbers(samples.membership(), auc, blind))[0]
    seeing = replace(blind, value=0.19, low=0.15)
    assert "recognises 19 in 100" in claims.numbers(with_numbers(samples.membership(), auc, seeing))[0]
    assert numbers.headline_number(with_numbers(samples.membership(), auc, seeing))[0] == "19 in 100"


def rank(value: float, low: float | None, control: float | None, *more: Measurement) -> Finding:
    measured = (Measurement("rank1", value, low, None if low is None else value + 0.1, 0.05, control), *more)
    return samples.finding(claim="person", unit="person", measured=measured)


def test_information_and_recognisable_pictures_are_two_claims() -> None:
    coins = samples.coins(58, 60)
    shift = Measurement("leak_z", 1.0, 0.5, 1.5)
    clear = claims.pictures(rank(0.4, 0.28, 0.05, shift, *coins))
    vague = claims.pictures(rank(0.08, 0.02, 0.05, shift, *coins))
    assert clear.endswith("recognisable pictures were rebuilt (to that program; a person may see less).")
    assert vague.endswith("information leaks, but no recognisable picture is shown to have been rebuilt.")
    assert "5 in 100 from a model that never saw them" in clear


def test_the_strongest_of_control_prior_and_start_has_to_be_beaten() -> None:
    prior, start = Measurement("rank1_prior", 0.35), Measurement("rank1_start", 0.05)
    assert claims.pictures(rank(0.4, 0.28, 0.05)).endswith(
        "recognisable pictures were rebuilt (to that program; a person may see less)."
    )
    beaten = claims.pictures(rank(0.4, 0.28, 0.05, prior, start))
    assert beaten.endswith("that may be chance, so no recognisable picture is shown to have been rebuilt.")
    assert "35 in 100 from public data alone, 5 in 100 from the start picture" in beaten
    worse = claims.pictures(rank(0.3, 0.2, 0.05, prior))
    assert "no more than from public data alone" in worse


def test_without_a_control_model_luck_is_the_control() -> None:
    assert "5 in 100 by luck" in claims.pictures(rank(0.4, 0.28, 0.05))
    assert numbers.headline_number(rank(0.4, 0.28, 0.05))[1].endswith("5 in 100 by luck")
    alone = claims.pictures(rank(0.4, 0.28, None))
    assert alone.endswith("without something to compare with, this is no proof of recognisable pictures.")


def test_a_recognised_person_is_not_a_guessed_one() -> None:
    assert "what people in its training data look like" in claims.opening(rank(0.4, 0.28, 0.05))
    assert "which people were in its training data" in claims.opening(rank(0.4, 0.28, 0.05, *samples.coins(9, 10)))


def test_the_gain_over_imputation_has_a_direction() -> None:
    gain = Measurement("gain", 0.12, 0.05, 0.19, control=0.0)
    given = with_numbers(samples.finding(about="model"), gain, Measurement("g_mean", 0.9, 0.8, 0.95, None, 0.6))
    assert claims.numbers(given) == [
        "Beyond guessing without the model, it tells 12 in 100 more secrets of training records than of others "
        "(very likely between +5 and +19 in 100).",
        "Its balanced hit rate (G-mean) is 0.90 on training records and 0.60 on others.",
    ]
    assert "3 in 100 fewer secrets" in claims.numbers(with_numbers(given, replace(gain, value=-0.03)))[0]
    assert numbers.headline_number(given) == ("+12 in 100", "secrets told from training records more than from others")


def test_the_difference_to_controls_has_a_direction() -> None:
    up = claims.numbers(with_numbers(samples.finding(), Measurement("leak_z", 2.4, 1.9, 2.9)))[0]
    down = claims.numbers(with_numbers(samples.finding(), Measurement("leak_z", -0.4)))[0]
    assert "2.40 standard steps above" in up
    assert "between 1.90 and 2.90" in up
    assert "0.40 standard steps below" in down


def test_an_attribute_auc_is_about_values_not_records() -> None:
    said = claims.numbers(with_numbers(samples.finding(), Measurement("auc", 0.97, control=0.58)))[0]
    assert said == (
        "Ranking secret values, it puts the right one of a pair first in 97 in 100 training records, "
        "and in 58 in 100 of others."
    )


def test_only_a_leak_has_a_size() -> None:
    said = claims.size(samples.finding())
    assert said == (
        "In the units of privacy theory the leak is at least mu = 1.02 or epsilon = 2.10; 1.21 is the most that this "
        "audit could have shown."
    )
    assert claims.size(samples.silent()) == ""
    assert claims.size(samples.membership()) == ""


def test_what_would_have_been_seen_follows_the_policy_and_the_power() -> None:
    assert claims.would_have_seen(samples.silent(), samples.POLICY) == (
        "Had this attack been right on 3 of 4 secrets, we would have seen it."
    )
    assert "9 of 10 secrets" in claims.would_have_seen(samples.silent(), {**samples.POLICY, "look_for": 0.9})
    assert claims.would_have_seen(samples.silent(), {**samples.POLICY, "look_for": 0.6}) == ""
    assert claims.would_have_seen(samples.finding(), samples.POLICY) == ""
    assert claims.would_have_seen(samples.unclear(), samples.POLICY) == ""
    assert claims.would_have_seen(samples.silent(), samples.POLICY, "A003").startswith("Had A003 been")


def test_what_would_have_been_seen_depends_on_the_kind_of_claim() -> None:
    quiet = samples.membership(status=Status.NONE)
    assert claims.would_have_seen(quiet, samples.POLICY) == (
        "Had this attack recognised 5 in 100 training records while wrongly accusing 1 in 100 others, "
        "we would have seen it."
    )
    record = samples.silent(claim="record", measured=(Measurement("auc", 0.51),))
    assert "told 3 of 4 pairs of records apart" in claims.would_have_seen(record, samples.POLICY)
    gain = samples.silent(measured=(Measurement("gain", 0.0),))
    assert "right on 3 of 4 secrets" in claims.would_have_seen(gain, samples.POLICY)
    pictures = samples.silent(claim="class", measured=(Measurement("rank1", 0.05),))
    assert "Had 3 of 4 rebuilt pictures been recognised" in claims.would_have_seen(pictures, samples.POLICY)
    assert claims.would_have_seen(samples.silent(measured=(Measurement("bits", 1.0),)), samples.POLICY) == ""


def test_an_unclear_finding_names_what_would_settle_it() -> None:
    assert "57 guesses (3 runs) would settle it" in claims.whole(samples.unclear(), samples.POLICY)


def test_a_reason_that_the_numbers_say_better_is_not_said_twice() -> None:
    assert "Right on 98 of 100" not in claims.whole(samples.finding(), samples.POLICY)
    assert "Right on 98 of 100" in claims.whole(samples.finding(measured=()), samples.POLICY)


def test_a_finding_that_was_not_run_says_why_and_nothing_else() -> None:
    said = claims.whole(samples.not_run(), samples.POLICY)
    assert said.endswith("Why: It needs the weights and this attacker sees scores.")
    assert claims.limits(samples.not_run(), samples.POLICY) == ""


def test_acceptance_is_visible() -> None:
    assert claims.accepted(samples.finding()) == ""
    accepted = samples.finding(accepted="known, ends in May")
    assert claims.whole(accepted, samples.POLICY).endswith("Accepted by the owner: Known, ends in May.")


@pytest.mark.parametrize(
    ("threat", "words"),
    [
        (ThreatModel(Access.LABEL, queries=1), "sees only the name of the class, may send 1 query"),
        (ThreatModel(Access.SCORES), "sees class scores, may send any number of queries"),
        (
            ThreatModel(Access.SCORES, top_k=3, decimals=2),
            "sees class scores (only the 3 largest, rounded to 2 decimals)",
        ),
        (ThreatModel(Access.LOGITS), "sees raw class scores (logits)"),
        (ThreatModel(Access.GRADIENTS), "sees gradients"),
        (ThreatModel(Access.WEIGHTS, queries=5, knows=frozenset()), "holds the whole model, with its weights."),
        (ThreatModel(Access.WEIGHTS, knows=frozenset({Knows.PUBLIC})), "holds public data of the same kind."),
        (ThreatModel(Access.WEIGHTS, knows=frozenset({Knows.RECIPE})), "knows how the model is trained."),
    ],
)
def test_the_attacker_is_described_by_what_it_can_do(threat: ThreatModel, words: str) -> None:
    assert words in claims.attacker(threat)


def test_queries_fall_on_hidden_secrets_not_on_guesses() -> None:
    assert numbers.per_secret(samples.finding(runs=1)) == pytest.approx(2000 / 300)
    assert numbers.per_secret(samples.finding(runs=3)) == pytest.approx(3 * 2000 / 300)
    untold = samples.finding(measured=samples.coins(98, 100))
    assert numbers.per_secret(untold) is None
    assert numbers.per_secret(untold, 400) == 5.0
    assert numbers.per_secret(samples.finding(threat=samples.WEIGHTS)) is None
    assert numbers.per_secret(samples.finding(threat=ThreatModel(Access.SCORES))) is None
    assert numbers.per_secret(samples.membership()) is None


def test_a_curve_finds_its_own_finding() -> None:
    people = samples.finding(code="V001", claim="person", measured=samples.coins(18, 20))
    photos = samples.finding(code="V001", claim="record", measured=samples.coins(70, 100))
    quarters = samples.finding(code="V001", claim="record", measured=samples.coins(18, 20, k=4))
    found = numbers.finding_of((people, photos, quarters), Curve("V001", (1, 5), (60, 70), 100, 2))
    assert found is photos
    assert numbers.finding_of((people, photos), Curve("V001", (1, 5), (11, 18), 20, 2)) is people
    assert numbers.finding_of((people, quarters), Curve("V001", (1,), (18,), 20, 4)) is quarters
    assert numbers.finding_of((people,), Curve("V002", (1,), (18,), 20, 2)) is None
