"""Differences that differential.py accepts: each recognised as narrowly as possible, with the reason.

Answers are looked at statement by statement, in one format: a request for CSV or chunks is asked again for one document of JSON with
times in nanoseconds. When the two agree then, only a rule of formats can excuse it.
"""

import json
import math
import re
from dataclasses import dataclass, field
from typing import Callable

from influxql_grammar import Request


@dataclass
class Case:
    """A statement that is answered differently: its result of each (`first` is InfluxDB's), and the whole answers."""

    text: str
    first: dict
    second: dict
    data: object
    request: Request
    ask: Callable = field(repr=False)

    def agree_on(self, text):
        """Whether the servers give one answer to another statement."""
        if " INTO " in text:
            return False
        one, other = self.ask(plain(self.request, text))
        if one == other or "json: unsupported value" in one[1]:
            return True
        case = case_of(self, text, one, other)
        return case is not None and any(rule.holds(case) for rule in RULES if rule.holds not in (ranked_after_limit, series_limit, lone_offset, cut_by_limit))

    def is_excused(self, text):
        """Whether the servers give different answers to another statement, for a reason."""
        one, other = self.ask(plain(self.request, text))
        return one != other and self.agree_on(text)

    def cells(self):
        """Both answers' cells, series by series: (name of the column, one, other); None where they are not of one shape."""
        one, other = self.first.get("series", []), self.second.get("series", [])
        if len(one) != len(other) or "error" in self.first or "error" in self.second:
            return None
        pairs = []
        for a, b in zip(one, other):
            if (a.get("name"), a.get("tags"), a["columns"]) != (b.get("name"), b.get("tags"), b["columns"]):
                return None
            rows, others = a.get("values", []), b.get("values", [])
            if len(rows) != len(others):
                return None
            pairs += [(c, x, y) for row, with_row in zip(rows, others) for c, x, y in zip(a["columns"], row, with_row)]
        return pairs

    def unequal(self):
        cells = self.cells()
        return None if cells is None else [(c, x, y) for c, x, y in cells if x != y or type(x) is not type(y) and not is_number(x, y)]


@dataclass(frozen=True)
class Rule:
    name: str
    why: str
    holds: Callable


def is_number(*values):
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def has(text, *functions):
    return any(re.search(rf"\b{function}\(", text) for function in functions)


def plain(request, text):
    query = {key: value for key, value in request.query.items() if key in ("db", "params")}
    return Request(text, epoch="ns", **query)


def case_of(case, text, one, other):
    """The case of one statement that was asked by itself."""
    results = [results_of(answer) for answer in (one, other)]
    if None in results or any(len(result) != 1 for result in results):
        return None
    return Case(text, results[0][0], results[1][0], case.data, case.request, case.ask)


def results_of(answer):
    status, body = answer
    if status != 200:
        return None
    try:
        return json.loads(body)["results"]
    except (ValueError, KeyError):
        return None


# Numbers

MATH = ("acos", "asin", "atan", "atan2", "cos", "exp", "ln", "log", "log2", "log10", "pow", "sin", "tan", "sqrt")


def is_absolute(text, x, y):
    return has(text, "abs") and is_number(x, y) and x < 0 and x == -y


def forecast(case):
    """A forecast is the end of a search, which takes the last digits of its means far; what is infinite there is no forecast."""
    unequal = case.unequal()
    if not has(case.text, "holt_winters", "holt_winters_with_fit") or "error" in case.first or "error" in case.second:
        return False
    if unequal is None:
        return fewer(case)
    # Beside numbers of 53 bits little is left of the others.
    return bool(unequal) and all(is_number(x, y) and math.isclose(x, y, rel_tol=0.1 if abs(x) > 1e12 else 1e-4) for _, x, y in unequal)


def is_digits(text, column, x, y):
    """Whether only the last digits of a cell differ, and may."""
    return has(text, "mean", "sum", "stddev", "holt_winters", "holt_winters_with_fit") and column != "time" and is_number(x, y) and math.isclose(x, y, rel_tol=1e-9)


def absolute(case):
    """abs leaves integers as they are."""
    unequal = case.unequal()
    if bool(unequal) and all(is_absolute(case.text, x, y) for _, x, y in unequal):
        return True
    # What is chosen by such a column is another row: without it, the same one is chosen.
    return has(case.text, "abs") and has(case.text, *SELECTORS) and case.agree_on(without_absolute(case.text))


def without_absolute(text):
    """The statement with the values themselves in the place of their absolute ones."""
    return re.sub(r"\babs\(((?:[^()]|\([^()]*\))*)\)( AS \w+)?", lambda found: f"({found[1]}){found[2] or ' AS abs'}", text)


def last_digits(case):
    """Floats whose last digits differ, of functions that add up floats of several series, or that Go computes by itself."""
    unequal = case.unequal()
    if not unequal or not (has(case.text, "mean", "sum", "stddev", "holt_winters", "holt_winters_with_fit", *MATH) or re.search(r"FROM copy\d", case.text)):
        return False
    # The series' own numbers say how exact a sum of them is: what is left when they cancel out has no digits of its own.
    scale = {}
    for column, x, y in case.cells():
        if is_number(x, y) and column != "time":
            scale[column] = max(scale.get(column, 1.0), abs(x), abs(y))
    rest = [cell for cell in unequal if not is_filler(case.text, *cell[1:]) and not is_absolute(case.text, *cell[1:])]
    return bool(rest) and all(column != "time" and is_number(x, y) and math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12 * scale[column]) for column, x, y in rest)


def number_among_texts(case):
    """fill(number) where a number has no place."""
    unequal = case.unequal()
    return bool(unequal) and all(is_filler(case.text, x, y) for _, x, y in unequal)


