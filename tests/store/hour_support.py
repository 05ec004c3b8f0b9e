"""Hour data of outlets, stored as a gateway stores it, and the aggregator that judges it."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hj212gw.assessment.aggregator import Aggregator, Plan
from hj212gw.assessment.rules import make_rules
from hj212gw.clock import Clock
from hj212gw.config_assessment import AssessmentSettings
from hj212gw.gateway.rows import make_rows, read_arrival
from hj212gw.protocol import encode_frame
from hj212gw.protocol.times import WIRE_ZONE, format_data_time, format_qn
from hj212gw.store.loggers import add_loggers
from hj212gw.store.rows import Batch
from hj212gw.store.writer import Writer

HOUR = timedelta(hours=1)
STILL = 1e-6  # seconds of a simulated clock in a real one


def local(text):
    """A moment of UTC+8."""
    return datetime.fromisoformat(text).replace(tzinfo=WIRE_ZONE)


def hour_frame(mn, hour, values, *, arrived=None, st="32"):
    """An hour's upload and its arrival: five minutes after the hour unless given."""
    arrived = arrived or hour + HOUR + timedelta(minutes=5)
    area = ";".join([f"DataTime={format_data_time(hour)}", *values])
    segment = f"QN={format_qn(arrived)};ST={st};CN=2061;PW=123456;MN={mn};Flag=5;CP=&&{area}&&"
    return encode_frame(segment.encode()), arrived


async def store(dsn, frames, *, is_known=True):
    """Store frames as a gateway's drain does; without `is_known` as of MNs that are not registered."""
    writer = Writer(dsn, uuid4())
    await writer.open(frames[0][1])
    mns = {frame.split(b"MN=")[1].split(b";")[0].decode() for frame, _ in frames}
    numbers = await add_loggers(writer.numbering, sorted(mns)) if is_known else {}
    packets = []
    for frame, arrived in frames:
        arrival = read_arrival(frame, arrived.astimezone(UTC), "10.0.0.7:1")
        packets.append(make_rows(arrival, logger_id=numbers.get(arrival.packet.mn)))
    await writer.write(Batch(packets, [], [], 0, 1, max(arrived for _, arrived in frames)))
    await writer.close()


async def aggregate(dsn, now, **changed):
    """Let the aggregator do what there is to do at a moment, with settings that differ."""
    rules = make_rules(AssessmentSettings(**changed))
    plan = Plan(rules, "city", 1.0, timedelta(seconds=1))
    return await Aggregator(dsn, plan, Clock(now, STILL)).work()
