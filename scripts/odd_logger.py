"""One more data logger for the demonstration: it does what field data loggers get wrong."""  # noqa: INP001

import socket
from datetime import UTC, datetime, timedelta

from hj212gw.protocol import encode_frame
from hj212gw.protocol.times import format_data_time, format_qn

MN = "530402A00000000000000DE0"


def make_odd_frames(now: datetime) -> list[bytes]:
    """What field data loggers get wrong: a replaced hour value, a clock set to 2040, a broken CRC, in this order."""
    hour = (now - timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
    fields = [
        ("2061", format_data_time(hour), "w01018-Cou=812.4,w01018-Min=20.1,w01018-Avg=22.6,w01018-Max=25.3"),
        ("2061", format_data_time(hour), "w01018-Cou=806.7,w01018-Min=20.1,w01018-Avg=22.4,w01018-Max=25.3"),
        ("2011", "20400101080000", "w01018-Rtd=23.1"),
        ("2011", format_data_time(now), "w01018-Rtd=23.4"),
    ]
    frames = []
    for number, (cn, data_time, values) in enumerate(fields):
        qn = format_qn(now + timedelta(milliseconds=number))
        segment = f"QN={qn};ST=32;CN={cn};PW=123456;MN={MN};Flag=5;CP=&&DataTime={data_time};{values},w01018-Flag=N&&"
        frames.append(encode_frame(segment.encode()))
    frames[-1] = frames[-1].replace(b"w01018-Rtd=23.4", b"w01018-Rtd=93.4")
    return frames


def send_odd_frames(host: str, port: int) -> bool:
    """Send them, each good one after the answer to the one before; False when an answer does not come."""
    *good, broken = make_odd_frames(datetime.now(UTC))
    with socket.create_connection((host, port), timeout=30) as line:
        for frame in good:
            line.sendall(frame)
            if not line.recv(4096):
                return False
        line.sendall(broken)
    return True
