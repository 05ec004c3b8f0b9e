"""The simulated city has the size it says, and its files are a registry."""

import csv
import re
from collections import Counter

import pytest

from hj212gw.errors import ConfigError
from hj212gw.protocol import Edition
from hj212gw.registry import InputFile, Level, check_files
from hj212sim.faults import FAULTS
from hj212sim.names import COUNTIES, make_credit_code
from hj212sim.presets import FACTOR_SETS, MAX_OUTLETS, make_yuxi
from hj212sim.registry_files import COLUMNS, write_registry
from hj212sim.variants import add_faults, add_keys


def rows_of(path):
    """The lines of a CSV file as dictionaries."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_yuxi_has_the_size_of_the_founding_document():
    """173 enterprises, 97 of them national, 600 monitors with an MN each, one to eight of them an enterprise."""
    city = make_yuxi()
    assert len(city.enterprises) == 173
    assert Counter(row.level for row in city.enterprises) == {"national": 97, "other": 76}
    assert len(city.monitors) == 600
    assert len({row.profile.mn for row in city.monitors}) == 600
    assert len({row.outlet for row in city.monitors}) == 600
    sizes = Counter(row.enterprise for row in city.monitors)
    assert set(sizes) == {row.enterprise for row in city.enterprises}
    assert max(sizes.values()) <= MAX_OUTLETS


def test_editions_and_media_are_mixed():
    """Most data loggers speak 2017, some 2025, a few 2005; there is water and gas, and every set of instruments."""
    city = make_yuxi()
    editions = Counter(row.profile.edition for row in city.monitors)
    assert editions == {Edition.V2017: 516, Edition.V2025: 60, Edition.V2005: 24}
    assert set(Counter((row.medium, row.profile.st) for row in city.monitors)) == {("water", "32"), ("gas", "31")}
    assert {row.profile.factors for row in city.monitors} >= set(FACTOR_SETS.values())
    assert {row.profile.rhythm.rtd_interval_secs for row in city.monitors} == {30, 60}
    assert {len(row.profile.mn) for row in city.monitors if row.profile.edition is Edition.V2005} == {14}


def test_names_and_codes_are_unique_and_of_yuxi():
    """No two enterprises share a name or a credit code, and all nine counties occur."""
    enterprises = make_yuxi().enterprises
    assert len({row.name for row in enterprises}) == len({row.credit_code for row in enterprises}) == 173
    assert {row.county for row in enterprises} == set(COUNTIES)
    assert all(re.fullmatch("[\u4e00-\u9fff]{6,}公司", row.name) for row in enterprises)


def test_credit_code_has_the_check_character_of_the_standard():
    """GB 32100-2015: the weighted sum of all 18 characters is a multiple of 31."""
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    for serial in range(1, 100):
        code = make_credit_code(COUNTIES[serial % 9], serial)
        assert len(code) == 18
        weights = [pow(3, place, 31) for place in range(17)] + [1]
        assert sum(weight * alphabet.index(char) for weight, char in zip(weights, code, strict=True)) % 31 == 0


def test_same_seed_same_city():
    """A city follows from its size and seed."""
    assert make_yuxi(seed=3) == make_yuxi(seed=3)
    assert make_yuxi(seed=3) != make_yuxi(seed=4)


@pytest.mark.parametrize(
    ("enterprises", "monitors", "expected"),
    [
        pytest.param(10, 20, (10, 20), id="both"),
        pytest.param(None, 60, (17, 60), id="monitors"),
        pytest.param(17, None, (17, 59), id="enterprises"),
        pytest.param(None, 1, (1, 1), id="one"),
        pytest.param(1, 8, (1, 8), id="full"),
        pytest.param(300, 1200, (300, 1200), id="larger"),
    ],
)
def test_it_scales(enterprises, monitors, expected):
    """Either number follows the other in proportion."""
    city = make_yuxi(enterprises, monitors)
    assert (len(city.enterprises), len(city.monitors)) == expected


@pytest.mark.parametrize(("enterprises", "monitors"), [(10, 9), (1, 9), (0, 5)])
def test_impossible_sizes_are_refused(enterprises, monitors):
    """An enterprise has one to eight monitors."""
    with pytest.raises(ConfigError, match=r"1 to 8 monitors"):
        make_yuxi(enterprises, monitors)


async def test_registry_files_pass_the_registry_check(tmp_path):
    """The gateway's own check finds neither an error nor a warning in the files of the whole city."""
    paths = write_registry(make_yuxi(), tmp_path / "new" / "folder")
    report = await check_files(None, [InputFile(path.name, path.read_bytes()) for path in paths])
    assert [report.findings.count(level) for level in Level] == [0] * len(Level)
    assert {name: len(change.added) for name, change in report.changes.items() if change.added} == {
        "enterprises": 173,
        "outlets": 600,
        "data_loggers": 600,
    }


async def test_keys_pass_the_registry_check(tmp_path):
    """The keys of a city that encrypts are a file of their own, private, and in order."""
    paths = write_registry(add_faults(add_keys(make_yuxi(), 0.5, seed=1), 0.1, FAULTS, seed=1), tmp_path)
    assert [path.name for path in paths] == [*COLUMNS, "cipher_keys.csv"]
    assert paths[-1].stat().st_mode & 0o077 == 0
    report = await check_files(None, [InputFile(path.name, path.read_bytes()) for path in paths])
    assert report.findings.count(Level.ERROR) == 0
    assert len(report.changes["cipher_keys"].added) == 30
    assert len(report.changes["data_loggers"].added) == 600


def test_registry_files_say_what_the_fleet_does(tmp_path):
    """Columns, references and each data logger's line match the profiles that are run; passwords are private."""
    city = make_yuxi(5, 12)
    paths = {path.name: path for path in write_registry(city, tmp_path)}
    enterprises, outlets, loggers = (rows_of(paths[name]) for name in COLUMNS)
    assert [tuple(rows[0]) for rows in (enterprises, outlets, loggers)] == list(COLUMNS.values())
    assert {row["enterprise"] for row in outlets} == {row["enterprise"] for row in enterprises}
    assert {row["outlet"] for row in outlets} == {row["outlet"] for row in loggers}
    by_mn = {row["mn"]: row for row in loggers}
    for monitor in city.monitors:
        profile, row = monitor.profile, by_mn[monitor.profile.mn]
        assert (row["pw"], row["st"], row["outlet"]) == (profile.pw, profile.st, monitor.outlet)
        assert tuple(row["factors"].split()) == profile.factors
        assert row["cns"] == "2011 2051 2061 2031"
        assert (int(row["rtd_interval_secs"]), row["min_interval_mins"]) == (profile.rhythm.rtd_interval_secs, "10")
    assert paths["data_loggers.csv"].stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(COLUMNS)
