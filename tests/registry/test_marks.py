"""Marks in files: what they can be of, what is new, and what goes on of those that stand."""

from datetime import timedelta

import pytest

from hj212gw.registry import Findings, InputFile, read_files
from hj212gw.registry.cells import parse_moment
from hj212gw.registry.markkinds import KINDS_OF_MARKS, STATES, earlier_states, refuse_change, refuse_state
from hj212gw.registry.marks import Listing, Word, plan_marks
from hj212gw.store.marks import StoredMark

NOW = parse_moment("2026-05-01")
ENTERPRISES = "enterprise,name,credit_code,county,level,valid_from,valid_to\ne1,x,,,other,,"
OUTLETS = "outlet,enterprise,name,medium,valid_from,valid_to\no1,e1,x,gas,,\nbare,e1,x,gas,,"
BASE = (
    "outlet,factor,fields,valid_from,valid_to\n"
    "o1,a21026,3,2026-01-01,2026-04-01\no1,a21026,3,2026-04-01,2027-01-01\no1,a21002,3,2026-02-01,2026-03-01"
)
HEADER = "outlet,factor,kind,from,to,recorded_at,value,source,author,note,state,decided_by,decided_at,proof_sha256"
REGISTRY = (ENTERPRISES, OUTLETS, BASE)
DIGEST = "0a" * 32


def make_files(*lines, registry=REGISTRY):
    """Files of a registry and of marks."""
    contents = [*registry, "\n".join([HEADER, *lines])]
    return [InputFile(f"{index}.csv", content.encode()) for index, content in enumerate(contents)]


def mark(**cells):
    """A line of a mark."""
    named = dict.fromkeys(HEADER.split(","), "") | {"outlet": "o1", "factor": "a21026", "kind": "device"}
    return ",".join((named | {"from": "2026-03-01T08:00", "to": "2026-03-01T09:00"} | cells).values())


def stored(**values):
    """A mark of the database, like that of `mark`."""
    start = parse_moment("2026-03-01T08:00")
    return StoredMark(
        7, "o1", "a21026", "device", start, start + timedelta(hours=1), start + timedelta(hours=1), None, None,
        "enterprise", "local", "wang", start, "declared", None, None, None, None, None, None,
    )._replace(**values)  # fmt: skip


def plan(*lines, held=(), registry=REGISTRY, is_complete=True):
    """What an import makes of marks, and the findings of it."""
    findings = Findings()
    rows = read_files(make_files(*lines, registry=registry), findings)
    listing = Listing(rows.entries, rows, is_complete=is_complete)
    changes = plan_marks(rows, listing, list(held), Word("importer", NOW), findings)
    return changes, [
        f"{finding.line} {finding.column} {finding.level} {finding.message}" for finding in findings.kept()
    ]


# cells of a mark, column and text of the error
WRONG = [
    (
        {"outlet": "o9"},
        "outlet",
        "expected an id that stands among the outlets in these files or the database, came 'o9'",
    ),
    ({"factor": "a34013"}, "factor", "a34013 of 'o1' is not on it"),
    ({"outlet": "bare", "factor": "*"}, "factor", "no factor of 'bare' is on it"),
    ({"from": "2025-12-31T23:00"}, "from", "a21026 of 'o1' is not on it at 2025-12-31T23:00"),
    ({"to": "2027-01-01T00:01"}, "to", "a21026 of 'o1' is not on it at 2027-01-01"),
    ({"from": "2027-01-01", "to": ""}, "from", "is not on it at 2027-01-01"),
    ({"factor": "*", "from": "2025-12-31", "to": "2026-01-02"}, "from", "no factor of 'o1' is on it at 2025-12-31"),
    ({"recorded_at": "2026-05-01T00:01"}, "recorded_at", "expected a moment that is past, came 2026-05-01T00:01"),
    (
        {"state": "void", "decided_by": "li", "decided_at": "2027-01-01"},
        "decided_at",
        "expected a moment that is past",
    ),
    ({"state": "accepted", "decided_by": "IMPORTER "}, "state", "'IMPORTER' is its author"),
    ({"state": "rejected", "author": "wang", "decided_by": "Wang"}, "state", "'Wang' is its author"),
]


@pytest.mark.parametrize(("cells", "column", "message"), WRONG)
def test_wrong_mark_is_named(cells, column, message):
    """By line, column and reason; the good line beside it has none."""
    _, (finding,) = plan(mark(kind="interruption"), mark(**cells))
    assert finding.startswith(f"3 {column} error expected ")
    assert message in finding