def is_filler(text, x, y):
    found = re.findall(r"fill\((-?[\d.]+)\)", text)
    return is_number(x) and str(x) in [*found, *(str(int(float(n))) for n in found)] and (y in (None, "") or y is False)


def filler_among_texts(case):
    """Arithmetic of a truth value that is missing where fill(number) puts a number in its place."""
    unequal = [cell for cell in case.unequal() or [] if not is_filler(case.text, *cell[1:])]
    return bool(unequal) and bool(re.search(r" [&|^] ", case.text)) and "fill(" in case.text and all(x is None and y is False for _, x, y in unequal)


def arithmetic_of_fillers(case):
    """Arithmetic with a text that is missing where fill(number) puts a number in its place."""
    unequal = case.unequal()
    is_computed = re.search(r"fill\(-?[\d.]+\)", case.text) and re.search(r"\) [-+*/%] ", case.text)
    return bool(is_computed) and has(case.text, "first", "last", "mode") and bool(unequal) and all(is_number(x) and y is None for _, x, y in unequal)


def filler_of_no_group(case):
    """A selector in a query around fill(number) picks the filler of a group that no answer shows."""
    unequal = case.unequal()
    found = {float(number) for number in re.findall(r"fill\((-?[\d.]+)\)", case.text.rpartition(")")[0])}
    return "FROM (SELECT" in case.text and bool(unequal) and all(is_number(x, y) and float(x) in found for _, x, y in unequal)


TRANSFORMATIONS = ("moving_average", "derivative", "non_negative_derivative", "difference", "non_negative_difference", "cumulative_sum", "elapsed", "chande_momentum_oscillator", "exponential_moving_average", "double_exponential_moving_average", "triple_exponential_moving_average", "triple_exponential_derivative", "relative_strength_index", "kaufmans_efficiency_ratio", "kaufmans_adaptive_moving_average")
SELECTORS = ("top", "bottom", "max", "min", "first", "last", "percentile", "median", "mode", "spread")


def window_beside_the_range(case):
    """A transformation two subqueries deep reads a window more than the range of the query between has, and that shows it."""
    return case.text.count("FROM (SELECT") > 1 and has(case.text.rpartition("FROM (SELECT")[2], *TRANSFORMATIONS) and "time(" in case.text and "error" not in case.first and "error" not in case.second


def point_before_the_range(case):
    """A transformation in a subquery of windows reads a window more, and its first points are shown in it."""
    unequal = case.unequal()
    deep = case.text.rpartition("FROM (SELECT")[2]
    if "FROM (SELECT" in case.text and has(deep, *TRANSFORMATIONS) and "time(" in case.text and set(case.second) == {"statement_id"}:
        return all(len(series["values"]) == 1 for series in case.first.get("series", []))
    if " INTO " in case.text:
        is_cause = "FROM (SELECT" in case.text and has(deep, *TRANSFORMATIONS) and is_written(case.first) and is_written(case.second)
        return is_cause and all(0 <= row[1] - other[1] <= 20 for row, other in zip(rows_of(case.first), rows_of(case.second)))
    if "FROM (SELECT" in case.text and has(deep, *TRANSFORMATIONS) and "time(" in case.text and unequal is None and has_more_rows(case.first, case.second):
        return True
    columns = [column for column, _, _ in unequal or []]
    # In one row of a series.
    is_row = len(columns) == len(set(columns)) or len(columns) <= 2
    return "FROM (SELECT" in case.text and has(deep, *TRANSFORMATIONS) and "time(" in case.text and bool(unequal) and is_row and all(x is not None and y is None for _, x, y in unequal)


def rows_in_pieces(case):
    """The rows of a time that a subquery has in several groups: the columns of a row come as several rows, each filled up."""
    if "FROM (SELECT" not in case.text or "error" in case.first or "error" in case.second:
        return False

    def numbers(result):
        return {
            (series.get("name"), json.dumps(series.get("tags", {}))): sorted(
                (row[0], column, cell)
                for row in series.get("values", [])
                for column, cell in zip(series["columns"], row)
                if is_number(cell) and column != "time" and not is_filler(case.text, cell, None)
            )
            for series in result.get("series", [])
        }

    def texts(result):
        return {(series.get("name"), row[0], *(cell for cell in row if isinstance(cell, str))) for series in result.get("series", []) for row in series.get("values", [])}

    if any(goes_back(case, series) for series in case.first.get("series", [])):
        # With fill, and arithmetic of what it fills in, pieces have numbers that nothing else has.
        return numbers(case.first) == numbers(case.second) or "fill(" in case.text and texts(case.second) <= texts(case.first)
    return "ORDER BY time DESC" in case.text and numbers(case.first) == numbers(case.second)


def windows_in_pieces(case):
    """Windows of a subquery that has its rows in pieces: some come twice, each of a part of the points."""
    if "FROM (SELECT" not in case.text or "time(" not in case.text.rpartition(")")[0].rpartition(" GROUP BY ")[2] + ")" or "error" in case.second:
        return False
    times = [[row[0] for row in series.get("values", [])] for series in case.first.get("series", [])]
    return has(case.text.partition("FROM (SELECT")[0], "median", "mean", "sum", "count", "spread", "stddev", "max", "min", "mode", "percentile") and any(len(set(each)) < len(each) for each in times)


def columns_in_pieces(case):
    """What top and bottom show beside the row that they choose, when it is a piece of a row."""
    unequal = case.unequal()
    return "FROM (SELECT" in case.text and has(case.text.partition("FROM (SELECT")[0], "top", "bottom") and bool(unequal) and all(x is None and is_number(y) for _, x, y in unequal)


def goes_back(case, series):
    """Whether rows go back and forth in time."""
    times = [row[0] for row in series.get("values", [])]
    return series["columns"][0] == "time" and times != sorted(times, reverse="ORDER BY time DESC" in case.text)


