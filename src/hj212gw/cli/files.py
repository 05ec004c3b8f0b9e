"""How many files the process may have open: each connection takes one."""

import resource

SPARE_FILES = 100  # besides connections: journal, database, HTTP, log


def raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def read_hard_limit() -> int | None:
    """Tell the most files a process of this user may open, None where there is no limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return None if hard == resource.RLIM_INFINITY else hard
