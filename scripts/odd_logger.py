"""One more data logger for the demonstration: it does what field data loggers get wrong."""  # noqa: INP001

import socket
from datetime import UTC, datetime, timedelta

from hj212gw.protocol import encode_frame
from hj212gw.protocol.times import format_data_time, format_qn

MN = "530402A00000000000000DE0"
_REUSED = 4  # the packet that has the QN of the one before


def make_odd_frames(now: datetime) -> list[bytes]:
    """What field data loggers send beside plain readings, and what they get wrong; a broken CRC comes last.

    An hour value and its replacement, minute data, an equipment's state, the same QN with another state, an analyser's
    serial, a part of an upload whose other part never comes, and a clock set to 2040.
    """
    hour = format_data_time((now - timedelta(hours=1)).replace(minute=0, second=0, microsecond=0))
    minute = format_data_time((now - timedelta(minutes=20)).replace(second=0, microsecond=0))
    present = format_data_time(now)
    fields = [
        (
            "2061",
            "5",
            f"DataTime={hour};w01018-Cou=812.4,w01018-Min=20.1,w01018-Avg=22.6,w01018-Max=25.3,w01018-Flag=N",
        ),
        (
            "2061",
            "5",
            f"DataTime={hour};w01018-Cou=806.7,w01018-Min=20.1,w01018-Avg=22.4,w01018-Max=25.3,w01018-Flag=N",
        ),
        ("2051", "5", f"DataTime={minute};w01018-Min=21.0,w01018-Avg=22.0,w01018-Max=23.0,w01018-Flag=N"),
        ("2021", "5", f"DataTime={present};SB1-RS=1;SB2-RS=0"),
        ("2021", "5", f"DataTime={present};SB1-RS=1;SB2-RS=1"),
        ("3019", "5", f"DataTime={present};PolId=w01018;w01018-SN=010000A8900016F000169DC0"),
        ("2051", "7;PNUM=2;PNO=1", f"DataTime={minute};w21003-Avg=1.2,w21003-Flag=N"),
        ("2011", "5", "DataTime=20400101080000;w01018-Rtd=23.1,w01018-Flag=N"),
        ("2011", "5", f"DataTime={present};w01018-Rtd=23.4,w01018-Flag=N"),
    ]
    frames = []
    for number, (cn, flag, area) in enumerate(fields):
        qn = format_qn(now + timedelta(milliseconds=number - (number == _REUSED)))
        segment = f"QN={qn};ST=32;CN={cn};PW=123456;MN={MN};Flag={flag};CP=&&{area}&&"
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