def has_more_rows(one, other):
    """Whether the first has the rows of the second, and before them one more of some series."""
    pairs = list(zip(one.get("series", []), other.get("series", [])))
    if len(one.get("series", [])) != len(other.get("series", [])) or any(a["columns"] != b["columns"] or a.get("tags") != b.get("tags") for a, b in pairs):
        return False
    return all(a.get("values", [])[-len(b.get("values", [])) :] == b.get("values", []) and len(a.get("values", [])) - len(b.get("values", [])) in (0, 1) for a, b in pairs)


def rows_of(result):
    return [row for series in result.get("series", []) for row in series.get("values", [])]


def is_written(result):
    return [series.get("name") for series in result.get("series", [])] == ["result"]


def written_before_the_range(case):
    """What INTO has written of a transformation in a subquery of windows: also points of the window beside the range."""
    causes = [text for text in case.data.written_by(case.text) if "FROM (SELECT" in text and "time(" in text and has(text.rpartition("FROM (SELECT")[2], *TRANSFORMATIONS)]
    rows = [{(series.get("name"), json.dumps(series.get("tags", {}), sort_keys=True), *map(json.dumps, row)) for series in result.get("series", []) for row in series.get("values", [])} for result in (case.first, case.second)]
    return bool(causes) and rows[1] <= rows[0]


def out_of_order(case):
    """InfluxDB's rows go back and forth in time."""
    rows = [sum(len(series.get("values", [])) for series in result.get("series", [])) for result in (case.first, case.second)]
    return any(goes_back(case, series) for series in case.first.get("series", [])) and abs(rows[0] - rows[1]) <= 1


def windows_before_1970(case):
    return case.data.kind == "negative" and has(case.text, "elapsed", "integral") and "FROM (SELECT" in case.text and "fill(" in case.text


def infinite(case):
    return "json: unsupported value" in str(case.first.get("unreadable"))


# Order

def rows_of_one_time(case):
    """The same rows: those of one time of a series stand in another order."""
    if re.search(r"\b(LIMIT|OFFSET)\b", case.text) and "LIMIT" not in case.text.partition("(SELECT")[2].rpartition(")")[0]:
        # Other rows of the same time are cut.
        return "error" not in case.first and has(case.text, "distinct") and case.agree_on(without(case.text, "LIMIT", "OFFSET"))
    # What is written of sums may have other digits, too.
    digits = 9 if re.search(r"FROM copy\d", case.text) else 17
    return in_order(case.first, digits) == in_order(case.second, digits)


def cut_by_limit(case):
    """Rows in another order, of which LIMIT lets others through."""
    return "FROM (SELECT" in case.text and bool(re.search(r" (LIMIT|OFFSET) \d", case.text)) and case.is_excused(without(case.text, "LIMIT", "OFFSET"))


def in_order(result, digits=17):
    def rounded(cell):
        return float(f"{cell:.{digits}g}") if isinstance(cell, float) and digits < 17 else cell

    def sorted_rows(series):
        rows = [[rounded(cell) for cell in row] for row in series.get("values", [])]
        return sorted(rows, key=lambda row: (row[0] if is_number(row[0]) else 0, repr(row[1:])))

    return {**result, "series": [{**series, "values": sorted_rows(series)} for series in result.get("series", [])]}


def one_of_distinct(case):
    """What is selected of the distinct values of a subquery, which have one time."""
    return "FROM (SELECT" in case.text and has(case.text.partition("FROM (SELECT")[2], "distinct") and bool(case.unequal()) and has(case.text.partition("FROM (SELECT")[0], "first", "last", "elapsed", "difference", "non_negative_difference", "derivative", "non_negative_derivative", "moving_average", "cumulative_sum")


def integral_of_groups(case):
    """The groups of integral come in the order of a hash table, and what stands beside them in rows of their own."""
    if not has(case.text, "integral") or "error" in case.first or "error" in case.second:
        return False
    if re.search(r"\b(LIMIT|OFFSET)\b", case.text):
        return case.agree_on(without(case.text, "LIMIT", "OFFSET", "SLIMIT", "SOFFSET"))
    return merged(case.first) == merged(case.second)


def measurements_of_integral(case):
    """Which series come first, and so are let through, depends on the same table."""
    return has(case.text, "integral") and bool(re.search(r" SLIMIT \d", case.text)) and "FROM /" in case.text


def merged(result):
    """Rows by series and time, joined where they have different cells."""
    rows = {}
    for series in result.get("series", []):
        for row in series.get("values", []):
            key = (series.get("name"), json.dumps(series.get("tags", {}), sort_keys=True), row[0])
            known = rows.setdefault(key, [None] * len(row))
            rows[key] = [b if a is None else a for a, b in zip(known, row)]
    return rows


def integral_newest_first(case):
    return has(case.text, "integral") and "ORDER BY time DESC" in case.text


def equally_frequent(case):
    """Of values that are equally frequent, the winner depends on an unstable sort."""
    unequal = [cell for cell in case.unequal() or [] if not is_digits(case.text, *cell)]
    columns = {"mode"} | set(re.findall(r"\bmode\([^()]*\) AS (\w+)", case.text))
    return has(case.text, "mode") and bool(unequal) and all(column in columns or column.startswith("mode_") for column, _, _ in unequal)


def point_of_percentile(case):
    """Of points with the same value, the one that percentile picks depends on an unstable sort; none is the end of all."""
    if not has(case.text, "percentile") or "error" in case.first or "error" in case.second:
        return False
    unequal = case.unequal()
    if unequal is None:
        return fewer(case) or merged(case.first) == merged(case.second)
    return bool(unequal) and all(not column.startswith("percentile") or x is None for column, x, _ in unequal)


