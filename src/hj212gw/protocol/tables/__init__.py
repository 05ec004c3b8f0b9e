"""The code tables of the three editions, shipped as CSV; each row names its source."""

import csv
import pkgutil


def read_table(name: str) -> list[list[str]]:
    """Read the rows of a shipped table, header left out.

    Args:
        name: the file's name without `.csv`.
    """
    # Not importlib.resources: it makes every start of the CLI 13 ms slower.
    content = pkgutil.get_data(__name__, f"{name}.csv")
    assert content is not None  # None only from a loader that keeps no files
    return list(csv.reader(content.decode("utf-8").splitlines()))[1:]
