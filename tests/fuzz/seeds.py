"""What the fuzzers begin with: the golden samples, in the shape each target takes.

    python -m tests.fuzz.seeds FOLDER

writes them as files, a folder for each target.
"""

import base64
import json
import sys
import zipfile
from collections.abc import Iterator
from datetime import date
from functools import cache
from hashlib import blake2b, sha256
from io import BytesIO
from pathlib import Path

from tests.fuzz.targets import ARRIVAL, KEYS, REASONS

from hj212gw.evidence.export import CHAIN, CHAIN_COLUMNS, FRAMES, HISTORY, READINGS
from hj212gw.evidence.package import FORMAT, MANIFEST, MANIFEST_HASH, format_moment, format_value
from hj212gw.evidence.verify import _NEEDED
from hj212gw.gateway.proxy import SIGNATURE
from hj212gw.protocol import (
    Dialect,
    Frame,
    FrameBuffer,
    encode_frame,
    encode_frame_as,
    make_dialect,
    parse_packet,
    parse_readings,
)
from hj212gw.protocol.dialects import SLUGS
from hj212gw.store.digests import FIRST_PREVIOUS, Entry, link, link_fields, packet_fingerprint

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
PLAIN_ENTRY = b"T"

_HOSTILE_AREAS = (
    b"DataTime=20260301080000;w01018-Rtd=1.1,w01018-Flag=N",
    b"DataTime=20260301080000;w01018-Rtd=1.1,w01018-Flag=N;w01018-Rtd=2,w01018-Flag=D",
    "DataTime=20260301080000;i11001-Info=//清洗;管路,重启&&##0099//".encode(),
    "DataTime=20260301080000;i11001-Info=//清洗//".encode("gbk"),
    b"DataTime=20260301080000;w01018-Rtd=NaN;w01018-Info=\x1b[31m\0\r\n",
    b"PolId=w01018;SB1-RS=1;SB1-RT=2",
    b"",
)  # fmt: skip


@cache
def golden_bytes() -> tuple[bytes, ...]:
    """Return the bytes of every golden packet."""
    found = []
    for name in ("samples.jsonl", "commands.jsonl"):
        for line in (GOLDEN / name).read_text(encoding="utf-8").rstrip("\n").split("\n"):
            document = json.loads(line)
            found.append(document["raw"].encode(document.get("enc", "utf-8"), "surrogateescape"))
    return tuple(found)


@cache
def golden_segments() -> tuple[bytes, ...]:
    """Return the data segments of the golden packets that are good frames."""
    events = [event for raw in golden_bytes() for event in _events(raw)]
    made = [b"QN=20260301080000123;ST=32;CN=2011;PW=123456;MN=M1;Flag=7;PNUM=2;PNO=1;CP=&&%b&&" % _HOSTILE_AREAS[0]]
    return (*(event.segment for event in events if isinstance(event, Frame)), *made)


def _events(raw: bytes) -> list:
    buffer = FrameBuffer()
    return [*buffer.feed(raw), *buffer.close()]


@cache
def spoken_frames() -> tuple[bytes, ...]:
    """Return a frame in each single dialect, with and without a key, as `targets.dialect_of` allows it."""
    frames = []
    for bit in range(len(SLUGS)):
        for key_count in range(3):
            segment = f"ST=32;CN=2011;PW=123456;MN=D{1 << bit:03d}-{key_count};Flag=5;CP=&&".encode()
            dialect = make_dialect([SLUGS[bit]], KEYS[:key_count])
            for area in _HOSTILE_AREAS[:3]:
                frames += [
                    encode_frame_as(segment + area + b"&&", each, is_printed=printed)
                    for each in (dialect, Dialect(keys=KEYS[:key_count]))
                    for printed in (False, True)[: 1 + bool(key_count)]
                ]
    return tuple(dict.fromkeys(frames))


def _areas() -> Iterator[bytes]:
    for segment in golden_segments():
        yield segment.partition(b"CP=&&")[2].removesuffix(b"&&")
    yield from _HOSTILE_AREAS