def fewer(case):
    """Whether InfluxDB's answer has some of our series, but not all."""
    one, other = ([json.dumps(series, sort_keys=True) for series in result.get("series", [])] for result in (case.first, case.second))
    return len(one) < len(other) and set(one) < set(other)


# Limits

def without(text, *clauses):
    for clause in clauses:
        text = re.sub(rf" {clause} \d+\b", "", text)
    return text


def ranked_after_limit(case):
    """top and bottom look at the first LIMIT points alone."""
    return has(case.text, "top", "bottom") and bool(re.search(r" LIMIT \d", case.text)) and case.agree_on(without(case.text, "LIMIT", "OFFSET"))


def equally_ranked(case):
    """Of points with one value, those that top and bottom rank first of a subquery that is read newest first."""
    unequal = case.unequal()
    return has(case.text, "top", "bottom") and "FROM (SELECT" in case.text and "ORDER BY time DESC" in case.text and bool(unequal) and not any(re.match(r"(top|bottom)(_\d+)?$", column) for column, _, _ in unequal)


def series_limit(case):
    """SLIMIT counts series without points too, shard by shard."""
    # A lone OFFSET beside it is a reason of its own.
    clauses = ["SLIMIT", "SOFFSET"] + ([] if re.search(r" LIMIT \d", case.text) else ["OFFSET"])
    return bool(re.search(r" SLIMIT \d", case.text)) and case.agree_on(without(case.text, *clauses))


def lone_offset(case):
    """OFFSET without LIMIT ends after a row of each series."""
    return bool(re.search(r" OFFSET \d", case.text)) and not re.search(r" LIMIT \d", case.text) and case.agree_on(without(case.text, "OFFSET"))


# Errors

UNSUPPORTED = re.compile(r"^unsupported [\w ]+ iterator type: \*query\.\w+$")


def one_of_several_errors(case):
    """Calls are looked at in the order of a hash table: any of those that are refused may be the one that is told."""
    return all(UNSUPPORTED.match(result.get("error", "")) for result in (case.first, case.second))


def refused_without_points(case):
    """A function of a text is refused as soon as a shard knows the field, though nothing of it is in range."""
    written = [series.get("values") for series in case.second.get("series", [])]
    return bool(UNSUPPORTED.match(case.first.get("error", ""))) and "error" not in case.second and (not written or " INTO " in case.text and written == [[[0, 0]]])


def first_window(case):
    """Groups are missing whose first window, or point of a transformation, in a subquery lies before the range."""
    if not re.search(r"FROM \(SELECT .*GROUP BY [^()]*time\(", case.text) or "error" in case.first or "error" in case.second:
        return False
    return fewer(case)


def columns_of_other_shards(case):
    """Wildcards stand for the fields of the shards in range, not of all, and for the tags of all of them."""
    if case.data.kind != "weeks" or not re.search(r"\*|/", case.text):
        return False
    if "::tag" in case.text and shows_more(case.second.get("series", []), case.first.get("series", []), case.text):
        return True
    return shows_more(case.first.get("series", []), case.second.get("series", [])) or shows_others(case.first.get("series", []), case.second.get("series", []))


def shows_others(one, other):
    """Whether each has columns that the other has not, of nulls, and is the same without them."""

    def common(series, beside):
        kept = [n for n, column in enumerate(series["columns"]) if column in beside["columns"]]
        gone = [n for n, column in enumerate(series["columns"]) if column not in beside["columns"]]
        rows = series.get("values", [])
        if any(row[n] is not None for row in rows for n in gone):
            return None
        return series.get("name"), series.get("tags"), [[row[n] for n in kept] for row in rows]

    return len(one) == len(other) and any(a["columns"] != b["columns"] for a, b in zip(one, other)) and all(common(a, b) is not None and common(a, b) == common(b, a) for a, b in zip(one, other))


def tags_of_other_shards(case):
    """GROUP BY with a wildcard or a pattern names tags that nothing in range has."""
    if case.data.kind != "weeks" or not re.search(r"GROUP BY [^()]*(\*|/)|GROUP BY .*, (\*|/)", case.text):
        return False
    sets = [[{**series, "tags": {k: v for k, v in series.get("tags", {}).items() if v}} for series in result.get("series", [])] for result in (case.first, case.second)]
    return bool(sets[0]) and sets[0] == sets[1]


def shows_more(one, other, text=""):
    """Whether the second has columns more, of nulls, or of what the text fills them with."""
    if len(one) != len(other):
        return False
    for a, b in zip(one, other):
        shown = [n for n, column in enumerate(b["columns"]) if column in a["columns"]]
        hidden = [n for n, column in enumerate(b["columns"]) if column not in a["columns"]]
        rows = [[row[n] for n in shown] for row in b.get("values", [])]
        if any(row[n] is not None and not is_filler(text, row[n], None) for row in b.get("values", []) for n in hidden) or rows != a.get("values", []):
            return False
    return any(a["columns"] != b["columns"] for a, b in zip(one, other))


def absent_tag_of_a_subquery(case):
    """A tag that a subquery is asked for and does not have, beside top and bottom."""
    unequal = case.unequal()
    return "FROM (" in case.text and has(case.text, "top", "bottom") and bool(unequal) and all(x is None and y == "" for _, x, y in unequal)


def without_outer_condition(text):
    """The statement without the condition of the query around its subquery."""
    start = text.index("FROM (")
    depth, at = 0, start
    for at in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0 and text[at] == ")":
            break
    return text[: at + 1] + re.sub(r"^ WHERE .*?(?= GROUP BY | ORDER BY | S?LIMIT | S?OFFSET | tz\(|$)", "", text[at + 1 :])


