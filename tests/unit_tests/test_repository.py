"""What holds for the tree as a whole: it names no machine, and what it points to is there."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import partial_svg

ROOT = Path(__file__).parents[2]

# As regular expressions, these do not match their own text.
MACHINE_PATH = re.compile(r"(?<![\w.\-/})*])/(?:work|root|tmp|farm)(?![\w.\-])")
REGISTRY_HOST = re.compile(
    r"\b(?:pypi\.(?:org|python\.org)|pythonhosted\.org|anaconda\.(?:org|com)|npmjs\.(?:org|com)"
    r"|yarnpkg\.com|proxy\.golang\.org|crates\.io|rubygems\.org)\b"
)
LEFT_BY_TOOLS = re.compile(r"(?:^|/)(?:\.(?!ci/|github/)[^/]+|__pycache__|build|dist)/")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def text_files() -> dict[Path, str]:
    """Every text file that git tracks; when it tracks none here, every one in the tree."""
    names: list[str] = []
    if (ROOT / ".git").exists() and shutil.which("git"):
        done = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, check=False, capture_output=True, text=True
        )
        names = done.stdout.split("\0")
    if not any(names):
        found = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*")]
        names = [name for name in found if not LEFT_BY_TOOLS.search(name)]
    paths = [ROOT / name for name in names if name]
    texts = {}
    for path in paths:
        if path.is_file() and b"\0" not in (data := path.read_bytes()):
            texts[path.relative_to(ROOT)] = data.decode("utf-8", errors="replace")
    return texts


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY_HOST], ids=["path", "registry"])
def test_names_no_machine(pattern: re.Pattern[str]) -> None:
    found = [
        f"{path}:{number}: {line.strip()[:120]}"
        for path, text in text_files().items()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


def test_links_lead_somewhere() -> None:
    missing = [
        f"{path}: {target}"
        for path, text in text_files().items()
        if path.suffix == ".md"
        for target in LINK.findall(CODE.sub("", text))
        if not (ROOT / path.parent / target).exists()
    ]
    assert not missing, "\n".join(missing)


def test_the_tests_that_the_page_on_security_names_are_there() -> None:
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page)
    assert named
    texts = {file: (ROOT / file).read_text(encoding="utf-8") for file, _ in named}
    assert [
        name
        for file, name in named
        if name and not re.search(rf"\b(?:def|class) {name}\b", texts[file])
    ] == []


def test_readme_is_there() -> None:
    assert (ROOT / "README.md").is_file()


def test_every_make_target_is_described() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[0].split())
    described = set(re.findall(r"^([a-z_-]+):.*## \S", makefile, re.MULTILINE))
    assert phony == described


def test_the_picture_of_views_is_what_the_parser_shows() -> None:
    assert partial_svg.FILE.read_text(encoding="utf-8") == partial_svg.draw()
