"""The forty faults: the table, the bytes each makes, and how a data logger behaves that has one."""

import json
import re

import pytest
from tests.simulators.support import (
    EPOCH_US,
    ManualClock,
    always,
    eventually,
    make_habits,
    make_profile,
    make_span,
    never,
    run_fleet,
    running_fleet,
    running_host,
)

from hj212gw.clock import from_us
from hj212gw.errors import ConfigError
from hj212gw.protocol import Edition, Frame, FrameBuffer, encode_answer, find_answer, parse_packet, parse_readings
from hj212gw.protocol.diagnosis import diagnose_packet, diagnose_reject
from hj212gw.protocol.dialects import CrcKind, make_dialect
from hj212sim.faults import FAULTS, Assigned, Outcome, assign_faults, find_faults
from hj212sim.fleet import is_complete
from hj212sim.presets import make_yuxi
from hj212sim.schedule import KNOWN_CNS, Rhythm, Schedule
from hj212sim.uploads import UploadWriter
from hj212sim.variants import add_faults, add_keys, write_truth

WAYS = [
    pytest.param(Assigned(fault, way), id=f"{fault.number}-{fault.slug}-{number}")
    for fault in FAULTS
    for number, way in enumerate(fault.ways)
]
ALL_SETS = [monitor.profile for monitor in make_yuxi(40, 120).monitors if monitor.profile.edition is Edition.V2017][:8]
# What may be said beside the word of the table: the same bytes are odd in more than one way.
BESIDE = {"37-value_missing": {"suffix_unknown"}}
HARMLESS = (6, 11, 29, 39)


def spoil(profile, assigned):
    """The same data logger with a fault."""
    rename = assigned.way.rename
    return profile._replace(mn=rename(profile.mn) if rename else profile.mn, fault=assigned)


def find(slug, way=0):
    """One way of one fault."""
    (fault,) = find_faults([slug])
    return Assigned(fault, fault.ways[way])


def write_all(profile, count=12):
    """Uploads of every command, as written."""
    writer = UploadWriter(profile, seed=1)
    rtd = Schedule(("2011",), profile.rhythm, start_us=EPOCH_US)
    uploads = [rtd.take() for _ in range(count)]
    uploads += [Schedule((cn,), profile.rhythm, start_us=EPOCH_US).take() for cn in KNOWN_CNS[1:]]
    return [(upload, writer.write(upload)) for upload in uploads]


def judge(data, dialect_of=None):
    """What the protocol core says of bytes: the outcome and every word of it."""
    buffer = FrameBuffer(dialect_of)
    words, reasons = set(), set()
    for event in (*buffer.feed(data), *buffer.close()):
        if isinstance(event, Frame):
            packet = parse_packet(event.segment)
            words |= {*event.warnings, *packet.warnings, *parse_readings(packet.cp).warnings}
        else:
            reasons.add(event.reason)
    return words, reasons


def diagnose(data, at):
    """What the protocol core would propose for bytes."""
    buffer = FrameBuffer()
    found = []
    for event in (*buffer.feed(data), *buffer.close()):
        if isinstance(event, Frame):
            packet = parse_packet(event.segment)
            found += diagnose_packet(packet, event.segment, (*event.warnings, *packet.warnings), at)
        else:
            found.append(diagnose_reject(event.raw, event.reason))
    return {(proposal.what, proposal.value) for proposal in found if proposal}


def test_the_table_is_whole():
    """Forty faults in the order of the list, each name once, each with a way, and four that are harmless."""
    assert [fault.number for fault in FAULTS] == list(range(1, 41))
    assert len({fault.slug for fault in FAULTS}) == 40
    assert all(fault.ways and 0 < fault.share <= 1 for fault in FAULTS)
    assert all(re.fullmatch("[a-z_]+", fault.slug) for fault in FAULTS)
    harmless = {fault.number for fault in FAULTS for way in fault.ways if way.proposal is None}
    assert harmless == set(HARMLESS)


@pytest.mark.parametrize("assigned", WAYS)
def test_the_protocol_core_says_what_the_table_says(assigned):
    """Every upload of every kind of outlet that has the fault is stored, or rejected, with the word of the table."""
    fault, way = assigned
    seen = 0
    for profile in ALL_SETS:
        for _, written in write_all(spoil(profile, assigned)):
            words, reasons = judge(written.frame + written.draft.echo)
            if way.outcome is Outcome.REJECTED:
                assert (words, reasons) == (set(), {way.word})
                seen += 1
                continue
            assert reasons == ({"noise"} if written.draft.before else set())
            allowed = {way.word} | BESIDE.get(f"{fault.number}-{way.word}", set()) if way.word else set()
            assert words <= allowed
            seen += way.word in words if way.word else 1
    assert seen >= 8 * 4  # of 8 * 15