def condition_of_an_absent_tag(case):
    """A query around top and bottom that looks at a tag which the subquery does not answer: 1.6 has null there, which is unequal to nothing."""
    return "FROM (" in case.text and has(case.text, "top", "bottom") and bool(re.search(r"(!=|<>|!~|\w = [a-z])[^()]*$", re.sub(r" tz\(.*\)|[()]", "", case.text))) and (fewer(case) or bool(case.unequal()) and case.agree_on(without_outer_condition(case.text)))


def refused_tag_of_a_subquery(case):
    """What a subquery has as a tag by a wildcard is a text, which functions do not take."""
    deep = case.text.partition("FROM (SELECT")[2]
    return ("*::tag" in deep or has(deep, "top", "bottom")) and bool(UNSUPPORTED.match(case.first.get("error", ""))) and "error" not in case.second


def refused_and_not_asked_for(case):
    """A column of a subquery that the query around it does not read is not computed, and so not refused."""
    return "FROM (SELECT" in case.text and bool(UNSUPPORTED.match(case.second.get("error", ""))) and "error" not in case.first


def condition_of_other_shards(case):
    """A condition that makes no sense, where no shard or no series is in range."""
    is_refused = case.second.get("error", "").startswith("invalid expression type in condition")
    return is_refused and set(case.first) == {"statement_id"}


def refused_without_a_shard(case):
    """A function of a truth value or a text, where no shard in range knows the field."""
    return case.data.kind == "weeks" and bool(UNSUPPORTED.match(case.second.get("error", ""))) and set(case.first) == {"statement_id"}


def types_of_other_shards(case):
    """What does not fit together, where no shard in range knows the fields."""
    if case.data.kind != "weeks" or not case.second.get("error", "").startswith("type error: ") or "time" not in case.text:
        return False
    return "error" not in case.first and all(cell is None for series in case.first.get("series", []) for row in series["values"] for cell in row[1:])


def columns_of_one_name(case):
    """Two columns of a subquery that have one name: 1.6 has the first by its name, and the second by its place."""
    deep = case.text.rpartition("FROM (SELECT")[2].partition(" FROM ")[0]
    plain = [name for name, alias in re.findall(r"\b(\w+)\((?:[^()]|\([^()]*\))*\)( AS \w+)?", deep) if not alias]
    # Variables beside one number, or alone.
    plain += re.findall(r"(?:^|, )(\w+)(?:::\w+)?(?: . -?[\d.]+)?(?=,|$)", deep.strip())
    names = {name for name in plain if plain.count(name) > 1}
    if "FROM (SELECT" not in case.text or not names or "error" in case.first:
        return False
    if "error" in case.second:
        return case.second["error"].startswith("type error: ")
    unequal = case.unequal()
    if unequal is None:
        cells = [cell for result in (case.first, case.second) for series in result.get("series", []) for row in series.get("values", []) for cell in row[1:]]
        return "series" not in case.first and all(cell is None for cell in cells)
    return bool(unequal) and all(column.partition("_")[0] in names for column, _, _ in unequal)


def distinct_before_1970(case):
    """A count of distinct values without a lower bound, of points before 1970: it is nothing."""
    is_counted = re.search(r"count\(distinct\b", case.text) is not None and "time >" not in case.text
    unequal = case.unequal()
    is_nothing = fewer(case) or set(case.first) == {"statement_id"} or bool(unequal) and all(x is None for _, x, _ in unequal)
    return case.data.kind == "negative" and is_counted and "error" not in case.second and is_nothing


def no_number_for_filler(case):
    """What an indicator divides by zero is no number to it, and null in the answer, where here is nothing to be filled."""
    unequal = case.unequal()
    return has(case.text, *TRANSFORMATIONS) and "fill(" in case.text and bool(unequal) and all(x is None and is_filler(case.text, y, None) for _, x, y in unequal)


def integral_of_pieces(case):
    """An area of rows that come in pieces, each filled up."""
    outer, _, deep = case.text.partition("FROM (SELECT")
    if "error" in case.first or "error" in case.second:
        return False
    one, other = merged(case.first), merged(case.second)
    return has(outer, "integral") and "fill(" in deep and ", " in deep.partition(" FROM ")[0] and one.keys() == other.keys() and all(is_number(*rows) for key in one for rows in zip(one[key][1:], other[key][1:]))


def cast_of_a_column(case):
    """A number of a subquery that is cast to a text or a truth value comes through as it is."""
    unequal = case.unequal()
    outer = case.text.partition("FROM (SELECT")[0]
    return "FROM (SELECT" in case.text and ("::string" in outer or "::boolean" in outer) and bool(unequal) and all(x is not None and y is None for _, x, y in unequal)


def tag_of_no_row(case):
    """A tag of a subquery whose rows lie in the window, but not in the range."""
    cells = [cell for series in case.first.get("series", []) for row in series.get("values", []) for cell in row[1:]]
    return "FROM (SELECT" in case.text and "time(" in case.text and set(case.second) == {"statement_id"} and bool(cells) and all(cell in (None, "") for cell in cells)


def distinct_without_parentheses(case):
    """`distinct x` in a subquery is a column of nothing."""
    written = re.sub(r"\bdistinct (\w+|\"[^\"]+\")", r"distinct(\1)", case.text)
    return "FROM (SELECT" in case.text and written != case.text and case.agree_on(written)


def columns_of_a_ranking(case):
    """Tags of top and bottom that a subquery does not have are no columns of the query around."""
    return has(case.text.partition("FROM (SELECT")[2], "top", "bottom") and shows_more(case.first.get("series", []), case.second.get("series", []))


def tags_of_a_ranking(case):
    """Tags of top and bottom that a subquery does not answer are null in the answer, and are written all the same."""
    return any(has(text, "top", "bottom") and "FROM (SELECT" in text for text in case.data.written_by(case.text))


