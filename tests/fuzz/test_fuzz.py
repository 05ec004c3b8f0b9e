"""A short run of every fuzz target, the same each time: its seeds and a few thousand mutations of them."""

import os

import pytest
from tests.fuzz.mutations import mutations
from tests.fuzz.seeds import make_seeds, write_corpus
from tests.fuzz.targets import TARGETS

COUNT = int(os.environ.get("HJ212_TEST_MUTATIONS", "1500"))
SEEDS = make_seeds()


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_break_no_promise(name: str) -> None:
    """The golden samples themselves."""
    for seed in SEEDS[name]:
        TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
def test_mutations_break_no_promise(name: str) -> None:
    """What is nearly a golden sample."""
    for data in mutations(SEEDS[name], 0, COUNT):
        TARGETS[name](data)


def test_corpus_is_written_for_every_target(tmp_path) -> None:
    """A folder for each, a file for each seed."""
    write_corpus(tmp_path)
    for name in TARGETS:
        assert len(list((tmp_path / name).iterdir())) == len(set(SEEDS[name]))
