"""Seeds of a fuzz target: what the project's own tests say in string literals and golden files.

Usage: seeds.py TARGET FOLDER
"""

import hashlib
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BYTES_MAX = 8192

# Where a target's language is spoken.
SOURCES = {
    "influxql": ["crates/influxql/src", "crates/query/src/influxql", "tests/src"],
    "influxql_params": ["crates/influxql/src"],
    "flux": ["crates/flux/src", "crates/gateway/src/tests"],
    "lineprotocol": ["crates/model/src/lineprotocol", "tests/src"],
    "delete_predicate": ["crates/gateway/src/v2/delete"],
    "pattern": ["crates/model/src/pattern", "crates/flux/src", "crates/influxql/src"],
}
# Targets that read bytes start from bytes that have the shape of what they read.
BYTES = {
    "predicate": [b"\x02\x00\x00\x03cpu", b"\x02\x02\x04host\x02\x02a.", b"\x03\x02\x01\x05\x00", b"\x02\x01\x04\x02\x01a\x01b"],
    "batch": [b"\x01\x00\x07\x02\x00", b"\x01\x00\x07\x02\x01\x01m\x01\x00\x01v\x01\x04m\x00\x01\x01\x00"],
    "pages": [bytes([kind, codec, 8, 0, 0]) + bytes(32) for kind in range(6) for codec in range(16)],
}

RAW = re.compile(r'\br(#*)"(.*?)"\1', re.DOTALL)
PLAIN = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\", '"': '"', "'": "'"}


def literals(text):
    """The string literals of Rust source."""
    for match in RAW.finditer(text):
        yield match.group(2)
    for match in PLAIN.finditer(RAW.sub("", text)):
        joined = re.sub(r"\\\n\s*", "", match.group(1))
        yield re.sub(r"\\(.)", lambda m: ESCAPES.get(m.group(1), m.group(0)), joined, flags=re.DOTALL)


def seeds(target):
    yield from BYTES.get(target, [])
    for folder in SOURCES.get(target, []):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix == ".rs":
                for literal in literals(path.read_text(encoding="utf-8")):
                    yield literal.encode()
            elif path.suffix in (".txt", ".flux"):
                for line in path.read_text(encoding="utf-8").splitlines():
                    yield line.removeprefix("> ").replace("⏎", "\n").encode()


def main():
    target, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds(target):
        if 0 < len(seed) <= BYTES_MAX:
            (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


if __name__ == "__main__":
    main()