def both_in_other_shards(case):
    """A name that is a field and a tag is the one or the other, shard by shard; conditions on fields let all series pass."""
    if case.data.kind != "weeks" or not re.match(r"SHOW (SERIES|TAG)", case.text) or not re.search(r"WHERE .*\bk\b", case.text):
        return False
    rows = [[(series.get("name"), json.dumps(row)) for series in result.get("series", []) for row in series["values"]] for result in (case.first, case.second)]
    return "error" not in case.first and "error" not in case.second and all("both" in f"{name}{row}" for name, row in set(rows[0]) ^ set(rows[1]))


def dropped(series, column):
    """The columns and rows of a series without one of them."""
    kept = [n for n, name in enumerate(series["columns"]) if name != column]
    return [series["columns"][n] for n in kept], [[row[n] for n in kept] for row in series.get("values", [])]


def name_of_both(case):
    """A name that is a field and a tag is one column of a subquery that asks for everything."""
    one, other = case.first.get("series", []), case.second.get("series", [])
    if "FROM (SELECT * FROM both)" in case.text and len(one) == len(other):
        # The second column of the name has values too.
        return all(dropped(b, "k_1") == (a["columns"], a.get("values", [])) for a, b in zip(one, other))
    return bool(re.search(r"FROM \(SELECT (\*(::\w+)?|/[^/]*/) FROM (\w+\.)*(both\b|/)", case.text)) and shows_more(case.first.get("series", []), case.second.get("series", []))


def call_in_a_list(case):
    """A call to the left in the condition of a list of names, which is refused unless it is a list of series."""
    return case.text.startswith("SHOW SERIES") and case.second.get("error", "").startswith("left side of") and "error" not in case.first


KIND_OF_GO = re.compile(r"\*influxql\.\w+")


def kind_in_go(case):
    """What does not fit together, of which 1.6 names the kind that it looks at first."""
    first, second = case.first.get("error", ""), case.second.get("error", "")
    return "*influxql." in first and KIND_OF_GO.sub("", first) == KIND_OF_GO.sub("", second)


def type_of_a_tag(case):
    """Arithmetic with a tag of a subquery, which both refuse, or where 1.6 does not know that it is one."""
    first, second = case.first.get("error", ""), case.second.get("error", "")
    return "FROM (" in case.text and all(not text or text.startswith("type error: ") for text in (first, second)) and "::tag" in first + second


def too_many_windows(case):
    return case.second.get("error", "").startswith(("max-select-buckets limit exceeded", "query limit query-memory-bytes reached")) and "error" not in case.first


def names_a_shard(case):
    return re.sub(r"^shard \d+: ", "", case.first.get("error", "")) == case.second.get("error")


def oscillator_of_one(case):
    """A panic in 1.6 as soon as there is a point."""
    return bool(re.search(r"chande_momentum_oscillator\(.*, 1\b", case.text)) and case.second.get("error", "").startswith("chande_momentum_oscillator period must be greater than")


def gone_in_other_shards(case):
    """What is deleted stays in lists of names until every shard that had it has forgotten it."""
    if "SELECT * FROM gone" in case.text:
        return shows_more(case.second.get("series", []), case.first.get("series", []))
    if not case.text.startswith("SHOW") or "error" in case.first or "error" in case.second:
        return False
    if re.match(r"SHOW (SERIES|TAG VALUES) FROM gone", case.text):
        return case.agree_on("SELECT * FROM gone")
    if re.search(r" (LIMIT|OFFSET) \d", case.text) and re.search(r"\b(gone|copy\d+)\b", json.dumps(case.first)):
        return case.agree_on(without(case.text, "LIMIT", "OFFSET"))
    rows = [{(series.get("name"), json.dumps(row)) for series in result.get("series", []) for row in series["values"]} for result in (case.first, case.second)]

    def is_deleted(name, row):
        return any(re.fullmatch(r"gone|copy\d+", str(part)) for part in (name, *json.loads(row)))

    return rows[1] < rows[0] and ("FROM gone" in case.text or all(is_deleted(name, row) for name, row in rows[0] - rows[1]))


def unknown_tag_in_a_count(case):
    """A count of what has not a tag that nothing has."""
    if "CARDINALITY" not in case.text or case.first.get("series") or "error" in case.first:
        return False
    named = re.findall(r'(\w+|"[^"]+") (?:=~|!~|=|!=|<>) [\'/]', case.text.partition(" WHERE ")[2])
    keys = "\n".join(line.split(" v=")[0] for line in case.data.lines)
    # k is a field too.
    return "k" in named or any(f",{tag.strip(chr(34)).replace(' ', chr(92) + ' ')}=" not in keys for tag in named)


def nothing_passes(case):
    """A function of a text is not refused where a comparison of two names lets no series pass, which is found out later here."""
    return set(case.first) == {"statement_id"} and bool(UNSUPPORTED.match(case.second.get("error", ""))) and bool(re.search(r"WHERE .*\b(v [=>] n\b|host = s\b|[vn] [<>=!]+ ')", case.text))


def measurements_of_shards(case):
    """A measurement that is deleted is counted until every shard that had it has forgotten it."""
    cells = case.cells() or []
    return case.text.startswith("SHOW MEASUREMENT CARDINALITY") and bool(cells) and all(is_number(x, y) and x - y == 1 for _, x, y in cells)


def series_of_shards(case):
    """Series are counted once for each shard that has them."""
    return case.data.kind == "weeks" and "SERIES EXACT CARDINALITY" in case.text and "error" not in case.second


