"""A file that only claims to be evidence: what it holds was made to break whoever checks it."""

import json
import resource
import sys
import zipfile
from hashlib import sha256

import pytest
from tests.fuzz.seeds import evidence_files, make_evidence
from tests.support import run_cli

from hj212gw.errors import EvidenceError
from hj212gw.evidence import verify_evidence
from hj212gw.evidence.export import CHAIN, FRAMES, READINGS
from hj212gw.evidence.package import MANIFEST, MANIFEST_HASH

MB = 1 << 20


@pytest.fixture
def path(tmp_path):
    """Where the file stands."""
    return tmp_path / "claimed.zip"


def write(path, files, method=zipfile.ZIP_DEFLATED):
    """Write files into a ZIP."""
    with zipfile.ZipFile(path, "w", method) as package:
        for name, content in files.items():
            package.writestr(name, content)


def with_manifest(change):
    """Return good files whose manifest was changed and hashed anew."""
    files = make_evidence(evidence_files())
    manifest = json.loads(files[MANIFEST])
    change(manifest)
    files[MANIFEST] = json.dumps(manifest).encode()
    return {**files, MANIFEST_HASH: sha256(files[MANIFEST]).hexdigest().encode()}


def first_line(edit):
    """Return good files whose first frame's document was changed."""
    files = evidence_files()
    line, _, rest = files[FRAMES].partition(b"\n")
    document = json.loads(line)
    edit(document)
    return make_evidence({**files, FRAMES: json.dumps(document).encode() + b"\n" + rest})


def test_files_made_here_hold(path) -> None:
    """Else what follows would say nothing."""
    write(path, make_evidence(evidence_files()))
    verdict = verify_evidence(path)
    assert verdict.is_good, verdict.problems
    assert verdict.counts == {"frames": 2, "encrypted": 0, "readings": 2, "history": 0, "entries": 1}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("received_at", "0001-01-01T00:00:00+23:59"),
        ("received_at", "9999-12-31T23:59:59-23:59"),
        ("peer", "\ud800"),
        ("qn", 5),
        ("key_id", ["k"]),
        ("qn", "²"),
        ("warnings", {"a": 1}),
    ],
)
def test_a_frame_with_impossible_facts_is_a_problem(path, field, value) -> None:
    """And the rest is looked at all the same."""
    write(path, first_line(lambda document: document.update({field: value})))
    verdict = verify_evidence(path)
    assert verdict.counts["frames"] == 2
    assert any(problem.startswith("frame: line 1") for problem in verdict.problems) == (field != "warnings")


@pytest.mark.parametrize("files", [[], {READINGS: 1}, {READINGS: []}, "x", None])
def test_a_manifest_of_another_shape_is_a_problem(path, files) -> None:
    """It says nothing of the files that are there."""
    write(path, with_manifest(lambda manifest: manifest.update(files=files)))
    assert not verify_evidence(path).is_good


def test_nested_texts_are_refused(path) -> None:
    """However deep."""
    files = evidence_files()
    deep = b"[" * 500_000
    write(path, make_evidence({**files, FRAMES: deep + b"\n" + files[FRAMES]}))
    assert any("frame: line 1" in problem for problem in verify_evidence(path).problems)
    write(path, {**make_evidence(files), MANIFEST: deep})
    with pytest.raises(EvidenceError):
        verify_evidence(path)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "C:\\x", "\x1b]0;pwned\x07", "a\nb", "x" * 60_000])
def test_a_name_does_nothing(path, name) -> None:
    """Nothing is unpacked, and what is said of it is one bounded printable line."""
    write(path, {**make_evidence(evidence_files()), name: b"x"})
    verdict = verify_evidence(path)
    assert verdict.problems
    assert all(problem.isprintable() and len(problem) < 600 for problem in verdict.problems)


def test_many_files_are_counted_not_read(path) -> None:
    """A manifest may name one stretch of bytes a thousand times."""
    write(path, make_evidence({**evidence_files(), **{f"f{number}": b"x" for number in range(2000)}}))
    assert any("2004 files" in problem for problem in verify_evidence(path).problems)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_compressions_are_refused(path, method) -> None:
    """LZMA takes as much memory as its header says."""
    write(path, make_evidence(evidence_files()), method)
    with pytest.raises(EvidenceError, match="compressed"):
        verify_evidence(path)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        (READINGS, b"a"),
        (READINGS, b'"a\n",'),
        (READINGS, b",\n"),
        (FRAMES, b"["),
        (FRAMES, b"\n"),
        (CHAIN, b"0"),
        ("junk", b"\0"),
    ],
)
def test_a_bomb_takes_little_memory(path, name, unit) -> None:
    """64 MB of one character, or many rows of nothing."""
    files = evidence_files()
    head = files.get(name, b"")
    write(
        path, make_evidence({**files, name: head + unit * ((64 * MB if b"\n" not in unit else MB // 4) // len(unit))})
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    verify_evidence(path)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < 24 * MB


def test_repeated_links_take_little_memory(path) -> None:
    """A day's link, a hundred thousand times."""
    files = evidence_files()
    row = files[CHAIN].splitlines(keepends=True)[1]
    write(path, make_evidence({**files, CHAIN: files[CHAIN] + row * 100_000}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    verdict = verify_evidence(path)
    assert verdict.counts["entries"] == 100_001
    assert not verdict.is_good
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < 24 * MB


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_what_is_printed_of_it_does_nothing_to_a_terminal(path, options) -> None:
    """The manifest is whoever wrote it."""
    nasty = "\x1b[2J\x9b31m\ud800\u2028\u202e\0"
    write(path, with_manifest(lambda manifest: manifest.update(outlet=nasty, exported_by=nasty, **{nasty: nasty})))
    code, out, err = run_cli("evidence", "verify", path, *options)
    assert code == 0, err
    assert all(char.isprintable() or char == "\n" for char in out + err)
    if options:
        assert json.loads(out)["manifest"]["outlet"] == nasty


def test_python_is_not_asked_for_huge_numbers(path) -> None:
    """A number of a million digits is no number of rows."""
    limit = sys.get_int_max_str_digits()
    write(path, {**make_evidence(evidence_files()), MANIFEST: b'{"format": ' + b"9" * (limit + 1) + b"}"})
    with pytest.raises(EvidenceError):
        verify_evidence(path)
