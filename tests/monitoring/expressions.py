"""Which metrics a PromQL expression asks for, and with which conditions on labels."""

import re

WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool", "inf", "nan"}
STRING = r'"(?:[^"\\]|\\.)*"'
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)?\s*\{((?:[^{}\"]|" + STRING + r")*)\}")
MATCHER = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*(" + STRING + ")")


def names(expr: str) -> set[str]:
    """Without what is in texts and selectors, a name that is no function, no keyword and no label is a metric."""
    bare = re.sub(STRING, "", expr)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    bare = re.sub(r"\boffset\s+\w+", " ", bare)
    found = re.findall(r"(?<![\w:$.])([a-zA-Z_:][\w:]*)(?!\s*\(|[\w:])", bare)
    return {name for name in found if name.lower() not in WORDS}


def matchers(expr: str) -> list[tuple[str, str, str, str]]:
    """(metric, label, operator, value) of each condition."""
    found = []
    for metric, inside in SELECTOR.findall(expr):
        found += [(metric, label, operator, value[1:-1]) for label, operator, value in MATCHER.findall(inside)]
    return found
