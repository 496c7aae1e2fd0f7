"""What the file itself holds, on every face: facts beside the findings, which they never change."""

from dataclasses import replace

import report_samples as samples

from safelight.report import captions, html, words
from safelight.report.markdown import markdown
from safelight.report.terminal import summary


def test_the_page_says_each_count_with_a_mark_and_a_sentence() -> None:
    report = samples.table_leak()
    page = html.page(report)
    section = page.partition('<h2 id="structure">')[2].partition("</section>")[0]
    assert section.startswith("What the file itself holds")
    assert captions.structure(report) in section
    for mark in ("▲ risk", "○ no risk", "– not known"):
        assert mark in section
    assert "Small leaves" in section
    assert "What &lt;Ours&gt; holds was not looked into." in section
    assert 'id="structure"' not in html.page(replace(report, structure=()))


def test_it_says_that_it_changes_no_verdict_and_who_can_read_it() -> None:
    report = samples.table_leak()
    text = captions.structure(report)
    assert text.startswith("1 risk in 3 counts. These are facts about the file, not tests")
    assert "they change no finding and no verdict" in text
    assert text.endswith("the attacker assumed in this audit does not hold it.")
    assert captions.structure(replace(report, threat=samples.WEIGHTS)).endswith("in this audit holds it.")
    assert words.opening(report) == words.opening(replace(report, structure=()))


def test_terminal_and_markdown_show_the_risks() -> None:
    report = samples.table_leak()
    lines = " ".join(summary(report).split())
    assert "File 1 risk in what the file itself holds. 700 of the 1,000 leaves" in lines
    quiet = replace(report, structure=tuple(item for item in report.structure if not item.risk))
    assert "File " not in summary(quiet)
    text = markdown(report)
    assert "## What the file itself holds" in text
    assert "- ▲ risk: 700 of the 1,000 leaves hold fewer than 10 training records." in text
    assert "- – not known: What &lt;Ours&gt; holds was not looked into." in text