def evidence_files() -> dict[str, bytes]:
    """Return the files of evidence that hold."""
    segments = [
        f"QN=2026030108000{second}000;ST=32;CN=2011;PW=123456;MN=M1;Flag=5;CP=&&".encode() + _HOSTILE_AREAS[0] + b"&&"
        for second in range(2)
    ]
    lines, rows = [], [",".join(_NEEDED)]
    for raw in map(encode_frame, segments):
        packet = parse_packet(raw[6:-6])
        texts = ("10.0.0.7:4001", "", packet.mn, packet.cn, packet.qn)
        document = {"received_at": format_moment(ARRIVAL), "peer": texts[0], "mn": packet.mn, "st": packet.st}
        document |= {"cn": packet.cn, "qn": packet.qn, "state": "stored", "warnings": [], "key_id": None}
        document |= {"raw": base64.b64encode(raw).decode(), "digest": blake2b(raw[6:-6], digest_size=16).hexdigest()}
        document["fingerprint"] = packet_fingerprint(ARRIVAL, texts, raw).hex()
        lines.append(json.dumps(document))
        for row in parse_readings(packet.cp).rows:
            cells = {**row._asdict(), "mn": packet.mn, "st": packet.st, "cn": packet.cn, "qn": int(packet.qn)}
            rows.append(",".join(format_value(cells[name]) for name in _NEEDED))
    entry = Entry(1, date(2026, 3, 1), "packets", 2, 2, ARRIVAL, bytes(32), FIRST_PREVIOUS, b"", ARRIVAL)
    cells = [entry.seq, *link_fields(entry), link(entry).hex()]
    return {
        FRAMES: "\n".join(lines).encode() + b"\n",
        READINGS: "\n".join(rows).encode() + b"\n",
        HISTORY: rows[0].encode() + b"\n",
        CHAIN: f"{','.join(CHAIN_COLUMNS)}\n{','.join(map(format_value, cells))}\n".encode(),
    }


def make_evidence(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return files with a manifest of them and its hash."""
    facts = {
        name: {
            "sha256": sha256(content).hexdigest(),
            "bytes": len(content),
            "rows": content.count(b"\n") - name.endswith(".csv"),
        }
        for name, content in files.items()
    }
    document = {"format": FORMAT, "from": "2026-03-01T00:00:00+08:00", "to": "2026-03-02T00:00:00+08:00"}
    manifest = json.dumps({**document, "files": facts}).encode()
    return {**files, MANIFEST: manifest, MANIFEST_HASH: sha256(manifest).hexdigest().encode()}


def _evidence() -> Iterator[bytes]:
    files = make_evidence(evidence_files())
    yield PLAIN_ENTRY + b"\x1d".join(name.encode() + b"\x1e" + content for name, content in files.items())
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        stream = BytesIO()
        with zipfile.ZipFile(stream, "w", compression) as package:
            for name, content in files.items():
                package.writestr(zipfile.ZipInfo(name), content)
        yield b"Z" + stream.getvalue()


def make_seeds() -> dict[str, list[bytes]]:
    """Return the inputs each target begins with."""
    raws, spoken = golden_bytes(), spoken_frames()
    registry = sorted((ROOT / "config" / "registry").glob("*.csv"))
    tables = [path.read_bytes() for path in (*registry, ROOT / "config" / "keys.example.csv")]
    streams = [b"".join(raws[at : at + 3]) for at in range(0, len(raws), 3)]
    return {
        "frames": [b"\0\x07" + raw for raw in streams] + [b"\1\x05" + raw for raw in spoken] + [b"\3\1" + streams[0]],
        "packets": list(golden_segments()),
        "rows": list(golden_segments()),
        "areas": list(_areas()),
        "rejects": [bytes([at % len(REASONS)]) + raw for at, raw in enumerate((*raws, *spoken))],
        "csvfiles": [*tables, *(b"\xef\xbb\xbf" + table[:200] for table in tables)],
        "cipher": [KEYS[0].secret + area for area in _areas()],
        "opened": [bytes([at % 256]) + raw for at, raw in enumerate((*spoken, *raws))],
        "evidence": list(_evidence()),
        "proxy": [
            SIGNATURE + b"\x21\x11\0\x0c" + bytes(range(1, 13)) + b"##0001",
            SIGNATURE + b"\x21\x21\0\x24" + bytes(range(1, 37)),
            SIGNATURE + b"\x21\x11\0\x10" + bytes(range(1, 17)),
            SIGNATURE + b"\x20\0\0\0",
        ],
    }


def write_corpus(folder: Path) -> None:
    """Write every seed as a file of its own."""
    for name, seeds in make_seeds().items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            (folder / name / sha256(seed).hexdigest()[:16]).write_bytes(seed)


if __name__ == "__main__":
    write_corpus(Path(sys.argv[1]))
