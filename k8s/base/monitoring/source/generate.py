#!/usr/bin/env python3
"""Writes everything that is made from this folder: rules, dashboards, the heads of runbooks, the reference of metrics,
and the files that promtool tests.

    generate.py          writes what differs
    generate.py --check  says what differs, and fails
"""

import sys

import dashboards
import reference
import rules
import runbooks
import rule_tests
from sources import ROOT, Sources


def generated(sources: Sources) -> dict[str, str]:
    """Path from the root of the repository -> text."""
    files: dict[str, str] = {}
    for part in (rules, runbooks, reference, rule_tests, dashboards):
        files |= part.files(sources)
    return files


def main() -> int:
    check = sys.argv[1:] == ["--check"]
    differ = []
    for path, text in generated(Sources.read()).items():
        file = ROOT / path
        if file.exists() and file.read_text() == text:
            continue
        differ.append(path)
        if not check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    for path in differ:
        print(("differs from its source: " if check else "written: ") + path)
    return int(check and bool(differ))


if __name__ == "__main__":
    sys.exit(main())
