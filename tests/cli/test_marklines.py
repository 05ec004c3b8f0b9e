"""Marks in words."""

import pytest

from hj212gw.cli.marklines import show_voucher
from hj212gw.registry.cells import parse_moment
from hj212gw.store.marks import StoredMark

NOW = parse_moment("2026-01-31")


def stop(to, proof_at, **said):
    """A stop from April 2025 on."""
    facts = dict.fromkeys(StoredMark._fields) | {"kind": "stop", "state": "declared", "to_at": to and parse_moment(to)}
    begun = {"from_at": parse_moment("2025-04-01T14:05"), "voucher_due": parse_moment("2025-05-11")}
    return StoredMark(**{**facts, **begun, "proof_at": proof_at and parse_moment(proof_at), **said})


@pytest.mark.parametrize(
    ("to", "proof_at", "shown"),
    [
        ("2025-05-03", None, "missed"),
        (None, None, "due before 2026-02-11 for the days from 2026-01-01 on, missed for those before"),
        ("2026-01-01", None, "missed"),
        ("2025-05-03", "2025-05-10T23:59", "there"),
        ("2025-05-03", "2025-05-11", "there for the days from 2025-05-01 on, missed for those before"),
        (None, "2025-07-01", "there for the days from 2025-06-01 on, missed for those before"),
        ("2025-05-03", "2025-06-11", "missed"),
        ("2025-05-01", "2025-05-11", "missed"),
    ],
)
def test_voucher_is_told_by_the_months_of_a_mark(to, proof_at, shown):
    """What a proof saves, what it is too late for, and which date is next."""
    assert show_voucher(stop(to, proof_at), NOW) == shown
    assert show_voucher(stop(to, proof_at, state="void"), NOW) == ""
    assert show_voucher(stop(to, proof_at, voucher_due=None), NOW) == ""
    april = parse_moment("2025-05-01")
    assert show_voucher(stop(to, None), april) == "due before 2025-05-11"
