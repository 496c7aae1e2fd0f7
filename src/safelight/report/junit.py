"""JUnit XML, for the test view of any build server: one test case a finding."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from safelight.report import claims
from safelight.report.model import Report
from safelight.report.require import failing
from safelight.verdict.finding import Status, Verdict

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(report: Report) -> str:
    """Return the XML: what the policy forbids is a failure, "not run" a skip, a broken or stopped audit an error."""
    failed = failing(report, str(report.policy.get("fail_on", "leak")))
    suite = ET.Element("testsuite", name=_printable(f"safelight {report.target}"))
    for finding in report.findings:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=_printable(f"safelight.{finding.code}"),
            name=_printable(f"{finding.title}: {finding.claim} ({finding.about})"),
        )
        text = _printable(claims.whole(finding, report.policy))
        if any(finding is item for item in failed):
            ET.SubElement(
                case, "failure", message=_printable(claims.opening(finding)), type=str(finding.status)
            ).text = text
        elif finding.status is Status.NOT_RUN:
            ET.SubElement(case, "skipped", message=_printable(finding.reason))
        else:
            ET.SubElement(case, "system-out").text = text
    if report.verdict in (Verdict.BROKEN, Verdict.INCOMPLETE):
        case = ET.SubElement(suite, "testcase", classname="safelight.audit", name="the audit came to its end")
        reason = _printable(report.broken or report.incomplete)
        ET.SubElement(case, "error", message=reason, type=str(report.verdict))
    for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(len(list(suite.iter(tag)))))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _printable(text: str) -> str:
    """Leave out the characters that XML cannot hold."""
    return _FORBIDDEN.sub("", text)
