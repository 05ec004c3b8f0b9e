"""What the site has beside docs/: pages and examples of the project that stand elsewhere, and links to them.

MkDocs loads it as a hook (mkdocs.yml). A link in a page is written as the project's tree has it, so that it also works
where the repository is read; here it is turned to the place in the site, or to plain text where the site has none.
"""  # noqa: INP001

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = ("SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md")
EXAMPLES = ("compose.yaml", "config/*.toml", "config/*.csv", "config/registry/*.csv", "config/systemd/*.service")

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and examples from outside docs/."""
    names = [*OUTSIDE, *(str(path.relative_to(ROOT)) for pattern in EXAMPLES for path in sorted(ROOT.glob(pattern)))]
    for name in names:
        files.append(File.generated(config, f"project/{name}", abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, *, page: Any, files: Files, **_: Any) -> str:
    """Turn links through the project's tree into links through the site."""
    place = page.file.src_uri
    folder = PurePosixPath(_in_project(place)).parent

    def _turn(match: re.Match[str]) -> str:
        text, link, anchor = match.group(1), match.group(2), match.group(3) or ""
        target = os.path.normpath(folder / link)
        there = _in_site(target)
        if there is None or files.get_file_from_path(there) is None:
            inside = (ROOT / target).is_relative_to(ROOT / "docs")
            return match.group(0) if inside else text  # what is wrong inside docs/ is for MkDocs to tell
        return f"[{text}]({os.path.relpath(there, PurePosixPath(place).parent)}{anchor})"

    return _LINK.sub(_turn, markdown)


def _in_project(place: str) -> str:
    """Return a page's path in the project."""
    return place.removeprefix("project/") if place.startswith("project/") else f"docs/{place}"


def _in_site(path: str) -> str | None:
    """Return the place in the site of a file of the project, None where the site has none."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path == "README.md":
        return "index.md"
    return f"project/{path}"
