"""Packets a second of CPU time: frame, CRC, header and typed readings.

    python bench/codec.py [--packets 20000] [--rounds 9] [--json]

Three streams: 2011 with 8 factors (frames of 375 bytes), 2061 with 8 factors of Min, Avg, Max, Cou and Flag, and
one after the other in turn. Each is read in pieces of 64 KiB as a socket gives them; the best round counts. Beside
it stands what `json.loads` does with the same content as JSON, in the same run.
"""

import argparse
import gc
import json
import random
import time
from collections.abc import Callable

from hj212gw.protocol import FrameBuffer, encode_frame, parse_packet, parse_readings
from hj212gw.protocol.frames import Frame

FACTORS = ("w01018", "w21003", "w21011", "w21001", "w01001", "w01010", "w00000", "w01012")
LOGGERS = 600
PIECE_BYTES = 65536
REAL_TIME_BYTES = 375
GC_YOUNG_OBJECTS = 50_000  # as the gateway sets it


def make_values(rng: random.Random, command: str) -> list[tuple[str, dict[str, str]]]:
    """Make the values of eight factors; those of 2011 always have 45 characters together."""
    if command == "2011":
        decimals = (3, 3, 3, 3, 3, 3, 2, 1)
        return [
            (factor, {"Rtd": f"{rng.uniform(10, 99):.{places}f}"})
            for factor, places in zip(FACTORS, decimals, strict=True)
        ]
    return [
        (factor, {suffix: f"{rng.uniform(0, 99):.3f}" for suffix in ("Min", "Avg", "Max", "Cou")}) for factor in FACTORS
    ]


def make_packet(number: int, command: str, rng: random.Random) -> tuple[bytes, str]:
    """Make one frame, and the JSON text that says the same."""
    moment = f"20260301{number // 3600 % 24:02d}{number // 60 % 60:02d}{number % 60:02d}"
    data_time = moment if command == "2011" else f"{moment[:10]}0000"
    header = {
        "QN": f"{moment}{number % 1000:03d}",
        "ST": "32",
        "CN": command,
        "PW": "123456",
        "MN": f"010000A8900016F0{number % LOGGERS:08d}",
        "Flag": "5",
    }
    values = make_values(rng, command)
    groups = [",".join(f"{factor}-{s}={v}" for s, v in (*cells.items(), ("Flag", "N"))) for factor, cells in values]
    text = ";".join(f"{name}={value}" for name, value in header.items())
    frame = encode_frame(f"{text};CP=&&DataTime={data_time};{';'.join(groups)}&&".encode())
    assert command != "2011" or len(frame) == REAL_TIME_BYTES
    readings = [
        {"factor": factor, **{s.lower(): float(v) for s, v in cells.items()}, "flag": "N"} for factor, cells in values
    ]
    return frame, json.dumps({**header, "DataTime": data_time, "readings": readings})


def decode_stream(pieces: list[bytes]) -> int:
    """Read a stream as a gateway does, and count its readings."""
    buffer, count = FrameBuffer(), 0
    for piece in pieces:
        for event in buffer.feed(piece):
            assert isinstance(event, Frame)
            packet = parse_packet(event.segment)
            count += len(parse_readings(packet.cp).rows)
    return count


def load_all(texts: list[str]) -> int:
    """Read the JSON texts and count their readings."""
    return sum(len(json.loads(text)["readings"]) for text in texts)


def best_seconds(work: Callable[[], int], expected: int, rounds: int) -> float:
    """Return the CPU time of the fastest round."""
    times = []
    for _ in range(rounds):
        started = time.process_time()
        count = work()
        times.append(time.process_time() - started)
        assert count == expected
    return min(times)


def measure(name: str, commands: tuple[str, ...], packets: int, rounds: int) -> dict[str, float | str]:
    """Measure one stream."""
    rng = random.Random(1)
    made = [make_packet(number, commands[number % len(commands)], rng) for number in range(packets)]
    stream = b"".join(frame for frame, _ in made)
    texts = [text for _, text in made]
    pieces = [stream[start : start + PIECE_BYTES] for start in range(0, len(stream), PIECE_BYTES)]
    gc.collect()
    gc.freeze()
    expected = packets * len(FACTORS)
    seconds = best_seconds(lambda: decode_stream(pieces), expected, rounds)
    json_seconds = best_seconds(lambda: load_all(texts), expected, rounds)
    gc.unfreeze()
    return {
        "stream": name,
        "bytes": round(len(stream) / packets, 1),
        "packets_per_second": round(packets / seconds),
        "microseconds": round(seconds / packets * 1e6, 2),
        "json_loads_per_second": round(packets / json_seconds),
        "ratio_to_json_loads": round(json_seconds / seconds, 2),
    }


def main() -> None:
    """Measure the three streams and print a line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--packets", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    gc.set_threshold(GC_YOUNG_OBJECTS, 50, 100)
    streams = (("2011", ("2011",)), ("2061", ("2061",)), ("half and half", ("2011", "2061")))
    results = [measure(name, commands, arguments.packets, arguments.rounds) for name, commands in streams]
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    print(f"{'stream':<14}{'bytes':>7}{'packets/s':>11}{'µs':>8}{'json.loads/s':>14}{'ratio':>7}")
    for row in results:
        stream, size, rate, micros, json_rate, ratio = row.values()
        print(f"{stream:<14}{size:>7}{rate:>11,}{micros:>8}{json_rate:>14,}{ratio:>7}")


if __name__ == "__main__":
    main()