GOOD = [
    {},
    {"factor": "*"},
    {"to": ""},
    {"from": "2026-01-01", "to": "2027-01-01"},  # two rows of the base list, one after the other
    {"factor": "a21002", "from": "2026-02-28T23:59", "to": "2026-03-01"},
    {"factor": "a21002", "from": "2026-02-28T23:59", "to": ""},
    {"recorded_at": "2026-05-01"},
    {"state": "accepted", "decided_by": "li"},
    {"state": "void", "decided_by": "wang", "author": "wang"},
    {"state": "accepted", "author": "zk", "decided_by": "zk", "source": "national"},
    {"proof_sha256": DIGEST.upper()},
]


@pytest.mark.parametrize("cells", GOOD)
def test_good_mark_is_new(cells):
    """And stands as new only once: the same file again changes nothing."""
    changes, findings = plan(mark(**cells))
    assert findings == []
    ((new, events),) = changes.added
    assert (new.author, new.source) == (cells.get("author", "importer"), cells.get("source", "enterprise"))
    assert new.recorded_at == NOW
    held = stored(
        factor=new.factor, from_at=new.from_at, to_at=new.to_at, declared_to=new.to_at, author=new.author,
        source=new.source, recorded_at=new.recorded_at,
    )  # fmt: skip
    for event in events:
        done = {"proof_sha256": event.proof_sha256} if event.event == "proof" else {"state": event.event}
        held = held._replace(**done)
    again, findings = plan(mark(**cells), held=[held])
    assert (again.added, again.continued, again.unchanged, findings) == ([], [], 1, [])


def test_repeat_in_a_file_is_an_error():
    """With the line of the first; another end or another moment of recording is another mark."""
    _, findings = plan(mark(), mark(to="2026-03-01T10:00"), mark(recorded_at="2026-04-01"), mark(note="again"))
    assert findings == ["5 outlet error expected each mark once, came the same one as in 3.csv:2"]


@pytest.mark.parametrize(
    ("registry", "level"),
    [((), "warning"), ((ENTERPRISES, OUTLETS), "warning"), ((ENTERPRISES, OUTLETS, BASE), "error")],
)
def test_files_alone_are_sure_of_what_they_hold(registry, level):
    """Without a database, what other files would hold is a warning."""
    _, (finding,) = plan(mark(factor="a34013"), registry=registry, is_complete=False)
    assert f" {level} " in finding
    assert "no database was asked" in finding


def test_broken_lines_are_not_judged_twice():
    """A mark of an outlet whose own line is wrong is right."""
    broken = OUTLETS.replace("o1,e1,x,gas", "o1,e1,x,air")
    _, findings = plan(mark(), registry=(ENTERPRISES, broken, BASE))
    assert [finding.split()[1] for finding in findings] == ["medium"]


ACCEPTED = {"state": "accepted", "decided_by": "li"}
# what stands, cells of a line, what it adds
GOES_ON = [
    ({"to_at": None, "declared_to": None}, {}, ["ended"]),
    ({"to_at": None, "declared_to": None}, {**ACCEPTED, "proof_sha256": DIGEST}, ["ended", "accepted", "proof"]),
    ({"to_at": None, "declared_to": None}, {"to": ""}, []),
    ({"declared_to": None}, {"to": ""}, []),  # it was ended here since
    ({}, ACCEPTED, ["accepted"]),
    ({"state": "accepted"}, {"state": "void", "decided_by": "li"}, ["void"]),
    ({"state": "accepted"}, {}, []),
    ({"state": "void"}, ACCEPTED, []),  # it was accepted before it was void
    ({"state": "void"}, {"proof_sha256": DIGEST}, []),
    ({"proof_sha256": DIGEST}, {"proof_sha256": DIGEST}, []),
    ({"source": "national"}, {"source": "national", "state": "accepted", "decided_by": "wang"}, ["accepted"]),
    ({}, {"recorded_at": "2026-03-01T08:00"}, []),
]


@pytest.mark.parametrize(("held", "cells", "events"), GOES_ON)
def test_mark_goes_on(held, cells, events):
    """A line may add what became of a mark; nothing of it is replaced."""
    changes, findings = plan(mark(**cells), held=[stored(**held)])
    assert findings == []
    assert changes.added == []
    assert [(number, [event.event for event in added]) for number, added in changes.continued] == (
        [(7, events)] if events else []
    )