RULES = (
    Rule("last digits", "1.6 adds up floats in an order that depends on the number of cores; Go has sines and logarithms of its own", last_digits),
    Rule("forecast", "1.6 adds up the means that it starts from in an order of its own, and ends where a group has no forecast", forecast),
    Rule("absolute integers", "1.6 leaves negative integers as they are, 1.7 and later do not", absolute),
    Rule("a number among texts", "a column has one type here", number_among_texts),
    Rule("a number among truth values", "a column has one type here", filler_among_texts),
    Rule("arithmetic of fillers", "a column has one type here", arithmetic_of_fillers),
    Rule("filler of no group", "1.6 fills windows of groups that have no point", filler_of_no_group),
    Rule("window beside the range", "1.6 clips it one subquery deep, not two", window_beside_the_range),
    Rule("windows before 1970", "1.6 rounds windows before 1970 to the other side", windows_before_1970),
    Rule("point before the range", "1.6 shows a point of the window beside the range", point_before_the_range),
    Rule("written before the range", "1.6 writes a point of the window beside the range", written_before_the_range),
    Rule("rows out of order", "1.6 lets the rows of some windows come before others", out_of_order),
    Rule("no number", "1.6 breaks the JSON at an infinite number", infinite),
    Rule("rows in pieces", "1.6 does not join them", rows_in_pieces),
    Rule("windows in pieces", "1.6 does not join them", windows_in_pieces),
    Rule("columns in pieces", "1.6 does not join them", columns_in_pieces),
    Rule("rows of one time", "1.6 says nothing about their order", rows_of_one_time),
    Rule("rows cut by LIMIT", "1.6 has them in another order", cut_by_limit),
    Rule("one of distinct values", "1.6 hands them out in the order of a hash table", one_of_distinct),
    Rule("groups of integral", "1.6 sends them in the order of a hash table", integral_of_groups),
    Rule("first groups of integral", "1.6 counts them in the order of a hash table", measurements_of_integral),
    Rule("integral newest first", "1.6 shows areas at the end of their windows, and empty ones beside them", integral_newest_first),
    Rule("equally frequent", "1.6 sorts by an unstable sort", equally_frequent),
    Rule("point of a percentile", "1.6 sorts by an unstable sort, and ends where a window has none", point_of_percentile),
    Rule("ranked after LIMIT", "1.6 ranks the first LIMIT points alone", ranked_after_limit),
    Rule("equally ranked", "1.6 ranks equal points in the order of a heap", equally_ranked),
    Rule("SLIMIT", "1.6 counts series that have no point in range, and counts anew in each shard", series_limit),
    Rule("OFFSET without LIMIT", "1.6 ends after the first row", lone_offset),
    Rule("one of several errors", "1.6 takes the calls in the order of a hash table", one_of_several_errors),
    Rule("refused without points", "1.6 asks the shard, not the range", refused_without_points),
    Rule("first window of a subquery", "1.6 answers nothing when it lies before the range", first_window),
    Rule("columns of other shards", "1.6 knows fields by shard", columns_of_other_shards),
    Rule("tags of other shards", "1.6 knows tags by database", tags_of_other_shards),
    Rule("absent tag of a subquery", "here it is empty, as in the groups", absent_tag_of_a_subquery),
    Rule("unknown tag in a count", "1.6 counts nothing where a tag is asked for that nothing has", unknown_tag_in_a_count),
    Rule("refused though nothing passes", "1.6 compares tags before it looks at types", nothing_passes),
    Rule("condition of an absent tag", "here it is empty, as in the groups", condition_of_an_absent_tag),
    Rule("refused tag of a subquery", "here a tag that is a group has no values to be refused", refused_tag_of_a_subquery),
    Rule("refused and not asked for", "here every column of a subquery is checked", refused_and_not_asked_for),
    Rule("condition of other shards", "1.6 looks at it shard by shard", condition_of_other_shards),
    Rule("refused without a shard", "1.6 asks the shards", refused_without_a_shard),
    Rule("types of other shards", "1.6 knows fields by shard", types_of_other_shards),
    Rule("distinct without parentheses", "1.6 has nothing in its place in a subquery", distinct_without_parentheses),
    Rule("columns of one name", "1.6 mixes them up", columns_of_one_name),
    Rule("distinct before 1970", "1.6 loses them", distinct_before_1970),
    Rule("no number for a filler", "1.6 divides by zero, and has a row for it", no_number_for_filler),
    Rule("integral of pieces", "1.6 does not join them", integral_of_pieces),
    Rule("cast of a column", "here a column has one type", cast_of_a_column),
    Rule("tag of no row", "1.6 shows the tag of a row of the window beside the range", tag_of_no_row),
    Rule("columns of a ranking", "here they are columns, though there is nothing in them", columns_of_a_ranking),
    Rule("tags of a ranking", "1.6 writes tags that it does not answer", tags_of_a_ranking),
    Rule("both in other shards", "1.6 knows fields by shard", both_in_other_shards),
    Rule("name of both", "here they are two columns, as they are without the subquery", name_of_both),
    Rule("call in a list of series", "1.6 refuses it in every other list", call_in_a_list),
    Rule("kind of an expression", "1.6 names another part of it", kind_in_go),
    Rule("type of a tag", "1.6 forgets in a subquery of a subquery that a column is a tag", type_of_a_tag),
    Rule("too many windows", "1.6 has no limit by default", too_many_windows),
    Rule("names a shard", "shards are nothing that a client of a cluster knows", names_a_shard),
    Rule("oscillator of one point", "1.6 panics", oscillator_of_one),
    Rule("gone in other shards", "1.6 keeps the names of what is deleted, shard by shard", gone_in_other_shards),
    Rule("measurements of shards", "1.6 keeps what is deleted, shard by shard", measurements_of_shards),
    Rule("series of shards", "1.6 counts a series once for each of its shards", series_of_shards),
)

