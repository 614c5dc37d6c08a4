"""Reads Prometheus's text format, or OpenMetrics, as far as names, types and labels go."""

import re
from dataclasses import dataclass, field

SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?\s+\S+')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count", "")}


@dataclass
class Family:
    type: str = "untyped"
    samples: list = field(default_factory=list)  # labels of each


def read(text: str) -> dict[str, Family]:
    families: dict[str, Family] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()[:4]
            families.setdefault(name, Family()).type = kind
        elif line and not line.startswith("#") and (found := SAMPLE.match(line)):
            name, labels = found[1], dict(LABEL.findall(found[2] or ""))
            families.setdefault(family_of(name, families), Family()).samples.append(labels)
    # OpenMetrics names the family of a counter without `_total`, and that of an info without `_info`.
    for name, family in list(families.items()):
        ending = {"counter": "_total", "info": "_info"}.get(family.type)
        if ending and not family.samples and name + ending in families:
            families[name + ending].type = "gauge" if ending == "_info" else family.type
            del families[name]
    return families


def family_of(sample: str, families: dict[str, Family]) -> str:
    for name, family in families.items():
        if any(sample == name + suffix for suffix in SUFFIXES.get(family.type, ("",))):
            return name
    return sample
