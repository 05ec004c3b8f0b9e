"""Fuzz one target for a while.

    python -m tests.fuzz.run frames --secs 600 [--corpus FOLDER] [--plain]

With atheris (`pip install -e .[fuzz]`) inputs are found by coverage; with `--plain`, or where it is not installed, by
mutation alone. What breaks a promise is written beside the corpus and ends the run with exit 1 (77 from atheris).
"""

import argparse
import importlib
import sys
import tempfile
import time
from pathlib import Path

MAX_BYTES = 8192


def main() -> int:
    """Run the target named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("--secs", type=int, default=600)
    parser.add_argument("--corpus", type=Path, default=Path(tempfile.gettempdir()) / "hj212-fuzz")
    parser.add_argument("--plain", action="store_true", help="mutations alone, without atheris")
    options = parser.parse_args()
    if not options.plain:
        try:
            atheris = importlib.import_module("atheris")
        except ImportError:
            print("atheris is not installed: mutations alone", file=sys.stderr)  # noqa: T201
        else:
            return run_atheris(atheris, options)
    return run_plain(options)


def run_atheris(atheris, options) -> int:
    """Hand the target to libFuzzer, the program instrumented."""
    with atheris.instrument_imports(include=["hj212gw"]):
        seeds = importlib.import_module("tests.fuzz.seeds")
        targets = importlib.import_module("tests.fuzz.targets")
    seeds.write_corpus(options.corpus)
    folder = options.corpus / options.target
    flags = [f"-max_total_time={options.secs}", f"-max_len={MAX_BYTES}", f"-artifact_prefix={folder}.", "-timeout=20"]
    atheris.Setup([sys.argv[0], *flags, "-print_final_stats=1", str(folder)], targets.TARGETS[options.target])
    atheris.Fuzz()  # ends the process
    return 0


def run_plain(options) -> int:
    """Mutate the seeds until the time is over."""
    from tests.fuzz.mutations import mutate  # noqa: PLC0415 - atheris wants to instrument before anything is imported
    from tests.fuzz.seeds import make_seeds  # noqa: PLC0415
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415

    target, seeds = TARGETS[options.target], make_seeds()[options.target]
    began, number = time.monotonic(), 0
    while time.monotonic() - began < options.secs:
        data = mutate(seeds, number, most_bytes=MAX_BYTES)
        try:
            target(data)
        except BaseException:
            options.corpus.mkdir(parents=True, exist_ok=True)
            broken = options.corpus / f"{options.target}.crash-{number}"
            broken.write_bytes(data)
            print(f"mutation {number} breaks {options.target}: {broken}", file=sys.stderr)  # noqa: T201
            raise
        number += 1
    print(f"{options.target}: {number} executions in {time.monotonic() - began:.0f} s")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
