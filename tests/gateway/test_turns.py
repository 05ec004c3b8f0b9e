"""Connections that send much share the event loop with those that send little."""

import asyncio

from tests.gateway.support import MN, eventually, frame, live_gateway, on_both_loops

from hj212gw.gateway.turns import MAX_WAITING, SLICE_BYTES, Turns

OTHER = MN[:-1] + "1"


class Talker:
    """Says its name as often as it has slices."""

    def __init__(self, name, slices, said):
        self.name, self.slices, self.said = name, slices, said

    def take_turn(self):
        """Take one slice."""
        self.said.append(self.name)
        self.slices -= 1
        return self.slices > 0


async def test_each_takes_a_slice_after_the_other(monkeypatch):
    """Nobody takes two while somebody waits."""
    monkeypatch.setattr("hj212gw.gateway.turns.TURN_SECS", 60)
    said, turns = [], Turns()
    for name, slices in (("a", 3), ("b", 1), ("c", 2)):
        turns.queue(Talker(name, slices, said))
    assert said == []
    await asyncio.sleep(0)
    assert said == ["a", "b", "c", "a", "c", "a"]


async def test_the_sockets_are_looked_at_between(monkeypatch):
    """When the time is over the rest waits for the next turn of the loop."""
    monkeypatch.setattr("hj212gw.gateway.turns.TURN_SECS", 0)
    said, turns = [], Turns()
    turns.queue(Talker("a", 3, said))
    for count in (1, 2, 3, 3):
        await asyncio.sleep(0)
        assert len(said) == count
    turns.queue(Talker("b", 1, said))
    await asyncio.sleep(0)
    assert said[-1] == "b"


async def test_room_is_bounded():
    """Those that are gone do not wait behind any number of others."""
    turns = Turns()
    for _ in range(MAX_WAITING):
        assert turns.has_room
        turns.queue(Talker("a", 1, []))
    assert not turns.has_room
    await asyncio.sleep(0)
    assert turns.has_room


@on_both_loops
async def test_one_packet_passes_many(tmp_path, monkeypatch):
    """A data logger that sends one is not kept waiting by one that sends hundreds, which are all taken in order."""
    monkeypatch.setattr("hj212gw.gateway.turns.TURN_SECS", 0)
    many, one = [frame(number) for number in range(300)], frame(7, mn=OTHER)
    async with live_gateway(tmp_path) as live:
        busy, quiet = await live.connect(), await live.connect()
        await asyncio.gather(busy.send(b"".join(many)), quiet.send(one))
        await quiet.answers(1)
        await busy.answers(len(many))
        taken = live.frames()
        assert [raw for raw in taken if raw != one] == many
        assert taken.index(one) < len(many) - 2 * SLICE_BYTES // len(many[0])


@on_both_loops
async def test_what_a_connection_left_behind_is_taken(tmp_path, monkeypatch):
    """It sent all at once and went; its packets take their turns, and its end is told when they are through."""
    monkeypatch.setattr("hj212gw.gateway.turns.TURN_SECS", 0)
    many = [frame(number, flag="4") for number in range(300)]
    async with live_gateway(tmp_path) as live:
        line = await live.connect()
        await line.send(b"".join(many))
        await line.close()
        await eventually(lambda: len(live.frames()) == len(many))
        await eventually(lambda: not live.intake.sessions)
        assert live.frames() == many
