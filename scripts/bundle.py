#!/usr/bin/env python3
"""Write what a machine without internet needs into one file: wheels, units, examples, pages, checksums, an installer.

`make bundle` runs it, on a machine with internet. Wheels are taken for every processor and Python that is supported, so
that one bundle does for all hosts of a bureau.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from hj212gw import __version__

ROOT = Path(__file__).resolve().parents[1]
PROCESSORS = ("x86_64", "aarch64")
PYTHONS = ("3.11", "3.12", "3.13")
MANYLINUX = ("manylinux2014", "manylinux_2_28", "manylinux_2_34")  # the oldest systems that have such a Python
# Not what containers need: the bundle has no source to build an image of.
COPIED = ("README.md", "SECURITY.md", "CHANGELOG.md", "LICENSE", "config")

INSTALLER = """\
#!/usr/bin/env bash
# Installs hj212gw from this folder, without a network: ./install.sh /opt/hj212gw
#
# PYTHON  the Python to use, 3.11 to 3.13; python3 unless set.
set -euo pipefail
cd "$(dirname "${{BASH_SOURCE[0]}}")"
target=${{1:?"the folder to install into is missing, such as /opt/hj212gw"}}

sha256sum --check --quiet SHA256SUMS
"${{PYTHON:-python3}}" -m venv "$target"
"$target/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --find-links wheels '{package}'
mkdir -p "$target/docs"
cp -R docs/. "$target/docs/"
printf '%s\\n' "installed in $target; what to do next: $target/docs/install.html"
"""


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder of the bundle")
    parser.add_argument("--package", help="what to bundle in place of hj212gw with its PostgreSQL")
    parser.add_argument("--processors", nargs="+", default=PROCESSORS, help="of the machines that install it")
    parser.add_argument("--pythons", nargs="+", default=PYTHONS, help="of the machines that install it")
    parser.add_argument("--no-index", action="store_true", help="take wheels from --find-links alone")
    parser.add_argument("--find-links", type=Path, action="append", default=[], help="folder with wheels")
    return parser.parse_args()


def run(*command: object) -> None:
    """Run a program; what it says is seen."""
    subprocess.run([str(word) for word in command], check=True, cwd=ROOT)  # noqa: S603 - our own commands


def collect_wheels(folder: Path, options: argparse.Namespace) -> str:
    """Download wheels for every machine; return what the installer asks for."""
    sources = [f"--find-links={path}" for path in options.find_links] + ["--no-index"] * options.no_index
    package = asked = options.package
    if package is None:
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
        asked = "hj212gw[embedded]"
        package = f"{next(folder.glob('hj212gw-*.whl'))}[embedded]"
    for processor in options.processors:
        platforms = [f"--platform={name}_{processor}" for name in MANYLINUX]
        for python in options.pythons:
            wanted = ["--only-binary=:all:", *platforms, f"--python-version={python}", "--implementation=cp"]
            run(sys.executable, "-m", "pip", "download", "--quiet", "--dest", folder, *wanted, *sources, package)
    return str(asked)


def write_pages(folder: Path) -> None:
    """Build the site, which needs no server."""
    os.environ["NO_MKDOCS_2_WARNING"] = "1"
    run(sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder)


def write_sums(folder: Path) -> None:
    """Write the checksum of every file, as `sha256sum` reads them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def main() -> None:
    """Make the bundle and say where it is."""
    options = parse_arguments()
    name = f"hj212gw-{__version__}-bundle"
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / name
        (folder / "wheels").mkdir(parents=True)
        asked = collect_wheels(folder / "wheels", options)
        for copied in COPIED:
            source = ROOT / copied
            if source.is_dir():
                shutil.copytree(source, folder / copied, ignore=shutil.ignore_patterns("__pycache__", "compose"))
            else:
                shutil.copy(source, folder / copied)
        write_pages(folder / "docs")
        installer = folder / "install.sh"
        installer.write_text(INSTALLER.format(package=asked), encoding="utf-8")
        installer.chmod(0o755)
        write_sums(folder)
        archive = options.out / f"{name}.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(folder, name, filter=_as_root)
    sys.stderr.write(f"wrote {archive}, {archive.stat().st_size >> 20} MiB\n")


if __name__ == "__main__":
    main()
