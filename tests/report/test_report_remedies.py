"""What defences did, in the report: written, read, and shown as text that cannot become markup."""

from dataclasses import replace

import report_samples as samples
from jsonschema import validate

from safelight.report.document import read, schema, to_document
from safelight.report.markdown import markdown
from safelight.report.model import Remedy


def test_remedies_are_written_read_and_shown_as_text(tmp_path):
    report = replace(
        samples.table_leak(),
        remedies=(
            Remedy("<b>dp-sgd</b>", "membership", "M001", 150, 300, 280, 300, "helps", 0.8, 0.9, 2.0, "Promise."),
            Remedy("label-only", "attribute", "", 0, 0, 99, 100, "not compared", None, None, None),
        ),
    )
    report.save(tmp_path)
    assert read(tmp_path / "report.json").remedies == report.remedies
    validate(to_document(report), schema())
    page = (tmp_path / "report.html").read_text()
    assert "<b>dp-sgd" not in page
    for words in ("2 defences were trained and attacked again", "280 of 300 right before", "no attack fits its door"):
        assert words in page
        assert words in markdown(report).replace("\\", "")
    assert "accuracy 80.0 % (90.0 % before), training 2.0 times as long. Promise." in page
