#!/usr/bin/env python3
"""Changes each threshold, comparison, connective and duration of every rule, one at a time: a test must fail each time.

    mutate.py           all rules
    mutate.py NAME...   those

The tests are run on the rules as they are, too. Prints the changes that no test noticed, and fails.
"""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

import promtool

OTHER = {">": "<", "<": ">", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}
NEIGHBOUR = {">": ">=", "<": "<=", ">=": ">", "<=": "<"}
# What a number or an operator is not to be looked for in: texts, ranges, selectors.
OPAQUE = r'"[^"]*"|\[[^\]]*\]|\{[^}]*\}|offset \w+'
# Changes that mean the same: what is predicted is never just 0.
SAME = {("TidemarkDiskWillFill", "< -> <=")}
NUMBER = r"(?<![\w.])\d+(?:\.\d+)?(?:e\d+)?(?![\w.])"


def mutations(rule: dict) -> list[tuple[str, dict]]:
    """What was changed, and the rule with the change."""
    found = []
    expr = rule["expr"]

    def replaced(at: re.Match, text: str) -> None:
        changed = expr[: at.start()] + text + expr[at.end() :]
        found.append((f"{at[0]} -> {text} at {at.start()}", rule | {"expr": changed}))

    hidden = re.sub(OPAQUE, lambda part: "_" * len(part[0]), expr)
    for at in re.finditer(r">=|<=|==|!=|>|<", hidden):
        replaced(at, OTHER[at[0]])
        # At the threshold itself it matters for counts; measured values are never just there.
        beside = re.match(r"\s*([\d.]+)", hidden[at.end() :])
        if at[0] in NEIGHBOUR and beside and float(beside[1]) == 0:
            replaced(at, NEIGHBOUR[at[0]])
    for at in re.finditer(NUMBER, hidden):
        for changed in neighbours(float(at[0])):
            replaced(at, f"{changed:g}" if changed < 1e6 else f"{changed:.0f}")
    for at in re.finditer(r"\b(and|or|unless)\b", hidden):
        replaced(at, {"and": "or", "or": "and", "unless": "and"}[at[0]])
    if rule.get("for", "0s") != "0s":
        found.append((f"for: {rule['for']} -> 0s", rule | {"for": "0s"}))
        found.append((f"for: {rule['for']} -> twice", rule | {"for": twice(rule["for"])}))
    return found


def neighbours(number: float) -> tuple[float, ...]:
    if number == 0:
        return (1000.0,)
    return (number - 1, number + 1) if number.is_integer() and number < 10 else (number * 0.8, number * 1.25)


def twice(duration: str) -> str:
    return re.sub(r"\d+", lambda number: str(2 * int(number[0])), duration)


def main() -> int:
    rules, tests = promtool.load_rules(), promtool.load_tests()
    names = sys.argv[1:] or list(rules)
    needs = {tested: promtool.all_for(tested, rules) for tested in tests}

    def passes(job) -> bool:
        """Whether all tests pass in which the rule has a part."""
        rule, changed = job
        for tested, chosen in needs.items():
            if rule in chosen and not promtool.run([changed if one is rule else one for one in chosen], tests[tested])[0]:
                return False
        return True

    jobs = [(name, "nothing", rules[name]) for name in names]
    jobs += [(name, what, changed) for name in names for what, changed in mutations(rules[name])]
    with ThreadPoolExecutor(cpu_count()) as pool:
        results = list(pool.map(passes, [(rules[name], changed) for name, _, changed in jobs]))
    wrong = [f"{name}: no test" for name in names if not any(rules[name] in chosen for chosen in needs.values())]
    for (name, what, _), has_passed in zip(jobs, results, strict=True):
        if what == "nothing" and not has_passed:
            wrong.append(f"{name}: its tests fail")
        elif what != "nothing" and has_passed and (name, what.partition(" at ")[0]) not in SAME:
            wrong.append(f"{name}: {what}: no test fails")
    print(f"{len(names)} rules, {len(jobs) - len(names)} changes, {len(wrong)} complaints")
    print("\n".join(wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