# Rules of whole answers.
HIDDEN = Rule("hidden error", "1.6 writes `not executed` over the error of the statement that fails", None)
IN_CSV = Rule("error in CSV", "1.6 answers nothing at all", None)
PARTIAL = Rule("partial of a whole answer", "1.6 says `partial` of a series of more than 10,000 rows that is complete", None)
STAR = Rule("ON *", "1.9 takes SHOW MEASUREMENTS ON *, and says so", None)
REPLICAS = Rule("replicas in CSV", "1.6 writes the column's name where the number belongs", None)
GO_JSON = Rule("words of Go", "what Go says about JSON that is none", None)
PANIC = Rule("panic", "1.6 panics", None)


def rules_of(request, data, one, other, ask):
    """The rules that excuse a difference between two answers (status, body); empty when there is one that nothing excuses."""
    (_, first), (_, second) = one, other
    if first.replace(',"partial":true', "") == second and "chunked" not in request.query:
        return [PARTIAL]
    if first == second.replace("expected identifier or * at", "expected identifier at") and re.search(r"SHOW MEASUREMENTS.* ON", request.text):
        return [STAR]
    if request.csv and re.sub(r",replicaN,(true|false)", r",1,\1", first) == second:
        return [REPLICAS]
    if "chunked" in request.query and has(request.text, "holt_winters", "holt_winters_with_fit") and first.replace(',"partial":true', "") == second.replace(',"partial":true', ""):
        return [PARTIAL]
    if one[0] == other[0] == 400 and all("error parsing query parameters: " in text for text in (first, second)):
        return [GO_JSON]
    if all(re.search(r'"error": ?"unsupported [\w ]+ iterator type: \*query', text) for text in (first, second)) and "; " not in request.text:
        return [next(rule for rule in RULES if rule.holds is one_of_several_errors)]
    rules = []
    if is_formatted(request):
        one, other = ask(plain(request, request.text))
        if one == other:
            if has(request.text, "integral"):
                # The order of a hash table, which is another one each time.
                return [next(rule for rule in RULES if rule.holds is integral_of_groups)]
            return [IN_CSV] if request.csv and '"error":' in one[1] and "error\n" not in first else []
        if request.csv and '"error":' in other[1]:
            rules.append(IN_CSV)
        if one[1].replace(',"partial":true', "") == other[1]:
            return [PARTIAL]
    if "json: unsupported value" in one[1]:
        return [next(rule for rule in RULES if rule.holds is infinite)]
    results = [results_of(answer) for answer in (one, other)]
    if None in results:
        return []
    theirs, ours = results
    if "panic:" in one[1] and len(theirs) == 1 and theirs[0]["statement_id"] == -1:
        return [PANIC]
    texts = request.text.split("; ")
    last = len(theirs) - 1
    if last == 0 and len(ours) > 1 and theirs[0].get("error") in [result.get("error") for result in ours[1:]]:
        # The error has the number of the first statement, and its place.
        return [HIDDEN]
    if last >= 0 and theirs[last].get("error") == "not executed" and len(ours) > last:
        if not hidden_error(theirs, ours):
            # What hides the error here is a difference of its own.
            alone = plain(request, texts[last])
            case = case_of(Case("", {}, {}, data, request, ask), texts[last], *ask(alone)) if len(texts) == len(ours) else None
            if case is None or not any(rule.holds(case) for rule in RULES):
                return []
        rules.append(HIDDEN)
        ours, theirs = ours[:last], theirs[:last]
    if len(theirs) != len(ours):
        return []
    failed = next((n for n, (one, other) in enumerate(zip(theirs, ours)) if "error" in other and "error" not in one), None)
    if failed is not None and len(texts) == len(ours):
        # What follows is not executed: it is asked by itself.
        alone = Case("", {}, {}, data, request, ask)
        if any(result.get("error") != "not executed" for result in ours[failed + 1 :]) or not all(map(alone.agree_on, texts[failed + 1 :])):
            return []
        theirs, ours = theirs[: failed + 1], ours[: failed + 1]
    for number, (one, other) in enumerate(zip(theirs, ours)):
        # 0 and false are the same to Python.
        if json.dumps(one) == json.dumps(other):
            continue
        text = texts[number] if len(texts) == len(results[1]) else request.text
        case = Case(text, one, other, data, request, ask)
        rule = next((rule for rule in RULES if rule.holds(case)), None)
        if rule is None:
            return []
        rules.append(rule)
    return rules


# One node and several: a cluster keeps the types of fields that are deleted, for writes that are still on their way.
TYPES_STAY = Rule("types stay", "of several nodes the types of deleted fields stay as long as their bucket does", None)


def types_stay(request, one, other, ask):
    """Whether a node and a cluster differ in columns of nulls, or in what a field is that is no more."""
    if request.text.startswith("DELETE FROM gone WHERE v"):
        return "fields not supported" in other[1] and '"error"' not in one[1]
    if is_formatted(request):
        one, other = ask(plain(request, request.text))
    results = [results_of(answer) for answer in (one, other)]
    if None in results or len(results[0]) != len(results[1]):
        return False
    pairs = [(a, b) for a, b in zip(*results) if a != b]
    return bool(pairs) and all(shows_more(a.get("series", []), b.get("series", [])) for a, b in pairs)


def is_formatted(request):
    """Whether an answer has another form than one document with times in nanoseconds; what changes something never has."""
    return request.csv or any(key in request.query for key in ("pretty", "chunked")) or request.query.get("epoch") != "ns"


def hidden_error(theirs, ours):
    last = len(theirs) - 1
    if last < 0 or theirs[last].get("error") != "not executed" or len(ours) < len(theirs):
        return False
    return "error" in ours[last] and ours[last]["error"] != "not executed" and all(result.get("error") == "not executed" for result in ours[last + 1 :])
