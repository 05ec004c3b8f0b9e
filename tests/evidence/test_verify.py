"""Evidence that was touched anywhere does not hold, even where the hashes were made anew."""

import asyncio
import base64
import hashlib
import json
import zipfile
from contextlib import suppress
from datetime import timedelta

import pytest
from tests.conftest import new_database
from tests.evidence.conftest import KEY, NOON, OTHER, filled, frame

from hj212gw.errors import EvidenceError
from hj212gw.evidence import verify_evidence
from hj212gw.gateway.notes import Note
from hj212gw.protocol import Dialect, make_dialect
from hj212gw.protocol.dialects import SLUGS

MANIFEST, HASH = "manifest.json", "manifest.sha256"


async def export_once(dsn, path):
    """Export the day of an archive."""
    async with filled(dsn) as archive:
        return await archive.export(path)


@pytest.fixture(scope="module")
def kept(postgres_server_dsn, schema_template, tmp_path_factory):
    """What was exported, and the file's bytes: one for the tests that touch copies of it."""
    path = tmp_path_factory.mktemp("kept") / "evidence.zip"
    with new_database(postgres_server_dsn, schema_template) as dsn:
        export = asyncio.run(export_once(dsn, path))
    return export, path.read_bytes()


@pytest.fixture
def exported(kept, evidence):
    """What was exported of the day; `evidence` is a copy of it."""
    export, content = kept
    evidence.write_bytes(content)
    return export


def read(path):
    """Return the files inside by name."""
    with zipfile.ZipFile(path) as package:
        return {name: package.read(name) for name in package.namelist()}


def write(path, files):
    """Write them again."""
    with zipfile.ZipFile(path, "w") as package:
        for name, content in files.items():
            package.writestr(name, content)


def forge(path, change):
    """Change the files inside and nothing else."""
    files = read(path)
    change(files)
    write(path, files)


def forge_all(path, change):
    """Change the files inside and make the manifest and its hash anew, as a careful forger would."""
    files = read(path)
    change(files)
    manifest = json.loads(files[MANIFEST])
    for name, facts in manifest["files"].items():
        content = files[name]
        counted = len(content.splitlines()) - (0 if name.endswith(".jsonl") else 1)
        facts.update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content), rows=counted)
    files[MANIFEST] = json.dumps(manifest).encode()
    files[HASH] = f"{hashlib.sha256(files[MANIFEST]).hexdigest()}  {MANIFEST}\n".encode()
    write(path, files)


def problems(path, **options):
    """Return the kinds of what does not hold."""
    verdict = verify_evidence(path, **options)
    assert verdict.is_good == (not verdict.problems)
    return sorted({problem.partition(":")[0] for problem in verdict.problems})


def change_frame(edit):
    """Return a change of the first frame's document."""

    def change(files):
        first, _, rest = files["frames.jsonl"].partition(b"\n")
        document = json.loads(first)
        edit(document)
        files["frames.jsonl"] = json.dumps(document).encode() + b"\n" + rest

    return change


def replace(name, old, new, count=-1):
    """Return a change of one file's text."""

    def change(files):
        assert old in files[name]
        files[name] = files[name].replace(old, new, count)

    return change


def drop_row(name):
    """Return a change that takes the last row out."""

    def change(files):
        files[name] = b"".join(files[name].splitlines(keepends=True)[:-1])

    return change


def edit_raw(document):
    """Change one digit of a value in the frame's bytes."""
    raw = base64.b64decode(document["raw"])
    document["raw"] = base64.b64encode(raw.replace(b"-0.5", b"-0.4")).decode()


async def test_untouched_evidence_holds(exported, evidence):
    """And says what it counted."""
    verdict = verify_evidence(evidence, expected=exported.manifest_sha256)
    assert (verdict.problems, verdict.notes) == ([], [])
    assert verdict.counts == {"frames": 8, "encrypted": 0, "readings": 12, "history": 1, "entries": 4}


TOUCHES = [
    (change_frame(edit_raw), ["file changed", "frame", "reading"]),
    (drop_row("readings.csv"), ["file changed", "rows"]),
    (drop_row("frames.jsonl"), ["file changed", "reading", "rows"]),
    (replace("readings.csv", b"36.25", b"26.25"), ["file changed", "reading"]),
    (replace("rejects.csv", b"crc", b"cra"), ["file changed"]),
    (replace("registry/outlets.csv", b"E1", b"E2"), ["file changed"]),
    (replace("README.txt", b"SHA-256", b"SHA-255"), ["file changed"]),
    (lambda files: files.update({"extra.txt": b"me too"}), ["file added"]),
    (lambda files: files.pop("rejects.csv"), ["file missing"]),
    (lambda files: files.pop("readings.csv"), ["columns", "file missing", "rows"]),
    (replace(MANIFEST, b"WS-01", b"WS-02"), [MANIFEST]),
    (replace("chain.csv", b"packets", b"strays", 1), ["chain", "file changed"]),
]


@pytest.mark.parametrize(("change", "kinds"), TOUCHES)
async def test_touched_evidence_does_not_hold(exported, evidence, change, kinds):
    """Whatever was touched is named."""
    forge(evidence, change)
    assert problems(evidence) == kinds


