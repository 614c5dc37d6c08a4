#!/usr/bin/env python3
"""Whether the documents hang together.

    links.py [ROOT]      every link within the repository leads somewhere, headings included; every page of docs/ can be
                         reached from docs/README.md; every metric that a page names is in docs/reference/metrics.md

Prints one line for each finding and ends with 1 when there is one.
"""

import re
import sys
import urllib.parse
from pathlib import Path

# A heading of ours may hold a link or code; GitHub makes its anchor of the text alone.
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^()\s<>]+(?:\([^()\s]*\))?)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^\s{0,3}\[[^\]]+\]:\s*<?(\S+?)>?\s*$", re.M)
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$")
ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:")
METRIC = re.compile(r"\btidemark_[a-z0-9_]+\b(?!\{)|\btidemark_[a-z0-9_]+(?=\{)")
PARTS = ("_bucket", "_sum", "_count")


def prose(text: str) -> str:
    """The text without blocks of code, comments and code in lines; as many lines as before."""
    lines, fence = [], None
    for line in text.split("\n"):
        mark = re.match(r"\s*(```+|~~~+)", line)
        if fence is None and mark:
            fence = mark.group(1)
            lines.append("")
        elif fence is not None:
            if mark and mark.group(1).startswith(fence):
                fence = None
            lines.append("")
        else:
            lines.append(line)
    text = "\n".join(lines)
    text = re.sub(r"<!--.*?-->", lambda found: "\n" * found.group().count("\n"), text, flags=re.S)
    return re.sub(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", lambda found: "\n" * found.group().count("\n"), text, flags=re.S)


def anchors(text: str) -> set[str]:
    found: dict[str, int] = {}
    anchors = set(re.findall(r"<a\s+(?:id|name)=\"([^\"]+)\"", text))
    fence = None
    for line in text.split("\n"):
        mark = re.match(r"\s*(```+|~~~+)", line)
        if mark:
            fence = None if fence else mark.group(1)
            continue
        heading = None if fence else HEADING.match(line)
        if not heading:
            continue
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.group(1)).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        anchors.add(f"{slug}-{found[slug]}" if slug in found else slug)
        found[slug] = found.get(slug, 0) + 1
    return anchors


def documents(root: Path) -> list[Path]:
    return sorted([*root.glob("*.md"), *root.glob("docs/**/*.md")])


def links(text: str) -> list[tuple[int, str]]:
    text = prose(text)
    found = [*LINK.finditer(text), *REFERENCE.finditer(text)]
    return [(text.count("\n", 0, match.start()) + 1, match.group(1)) for match in found]


def check(root: Path) -> list[str]:
    findings, reached = [], {}
    texts = {page: page.read_text(encoding="utf-8") for page in documents(root)}
    for page, text in texts.items():
        reached[page] = set()
        for line, link in links(text):
            if ELSEWHERE.match(link):
                continue
            where = f"{page.relative_to(root)}:{line}"
            path, _, anchor = link.partition("#")
            target = (page.parent / urllib.parse.unquote(path)).resolve() if path else page
            if path.startswith("/") or not target.is_relative_to(root):
                findings.append(f"{where}: {link} leads out of the repository")
            elif not target.exists():
                findings.append(f"{where}: {link} leads nowhere")
            elif anchor and target not in texts:
                findings.append(f"{where}: {link} names a heading of what is no page")
            elif anchor and anchor not in anchors(texts[target]):
                findings.append(f"{where}: {link} names a heading that {target.relative_to(root)} does not have")
            elif target in texts:
                reached[page].add(target)
    findings += unreachable(root, reached)
    findings += unknown_metrics(root, texts)
    return findings


def unreachable(root: Path, reached: dict[Path, set[Path]]) -> list[str]:
    start = root / "docs/README.md"
    if start not in reached:
        return ["docs/README.md is not there"]
    seen, todo = {start}, [start]
    while todo:
        for page in reached[todo.pop()] - seen:
            seen.add(page)
            todo.append(page)
    lost = [page for page in reached if page not in seen and page.is_relative_to(root / "docs")]
    return [f"{page.relative_to(root)}: no way leads here from docs/README.md" for page in lost]


def unknown_metrics(root: Path, texts: dict[Path, str]) -> list[str]:
    reference = root / "docs/reference/metrics.md"
    if reference not in texts:
        return ["docs/reference/metrics.md is not there"]
    known = set(METRIC.findall(texts[reference]))
    findings = []
    for page, text in texts.items():
        # Decisions tell of what was and what was not taken; they are no reference.
        if page == reference or page.is_relative_to(root / "docs/adr"):
            continue
        for line, content in enumerate(text.split("\n"), 1):
            for name in METRIC.findall(content):
                base = next((name[: -len(part)] for part in PARTS if name.endswith(part)), name)
                # A name that ends in an underscore stands for all that begin so.
                family = name.endswith("_") and any(metric.startswith(name) for metric in known)
                if name not in known and base not in known and not family:
                    findings.append(f"{page.relative_to(root)}:{line}: no metric is called {name}")
    return findings


def main() -> int:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()
    findings = check(root)
    for finding in findings:
        print(finding)
    if not findings:
        print(f"{len(documents(root))} pages hang together")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
