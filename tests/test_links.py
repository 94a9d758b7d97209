"""Links of all pages: their files and anchors exist."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def pages():
    """Tracked Markdown files."""
    found = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "*.md"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return [ROOT / name for name in found if (ROOT / name).is_file() and name]


def prose(path):
    """A page without its code."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "code", text)


def links(path):
    """(file, anchor) of each link within the repository."""
    for link in re.findall(r"\]\(([^)\s]+)\)|\bsrc=\"([^\"]+)\"", prose(path)):
        target = "".join(link)
        if not re.match(r"\w+:", target):
            file, _, anchor = target.partition("#")
            yield (path.parent / file if file else path), anchor


def anchors(path):
    """The anchors of a page's titles, as GitHub makes them."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    found = []
    for title in re.findall(r"^#+ +(.+?) *$", text, flags=re.MULTILINE):
        title = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower()
        anchor = re.sub(r"[^\w\- ]", "", title).replace(" ", "-")
        times = sum(name.partition("\0")[0] == anchor for name in found)
        found.append(f"{anchor}\0{times}" if times else anchor)
    return {name.replace("\0", "-") for name in found}


@pytest.mark.parametrize(
    "page", pages(), ids=lambda page: str(page.relative_to(ROOT))
)
def test_links_lead_somewhere(page):
    for file, anchor in links(page):
        assert file.exists(), f"{page.name} links to {file}"
        if anchor:
            assert anchor in anchors(file), f"{file} has no #{anchor}"


def test_every_page_of_the_docs_is_linked():
    linked = {
        file.resolve()
        for page in pages()
        for file, _ in links(page)
        if file != page
    }
    lost = {page for page in pages() if "docs" in page.parts} - linked
    assert not lost


def test_anchors_are_those_of_github(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Own data\n## `--flag`, [a link](x.md)\n## Twice\n## Twice\n"
        "```bash\n# a comment\n```\n"
    )
    names = {"own-data", "--flag-a-link", "twice", "twice-1"}
    assert anchors(page) == names
