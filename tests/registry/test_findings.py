"""Tests of findings: ordered and bounded."""

from hj212gw.registry import Finding, Findings, Level


def test_findings_are_bounded_by_level():
    """However many warnings there are, errors are kept; the rest is counted."""
    findings = Findings(limit=2)
    for line in range(1, 6):
        findings.add(Finding("a.csv", line, "mn", Level.WARNING, "odd"))
    findings.add(Finding("a.csv", 9, "mn", Level.ERROR, "wrong"))
    assert [finding.line for finding in findings.kept()] == [1, 2, 9]
    assert findings.count(Level.WARNING) == 5
    assert findings.unshown(Level.WARNING) == 3
    assert findings.unshown(Level.ERROR) == 0


def test_findings_are_in_order_of_lines():
    """Findings come file by file as the files were given, line by line."""
    findings = Findings()
    for file, line in (("b.csv", 3), ("a.csv", 2), ("b.csv", 1)):
        findings.add(Finding(file, line, "mn", Level.ERROR, "wrong"))
    assert [(finding.file, finding.line) for finding in findings.kept()] == [("b.csv", 1), ("b.csv", 3), ("a.csv", 2)]


def test_finding_as_a_line():
    """A finding reads `file:line: column: message`, a warning says that it is one."""
    assert str(Finding("a.csv", 2, "pw", Level.ERROR, "wrong")) == "a.csv:2: pw: wrong"
    assert str(Finding("a.csv", 2, "mn", Level.WARNING, "odd")) == "a.csv:2: mn: warning: odd"
