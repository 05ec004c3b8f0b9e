"""Marks one at a time: declared, decided, ended, proved, by a person's word. Each is one transaction, or nothing."""

from collections.abc import Mapping
from datetime import datetime

from hj212gw.errors import MarkError
from hj212gw.registry.cells import format_moment
from hj212gw.registry.csvfiles import FileRows, read_cells
from hj212gw.registry.findings import Findings, Level
from hj212gw.registry.kinds import MARKS, Entry, Place
from hj212gw.registry.markkinds import ACCEPTED, DECLARED, ENDED, PROOF, refuse_change, refuse_state
from hj212gw.registry.marks import Listing, Word, plan_marks
from hj212gw.registry.proofs import Proof
from hj212gw.registry.sync import read_held, write_marks
from hj212gw.store.marks import MarkFilter, NewEvent, StoredMark
from hj212gw.store.registry import RegistryStore


async def declare_mark(
    store: RegistryStore, cells: Mapping[str, str], word: Word, proof: Proof | None = None
) -> tuple[StoredMark, list[str]]:
    """Declare a mark by the cells of a line, under the rules of an import.

    Args:
        store: the registry's tables.
        cells: by the columns of marks.csv; those that are left out are empty.
        word: who declares, the author where the cells name none, and when.
        proof: what is kept already to prove it.

    Returns:
        The mark, and what is unusual about it.

    Raises:
        MarkError: the mark is wrong, or stands already; nothing was written.
        StoreError: the database failed; nothing was written.
    """
    findings = Findings()
    proved = {} if proof is None else {"proof_sha256": proof.sha256, "proof_name": proof.name}
    named = {**dict.fromkeys(MARKS.columns, ""), **cells, **proved}
    mark = read_cells(MARKS, named, Place("mark", 1), findings)
    if mark is None:
        raise MarkError(f"nothing was declared: {_join(findings)}")
    async with store.change():
        entries = [row.entry for row in await read_held(store) if not row.is_found]
        listing = Listing(entries, FileRows(), is_complete=True)
        changes = plan_marks(FileRows(marks=[mark]), listing, [], word, findings)
        if findings.count(Level.ERROR):
            raise MarkError(f"nothing was declared: {_join(findings)}")
        _refuse_repeat(mark, await store.marks.read(MarkFilter(outlet=mark.value("outlet"))))
        (number,) = await write_marks(store, changes)
        return await _find(store, number), _show(findings)


async def decide_mark(
    store: RegistryStore, mark_id: int, state: str, word: Word, note: str | None = None
) -> StoredMark:
    """Accept, reject or void a mark.

    Args:
        store: the registry's tables.
        mark_id: its number.
        state: accepted, rejected or void.
        word: who decides, and when.
        note: why.

    Returns:
        The mark as it stands now.

    Raises:
        MarkError: no such mark, or it cannot be so by this person; nothing was written.
        StoreError: the database failed; nothing was written.
    """
    async with store.change():
        mark = await _find(store, mark_id)
        refusal = refuse_change(mark.source, mark.origin, DECLARED) or refuse_state(
            mark.author, mark.state, state, word.by
        )
        return await _add(store, mark, NewEvent(state, word.by, word.now, note=note), refusal)


async def end_mark(store: RegistryStore, mark_id: int, to_at: datetime, word: Word) -> StoredMark:
    """End a mark that runs on; `to_at` is exclusive.

    Raises:
        MarkError: no such mark, or it has an end or begins later; nothing was written.
        StoreError: the database failed; nothing was written.
    """
    async with store.change():
        mark = await _find(store, mark_id)
        refusal = refuse_change(mark.source, mark.origin, mark.state)
        if not refusal and mark.to_at is not None:
            refusal = f"it ended at {format_moment(mark.to_at)}: void it and declare another one where that is wrong"
        elif not refusal and to_at <= mark.from_at:
            refusal = f"it begins at {format_moment(mark.from_at)}: give a later end"
        return await _add(store, mark, NewEvent(ENDED, word.by, word.now, to_at), refusal)


async def prove_mark(store: RegistryStore, mark_id: int, proof: Proof, word: Word) -> StoredMark:
    """Add a proof to a mark; its voucher counts from the first one on.

    Raises:
        MarkError: no such mark, or nothing can be added to it; nothing was written.
        StoreError: the database failed; nothing was written.
    """
    async with store.change():
        mark = await _find(store, mark_id)
        refusal = refuse_change(mark.source, mark.origin, mark.state)
        event = NewEvent(PROOF, word.by, word.now, proof_sha256=proof.sha256, proof_name=proof.name)
        return await _add(store, mark, event, refusal)


def _refuse_repeat(mark: Entry, held: list[StoredMark]) -> None:
    """Refuse what a mark in force says already, or would say once it is ended."""
    for other in held:
        is_same = (other.factor, other.kind, other.from_at) == (*mark.key[1:], mark.start)
        if is_same and other.state in (DECLARED, ACCEPTED) and other.to_at in (None, mark.value("to")):
            step = "end it, or void it first" if other.to_at is None else "void it first where it is wrong"
            raise MarkError(f"nothing was declared: mark {other.mark_id} says so already: {step}")


def _show(findings: Findings) -> list[str]:
    return [f"{finding.column}: {finding.message}" for finding in findings.kept()]


def _join(findings: Findings) -> str:
    return "; ".join(_show(findings))


async def _find(store: RegistryStore, mark_id: int) -> StoredMark:
    marks = await store.marks.read(MarkFilter(mark_id=mark_id, origin=None))
    if not marks:
        raise MarkError(f"there is no mark {mark_id}: hj212gw mark list shows those there are")
    return marks[0]


async def _add(store: RegistryStore, mark: StoredMark, event: NewEvent, refusal: str) -> StoredMark:
    if refusal:
        raise MarkError(f"mark {mark.mark_id} stays as it is: {refusal}")
    await store.marks.add_events([(mark.mark_id, event)])
    return await _find(store, mark.mark_id)