FORGERIES = [
    (change_frame(edit_raw), ["frame", "reading"]),
    (change_frame(lambda document: document.update(received_at="2026-03-01T12:00:01+08:00")), ["frame", "reading"]),
    (change_frame(lambda document: document.update(peer="10.0.0.8:1")), ["frame", "reading"]),
    (change_frame(lambda document: document.update(digest="00")), ["frame", "reading"]),
    (change_frame(lambda document: document.update(st="31")), ["frame", "reading"]),
    (change_frame(lambda document: document.update(raw="?")), ["frame", "reading"]),
    (change_frame(lambda document: document.pop("peer")), ["frame", "reading"]),
    (drop_row("frames.jsonl"), ["reading"]),
    (replace("readings.csv", b"36.25", b"26.25"), ["reading"]),
    (replace("readings.csv", b"36.25", b"much"), ["reading"]),
    (replace("readings.csv", b"data_time", b"when", 1), ["columns", "rows"]),
    (replace("history.csv", b"35.5", b"25.5"), ["reading"]),
    (replace("readings.csv", b"2026-03-01T12:00:30", b"2026-03-01T12:00:31"), ["reading"]),
    (replace("chain.csv", b"packets", b"strays", 1), ["chain"]),
]


@pytest.mark.parametrize(("change", "kinds"), FORGERIES)
async def test_forged_evidence_does_not_hold(exported, evidence, change, kinds):
    """Its parts do not agree, and the manifest is not the one that was written down."""
    forge_all(evidence, change)
    assert problems(evidence) == kinds
    assert MANIFEST in problems(evidence, expected=exported.manifest_sha256)


@pytest.mark.parametrize("is_printed", [False, True])
async def test_encrypted_frames_need_the_key(archive, evidence, is_printed):
    """They are counted, and so are the rows that come from them; raw or printed, late ones too."""
    raw = frame(9, at=NOON.replace(hour=5), dialect=Dialect(keys=(KEY,)), is_printed=is_printed)
    await archive.write(raw, at=NOON + timedelta(days=1), note=Note("k1"))
    await archive.export(evidence)
    verdict = verify_evidence(evidence)
    assert verdict.problems == []
    assert verdict.counts["encrypted"] == 1
    assert [note[:2] for note in verdict.notes] == ["1 ", "2 "]
    forge(evidence, replace("frames.jsonl", base64.b64encode(raw)[:12], base64.b64encode(b"##x123456")))
    assert "frame" in problems(evidence)


@pytest.mark.parametrize("slug", SLUGS)
async def test_frames_of_every_dialect_hold(archive, evidence, slug):
    """By the dialect that the archive notes with them."""
    raws = [frame(n, at=NOON.replace(hour=5, second=n), dialect=make_dialect([slug])) for n in range(8)]
    await archive.write(*raws, note=Note("", (slug,)))
    await archive.export(evidence)
    verdict = verify_evidence(evidence)
    assert (verdict.problems, verdict.counts["readings"]) == ([], 28)


async def test_evidence_without_a_sealed_day_says_so(archive, evidence):
    """Nothing is wrong with it."""
    await archive.admin.execute("DELETE FROM hj212.day_digests")
    await archive.export(evidence)
    verdict = verify_evidence(evidence)
    assert verdict.is_good
    assert "sealed" in verdict.notes[0]


async def test_another_outlets_frame_does_not_pass(exported, evidence):
    """Many wrong rows are counted, the first are shown."""
    forge_all(evidence, replace("readings.csv", b"010000A8900016F000169DC0", OTHER.encode()))
    verdict = verify_evidence(evidence)
    assert len(verdict.problems) == 12
    extra = read(evidence)["readings.csv"].splitlines()[1] + b"\n"
    forge_all(evidence, lambda files: files.update({"readings.csv": files["readings.csv"] + extra * 20}))
    assert verify_evidence(evidence).problems[-1] == "reading: 12 more"


async def test_a_row_left_out_is_noted(exported, evidence):
    """The frames still give its reading, even where the manifest was made anew."""
    forge_all(evidence, drop_row("readings.csv"))
    assert verify_evidence(evidence).notes[0].startswith("1 readings that frames give")
    forge_all(evidence, lambda files: files.update({MANIFEST: files[MANIFEST].replace(b'"from"', b'"since"')}))
    assert verify_evidence(evidence).notes == []


async def test_what_is_no_evidence_is_an_error(exported, evidence, tmp_path):
    """Not a ZIP, a ZIP of something else, another version's."""
    other = tmp_path / "other.zip"
    other.write_bytes(b"PK nothing")
    with pytest.raises(EvidenceError, match="no whole ZIP"):
        verify_evidence(other)
    write(other, {"a": b""})
    with pytest.raises(EvidenceError, match="no evidence of hj212gw"):
        verify_evidence(other)
    for content, message in ((b"{", "cannot be read"), (b'{"format": "2"}', "not of the format")):
        write(other, {MANIFEST: content, HASH: b""})
        with pytest.raises(EvidenceError, match=message):
            verify_evidence(other)
    content = bytearray(evidence.read_bytes())
    content[evidence.stat().st_size // 2] ^= 255
    other.write_bytes(content)
    with suppress(EvidenceError):  # what was hit may be a name, and then it is no whole ZIP
        assert not verify_evidence(other).is_good