# what stands, cells of a line, column and text of the finding
STAYS = [
    ({"state": "rejected"}, ACCEPTED, "state error", "it is rejected: that is final"),
    ({"state": "accepted"}, {"state": "rejected", "decided_by": "li"}, "state error", "it can only become void"),
    ({"state": "accepted"}, {"state": "void", "decided_by": "wang"}, "state error", "'wang' is its author"),
    ({}, {"state": "accepted", "decided_by": "wang"}, "state error", "'wang' is its author"),
    ({"source": "national"}, ACCEPTED, "source error", "mark 7 is of the national platform"),
    ({}, {"author": "zhao"}, "author warning", "mark 7 stands with 'wang' and stays so"),
    ({}, {"note": "x"}, "note warning", "mark 7 stands with nothing and stays so"),
    ({}, {"source": "city"}, "source warning", "mark 7 stands with 'enterprise'"),
    ({"proof_sha256": DIGEST}, {"proof_sha256": "0b" * 32}, "proof_sha256 warning", "mark 7 has another proof"),
]


@pytest.mark.parametrize(("held", "cells", "column", "message"), STAYS)
def test_mark_stays_as_it_is(held, cells, column, message):
    """What cannot become of it is an error, what differs otherwise a warning."""
    changes, (finding,) = plan(mark(**cells), held=[stored(**held)])
    assert finding.startswith(f"2 {column} ")
    assert message in finding
    assert changes.added == []


@pytest.mark.parametrize(
    ("held", "cells"),
    [
        ({"value": 3.0}, {}),
        ({"recorded_at": NOW}, {"recorded_at": "2026-03-01T08:00"}),
        ({}, {"to": "2026-03-01T09:01"}),
        ({"to_at": None, "declared_to": None, "state": "void"}, {}),  # a void mark is not ended
    ],
)
def test_other_mark_is_new(held, cells):
    """Marks that say something else stand beside each other."""
    changes, findings = plan(mark(**cells), held=[stored(**held)])
    assert (len(changes.added), changes.continued, findings) == (1, [], [])


def test_each_line_finds_its_own_mark():
    """Two marks that differ by their recording alone are found by two lines, in either order."""
    held = [stored(mark_id=1, recorded_at=parse_moment("2026-04-01")), stored(mark_id=2)]
    for lines in ([mark(), mark(recorded_at="2026-04-01")], [mark(recorded_at="2026-04-01"), mark()]):
        changes, findings = plan(*lines, held=held)
        assert (changes.added, changes.unchanged, findings) == ([], 2, [])


# state, wanted, by, what is said; the author is wang
DECISIONS = [
    ("declared", "accepted", "li", ""),
    ("declared", "rejected", "li", ""),
    ("declared", "void", "li", ""),
    ("declared", "void", "wang", ""),
    ("accepted", "void", "li", ""),
    ("declared", "accepted", " WANG", "is its author"),
    ("declared", "rejected", "wang", "is its author"),
    ("accepted", "void", "wang", "is its author"),
    ("accepted", "accepted", "li", "it can only become void"),
    ("accepted", "rejected", "li", "it can only become void"),
    *((state, wanted, "li", "that is final") for state in ("rejected", "void") for wanted in STATES[1:]),
]


@pytest.mark.parametrize(("state", "wanted", "by", "said"), DECISIONS)
def test_who_decides_what(state, wanted, by, said):
    """A reviewer is not the author; rejected and void are final."""
    refusal = refuse_state("wang", state, wanted, by)
    assert bool(refusal) == bool(said)
    assert said in refusal


@pytest.mark.parametrize(
    ("source", "origin", "state", "said"),
    [
        ("enterprise", "local", "declared", ""),
        ("province", "local", "accepted", ""),
        ("national", "local", "declared", "read-only here"),
        ("enterprise", "upstream:yn", "declared", "what upstream:yn recorded"),
        ("city", "local", "void", "that is final"),
    ],
)
def test_what_can_be_added(source, origin, state, said):
    """To marks of our own that are in force."""
    assert said in refuse_change(source, origin, state)
    assert bool(refuse_change(source, origin, state)) == bool(said)


def test_states_lead_forward():
    """No state comes before itself, and a voucher is asked of what takes hours out alone."""
    assert all(state not in earlier_states(state) for state in STATES)
    assert {kind.effect for kind in KINDS_OF_MARKS.values() if kind.needs_voucher} == {"stop", "not_responsible"}