@pytest.mark.parametrize(
    "assigned",
    # It takes two packets to tell that a QN came twice.
    [way for way in WAYS if way.values[0].way.proposal and way.values[0].fault.slug != "qn_repeated"],
)
def test_the_diagnosis_names_what_the_table_says(assigned):
    """Each kind of outlet's uploads lead to the expected proposal."""
    what, value = assigned.way.proposal
    for profile in ALL_SETS:
        found = [
            proposal
            for upload, written in write_all(spoil(profile, assigned))
            for proposal in diagnose(written.frame + written.draft.echo, from_us(upload.due_us))
        ]
        if what == "clock":
            assert any(kind == "clock" and abs(int(secs) / int(value) - 1) < 0.05 for kind, secs in found)
        else:
            assert (what, value) in found


def test_what_behaves_well_is_not_diagnosed():
    """No data logger of a city gets a proposal without a fault, those of 2005 aside: units, and a QN they cannot have."""
    for monitor in make_yuxi(40, 120).monitors:
        if monitor.profile.edition is Edition.V2005:
            continue
        found = {
            proposal
            for upload, written in write_all(monitor.profile)
            for proposal in diagnose(written.frame, from_us(upload.due_us))
        }
        assert found == set(), monitor.profile.mn


@pytest.mark.parametrize("assigned", WAYS)
def test_same_seed_same_bytes(assigned):
    """What a faulty data logger sends follows from the seed."""
    profile = spoil(ALL_SETS[0], assigned)
    assert write_all(profile) == write_all(profile)


@pytest.mark.parametrize("assigned", [way for way in WAYS if way.values[0].dialect])
def test_the_proposed_dialect_takes_the_uploads(assigned):
    """Under the dialect of the table every upload is a packet without any other word."""
    dialect = make_dialect([assigned.dialect])
    for profile in ALL_SETS:
        for _, written in write_all(spoil(profile, assigned)):
            words, reasons = judge(written.frame, lambda _mn: dialect)
            assert reasons == set()
            assert words - {"suffix_unknown"} == {assigned.dialect}


def test_repeated_qns_are_of_different_packets():
    """Two real-time uploads within two minutes share their QN and nothing else."""
    written = [one for _, one in write_all(spoil(make_profile(), find("qn_repeated")))[:12]]
    assert len({one.qn for one in written}) <= 4
    assert len({one.digest for one in written}) == 12


@pytest.mark.parametrize(("count", "faulty"), [(40, 40), (55, 55), (7, 7), (0, 0), (1000, 104)])
def test_faults_go_round_in_order(count, faulty):
    """As many as are asked for and can be; all forty where there is room, the first ones where there is not."""
    mns = [monitor.profile.mn for monitor in make_yuxi(40, 120).monitors if monitor.profile.edition is Edition.V2017]
    assigned = assign_faults(mns, count, FAULTS, seed=1)
    assert len(assigned) == min(faulty, len(mns))
    numbers = sorted(one.fault.number for one in assigned.values())
    assert sorted(set(numbers)) == list(range(1, min(len(assigned), 40) + 1))
    assert assigned == assign_faults(mns[::-1], count, FAULTS, seed=1)


def test_a_faulty_city_says_what_it_is(tmp_path):
    """The truth names each faulty data logger by the MN it sends; no two share one; the others are as they were."""
    city = make_yuxi()
    faulty = add_faults(city, 0.1, FAULTS, seed=1)
    lines = list(map(json.loads, write_truth(faulty, tmp_path / "truth").read_text().splitlines()))
    by_mn = {monitor.profile.mn: monitor.profile for monitor in faulty.monitors}
    assert (len(lines), len(by_mn)) == (60, 600)
    assert {line["number"] for line in lines} == set(range(1, 41))
    for line in lines:
        fault, way = by_mn[line["mn"]].fault
        assert (line["fault"], line["outcome"], line["word"]) == (fault.slug, way.outcome, way.word)
        assert (line["what"], line["value"]) == (way.proposal or (None, None))
        assert (line["number"] in HARMLESS) == (line["what"] is None)
    well = [monitor for monitor in faulty.monitors if monitor.profile.fault is None]
    assert len(well) == 540
    assert set(well) <= set(city.monitors)


def test_unknown_faults_are_refused():
    """The message names the one that is not there and those that are."""
    with pytest.raises(ConfigError, match=r"crc_wrong: expected one of crc_modbus "):
        find_faults(["no_crlf", "crc_wrong"])


