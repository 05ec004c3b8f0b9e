"""Uploads in the shape of each edition, and the answers they wait for."""

import re
from hashlib import blake2b

import pytest
from tests.simulators.support import EPOCH_US, make_profile

from hj212gw.protocol import (
    Edition,
    FrameBuffer,
    encode_answer,
    find_answer,
    parse_packet,
    parse_readings,
)
from hj212sim.presets import make_yuxi
from hj212sim.schedule import BOOT, KNOWN_CNS, MORE_CNS, RUN_TIME, STATE, Schedule
from hj212sim.uploads import UploadWriter, is_answer_to


def first_upload(profile, cn="2011"):
    """The first upload of one command."""
    return Schedule((cn,), profile.rhythm, start_us=EPOCH_US).take()


def read(frame):
    """The frame, its packet and its readings, as a gateway sees them."""
    (event,) = FrameBuffer().feed(frame)
    packet = parse_packet(event.segment)
    return event, packet, parse_readings(packet.cp)


HEADERS = {
    Edition.V2005: "ST=32;CN=2011;PW=123456;MN=YX530402000101;Flag=1;",
    Edition.V2017: "QN=20260101080000000;ST=32;CN=2011;PW=123456;MN=530402A00000001F00000001;Flag=5;",
    Edition.V2025: "QN=20260101080000000;ST=32;CN=2011;PW=123456;MN=530402A00000001F00000001;Flag=9;",
}
CODES = {Edition.V2005: "011", Edition.V2017: "w01018", Edition.V2025: "w01018"}


@pytest.mark.parametrize("edition", list(Edition))
def test_shape_of_each_edition(edition):
    """Header, Flag, QN, MN and codes are those of the edition; CP begins with DataTime."""
    profile = make_profile(edition)
    text = UploadWriter(profile, seed=1).write(first_upload(profile)).frame.decode()
    head = HEADERS[edition] + "CP=&&DataTime=20260101080000;" + CODES[edition]
    assert re.fullmatch(rf"##\d{{4}}{re.escape(head)}-Rtd=[\d.]+,.*&&[0-9A-F]{{4}}\r\n", text)


@pytest.mark.parametrize("edition", list(Edition))
def test_witness_facts_are_those_on_the_wire(edition):
    """QN, DataTime and digest of a written upload are those of its bytes, and the same upload gives them again."""
    profile = make_profile(edition)
    upload = first_upload(profile, "2061")
    written = UploadWriter(profile, seed=1).write(upload)
    frame, packet, readings = read(written.frame)
    assert (written.qn, written.data_time_text) == (packet.qn, readings.data_time_text)
    assert written.digest == blake2b(frame.segment, digest_size=16).hexdigest()
    assert UploadWriter(profile, seed=1).write(upload) == written
    assert UploadWriter(profile, seed=2).write(upload).frame != written.frame


def test_a_whole_city_decodes_without_a_warning():
    """Every command of every data logger of yuxi is a frame, a packet and readings with nothing odd about them."""
    editions = set()
    for monitor in make_yuxi().monitors:
        profile = monitor.profile
        writer = UploadWriter(profile, seed=1)
        for cn in KNOWN_CNS:
            frame, packet, readings = read(writer.write(first_upload(profile, cn)).frame)
            assert (frame.warnings, packet.warnings, readings.warnings) == ((), (), ())
            assert (packet.mn, packet.pw, packet.st, packet.cn) == (profile.mn, profile.pw, profile.st, cn)
            assert packet.edition is profile.edition
            assert (packet.qn == "") == (profile.edition is Edition.V2005)
            assert find_answer(packet) == "9014"
            assert [row.factor for row in readings.rows] == list(profile.factors)
            editions.add(packet.edition)
    assert editions == set(Edition)


@pytest.mark.parametrize("edition", list(Edition))
def test_the_answer_of_its_own_is_known(edition):
    """An upload knows the 9014 it is owed from one owed to another, and from a 9013."""
    profile = make_profile(edition)
    upload, other = first_upload(profile), first_upload(profile, "2061")
    writer = UploadWriter(profile, seed=1)
    written = writer.write(upload)
    packets = [read(frame)[1] for frame in (written.frame, writer.write(other).frame)]
    answers = [read(encode_answer(packet, "9014"))[1] for packet in packets]
    assert is_answer_to(upload, written.qn, answers[0])
    if edition is Edition.V2005:
        assert not is_answer_to(upload, written.qn, answers[1])
    assert not is_answer_to(upload, written.qn, read(encode_answer(packets[0], "9013"))[1])


@pytest.mark.parametrize(
    ("cn", "area"),
    [
        pytest.param(STATE, r"DataTime=20260101080000;SB1-RS=[01];SB2-RS=[01]", id="state"),
        pytest.param(RUN_TIME, r"DataTime=20251231000000;SB1-RT=\d+\.\d;SB2-RT=\d+\.\d", id="run time"),
        pytest.param(BOOT, r"DataTime=20260101080000;RestartTime=20260101080000", id="boot"),
    ],
)
def test_uploads_without_readings(cn, area):
    """States and the boot at the start, the run time of the day before; all ask for an answer and repeat themselves."""
    profile = make_profile(cns=MORE_CNS)
    upload = first_upload(profile, cn)
    if cn == RUN_TIME:
        upload = Schedule((cn,), profile.rhythm, start_us=EPOCH_US - 8 * 3600 * 1_000_000).take()
    written = UploadWriter(profile, seed=1).write(upload)
    _, packet, _ = read(written.frame)
    assert re.fullmatch(area, packet.cp.decode())
    assert (packet.cn, packet.warnings, find_answer(packet)) == (cn, (), "9014")
    assert UploadWriter(profile, seed=1).write(upload) == written


def test_a_city_may_send_them_too():
    """Where they are asked for, but 2005 knows no 2081."""
    for monitor in make_yuxi(15, 50, cns=("2011", *MORE_CNS)).monitors:
        assert (BOOT in monitor.profile.cns) == (monitor.profile.edition is not Edition.V2005)