def test_encrypted_uploads_are_read_with_their_key():
    """A share of the 2025 data loggers encrypts; without the key nothing is a packet, with it each is the plain one."""
    city = make_yuxi()
    keyed = [monitor.profile for monitor in add_keys(city, 0.5, seed=1).monitors if monitor.profile.key]
    plain = {monitor.profile.mn: monitor.profile for monitor in city.monitors}
    assert len(keyed) == 30
    assert {profile.edition for profile in keyed} == {Edition.V2025}
    assert len({profile.key.secret for profile in keyed}) == 30
    for profile in keyed[:5]:
        for (_, one), (_, other) in zip(write_all(profile), write_all(plain[profile.mn]), strict=True):
            assert len(one.frame) == len(other.frame)
            (event,) = FrameBuffer(lambda _mn, profile=profile: make_dialect([], [profile.key])).feed(one.frame)
            assert (event.segment, event.key_id) == (other.frame[6:-6], profile.key.key_id)
            assert b"DataTime" not in one.frame


async def test_a_refused_data_logger_goes_on():
    """It sends each packet as often as a real one, connects anew, takes the next, and is no loss of the host."""
    profiles = [spoil(make_profile(), find("crc_modbus")), ALL_SETS[0]]
    async with running_host() as host:
        habits = make_habits(host, timeout_secs=0.02, resend_count=1, backlog_limit=3)
        clock = ManualClock(EPOCH_US)
        async with running_fleet(profiles, make_span(secs=600), habits, clock) as (_, task):
            await host.wait_for(lambda: len(host.discards) >= 2)
            clock.pass_secs(400)
            await host.wait_for(lambda: len({discard.raw for discard in host.discards}) >= 6)
            clock.pass_secs(300)
            report = await task
    assert is_complete(report)
    assert report["by_fault"].keys() == {"crc_modbus"}
    counts = report["by_fault"]["crc_modbus"]
    assert counts["acked"] == 0
    assert 6 <= counts["sent"] == counts["unacked"]
    assert {discard.reason for discard in host.discards} == {"crc"}
    assert report["sent"] == report["acked"] == len(host.came)


@pytest.mark.parametrize("slug", ["crc_modbus", "crc_modbus_swapped"])
async def test_an_answer_in_another_crc_is_none(slug):
    """A data logger that computes the CRC of its own knows answers by it, and no others."""
    profile = spoil(make_profile(), find(slug))
    dialect = make_dialect([slug])
    async with running_host(never) as host:
        host.dialect_of = lambda _mn: dialect
        span, habits = make_span(packets=1), make_habits(host)
        async with running_fleet([profile], span, habits) as (fleet, task):
            await host.wait_for_frames(1)
            (came,) = host.came
            link = host.connections[came.connection]
            link.transport.write(encode_answer(came.packet, find_answer(came.packet)))
            await eventually(lambda: fleet.tally.errors)
            assert not fleet.tally.faulty_acked
            link.transport.write(encode_answer(came.packet, find_answer(came.packet), CrcKind(slug)))
            report = await task
    assert report["by_fault"] == {slug: {"sent": 1, "acked": 1, "unacked": 0}}


@pytest.mark.parametrize("assigned", [find("flag_odd"), find("part_numbers_odd", 1), find("hangs_up")])
async def test_what_does_not_ask_does_not_wait(assigned):
    """Nothing is answered, nothing is sent twice, and the run ends by itself."""
    async with running_host(never) as host:
        report = await run_fleet([spoil(make_profile(), assigned)], make_span(packets=5), make_habits(host))
        await host.wait_for_frames(5)
    assert is_complete(report)
    assert len({came.raw for came in host.came}) == len(host.came) == 5
    assert report["by_fault"] == {assigned.fault.slug: {"sent": 5, "acked": 0, "unacked": 5}}
    closes = assigned.fault.slug == "hangs_up"
    assert len({came.connection for came in host.came}) == (5 if closes else 1)


STORED = [way for way in WAYS if way.values[0].way.outcome is not Outcome.REJECTED]


@pytest.mark.parametrize("assigned", STORED)
async def test_what_is_stored_is_answered(assigned):
    """A host that answers as it should gives every faulty data logger its answers, whatever it did to its packets."""
    profile = spoil(make_profile(cns=("2011", "2051"))._replace(rhythm=Rhythm(30, 10)), assigned)
    async with running_host(always) as host:
        report = await run_fleet([profile], make_span(secs=900), make_habits(host))
        asked = [came for came in host.came if find_answer(came.packet)]
    assert is_complete(report)
    counts = report["by_fault"][assigned.fault.slug]
    assert counts["sent"] == 30 + 2
    if asked and assigned.fault.slug != "hangs_up":
        assert counts["acked"] == counts["sent"]
    assert {discard.reason for discard in host.discards} <= {"noise"}


async def test_it_answers_answers():
    """The fault of row 23: an answer is answered, with the ST of an upload, and the host leaves it at that."""
    async with running_host() as host:
        await run_fleet([spoil(make_profile(), find("answers_answers"))], make_span(packets=3), make_habits(host))
        await host.wait_for_frames(6)
    echoes = [came.packet for came in host.came if came.packet.cn == "9014"]
    assert [(packet.st, packet.flag, packet.warnings) for packet in echoes] == [("32", 5, ("answer_unusual",))] * 3
