"""Requests for differential.py: InfluxQL of a grammar that knows what InfluxDB 1.x takes, and now and then what it does not."""

import json
import re
from datetime import datetime, timedelta

from influxql_data import SECOND, TEXTS

AGGREGATES = ("count", "mean", "sum", "min", "max", "first", "last", "spread", "stddev", "median", "mode", "percentile")
# What 1.x picks by an unstable sort is compared where it can be seen, not where more is computed of it.
PICKED = ("mode", "percentile")
# Functions whose result is a number for every number. NaN goes on through 1.x, where it is null here.
SAFE = ("abs", "atan", "ceil", "cos", "floor", "round", "sin")
OF_ANY = ("count", "first", "last", "mode")
TRANSFORMS = (
    "derivative", "non_negative_derivative", "difference", "non_negative_difference", "cumulative_sum", "elapsed", "moving_average",
)
INDICATORS = (
    "exponential_moving_average", "double_exponential_moving_average", "triple_exponential_moving_average",
    "triple_exponential_derivative", "relative_strength_index", "kaufmans_efficiency_ratio",
    "kaufmans_adaptive_moving_average", "chande_momentum_oscillator",
)
MATH = ("abs", "acos", "asin", "atan", "ceil", "cos", "exp", "floor", "ln", "log2", "log10", "round", "sin", "sqrt", "tan")
ZONES = ("Europe/Berlin", "America/Los_Angeles", "UTC", "Asia/Kolkata", "Australia/Lord_Howe", "Nowhere/At_All")
WINDOWS = {
    "dense": ("10s", "1m", "1m, 7s", "25s", "7s", "1s"),
    "weeks": ("1d", "1w", "12h", "3d", "1w, 1d", "1d, 6h", "30d"),
    "sparse": ("1m", "10m", "10m, -90s", "1h", "37m"),
}


class Request:
    """What is sent to /query, or with `lines` to /write."""

    def __init__(self, text, lines=None, csv=False, **query):
        self.text, self.lines, self.csv, self.query = text, lines, csv, query

    def __str__(self):
        more = {**self.query, **({"csv": True} if self.csv else {})}
        return (self.text if self.lines is None else f"write {len(self.lines)} lines") + (f"   {more}" if more else "")


INNER_LIMIT = "LIMIT-INSIDE"


def limited(text):
    """With the limits of subqueries, where only one group passes through: 1.x counts anew whenever the next row is another group's."""
    several = re.search(r"GROUP BY (?!time\([^()]*\)( |\)|$))|, time\(|FROM [^( ]*/|FROM [\w.\"]+, |\), cpu", text)
    return re.sub(f" {INNER_LIMIT} \\d+", "", text) if several else text.replace(INNER_LIMIT, "LIMIT")


class Statements:
    """Statements that fit to a data set."""

    def __init__(self, chance, data):
        self.chance, self.data = chance, data
        self.number_of_targets = 0
        # Whether a SELECT around the one that is being made has windows.
        self.has_windows = False

    def pick(self, *choices):
        return self.chance.choice(choices)

    def flip(self, share):
        return self.chance.random() < share

    def maybe(self, share, text):
        return text() if self.flip(share) else ""

    def requests(self):
        """Requests that belong together: mostly one."""
        kind = self.chance.random()
        if kind < 0.035:
            return self.into()
        if kind < 0.07:
            return self.deleting()
        if kind < 0.10:
            return [self.request("; ".join(self.pick(self.select, self.show, self.wrong)() for _ in range(self.chance.randint(2, 4))))]
        if kind < 0.16:
            return [self.request(self.wrong())]
        if kind < 0.28:
            return [self.request(self.show())]
        if kind < 0.30:
            return [self.with_params()]
        return [self.request(self.select())]

    def request(self, text, **query):
        if self.flip(0.8):
            query["epoch"] = self.pick("ns", "ns", "ns", "u", "ms", "s", "m", "h")
        if self.flip(0.05):
            query["pretty"] = "true"
        if self.flip(0.1):
            query["chunked"] = "true"
            if self.flip(0.8):
                query["chunk_size"] = str(self.chance.randint(1, 20))
        return Request(text, csv=self.flip(0.05), db="d", **query)

    # Fields

    def field(self):
        return self.pick("v", "v", "n", "n", "s", "b", "x", "k", '"odd field"', "nope")

    def number(self):
        return self.pick("v", "v", "v", "n", "n", "n", "x", "k")

    def aggregate(self, inner=None, is_inside=False, depth=0):
        """A call that makes one value of many; `inner` names what there is instead of fields, and more is computed of what `is_inside`."""
        # The deviation of one point is NaN.
        hidden = (PICKED if is_inside else ()) + (("stddev",) if depth else ())
        name = self.pick(*(name for name in AGGREGATES if name not in hidden))
        of = self.pick(*inner) if inner else self.field() if name in OF_ANY or self.flip(0.04) else self.number()
        if self.flip(0.04):
            of = self.pick("*", "/[vn]/", "*::field")
        if name == "percentile":
            return f"percentile({of}, {self.pick(5, 50, 90, 99.9, 100, 0)})"
        if name == "count" and self.flip(0.15) and of.isalnum():
            return self.pick(f"count(distinct({of}))", f"count(distinct {of})")
        return f"{name}({of})"

    def transform(self, inner):
        if self.flip(0.3):
            return self.indicator(inner)
        name = self.pick(*TRANSFORMS)
        if name == "moving_average":
            return f"{name}({inner}, {self.chance.randint(2, 4)})"
        if name in ("derivative", "non_negative_derivative", "elapsed"):
            return f"{name}({inner}{self.pick('', ', 1s', ', 1m')})"
        return f"{name}({inner})"

    def indicator(self, inner):
        name = self.pick(*INDICATORS)
        more = self.pick("", "", ", 0", ", 1", ", 3", ", -1")
        if more and not name.startswith("kaufman"):
            more += self.pick("", ", 'simple'", ", 'exponential'", ", 'none'")
        least = 2 if name == "chande_momentum_oscillator" else 1
        return f"{name}({inner}, {self.chance.randint(least, 5)}{more})"

    def forecast(self):
        return f"{self.pick('holt_winters', 'holt_winters_with_fit')}({self.pick('mean', 'first', 'max', 'sum', 'count')}({self.number()}), {self.chance.randint(1, 5)}, {self.pick(0, 0, 1, 2, 4)})"

    def of_functions(self, depth=0):
        # 1.x takes functions of integers for integers in a subquery.
        inner = self.pick(self.number(), "v * 2", "v + n", "-v", "n / 3") if depth == 0 else self.pick("v", "v * 2")
        name = self.pick(*MATH, "pow", "atan2", "log") if depth == 0 else self.pick(*SAFE)
        return f"{name}({inner}, {self.pick('2', 'n', '0.5')})" if name in ("pow", "atan2", "log") else f"{name}({inner})"

    def arithmetic(self, one, another, depth):
        return self.pick(
            f"{one} {self.pick('+', '-', '*', '/')} {self.pick('2', '0.5', '-1', '0', another)}",
            f"({one} {self.pick('+', '-', '*')} {another}) / {self.pick('2', another)}",
            f"{self.pick('abs', 'floor', 'round', *(['sqrt'] if depth == 0 else []))}({one})",
            f"-{one}" if one.isalnum() else f"2 * {one}",
        )

    def raw_field(self, depth, inner):
        return self.pick(
            *(["x::string", "k::field"] if depth == 0 and not inner else []), self.field(), self.field(), self.field(), "host", "region", "v * 2", "n / 2", "n % 3", "n & 3", "n | 4", "n ^ 1", "v + n", "-v", "-n",
            "(v + 1) * 2", "n / n", "v / n", "v::integer", "n::float", "x::float", "k::tag", "b & true", self.of_functions(depth),
            self.of_functions(depth),
        )

    def fields(self, every, inner, depth=0):
        """The fields of a SELECT, of which `inner` names some when it is over a subquery."""
        kind = self.chance.random()
        number = (lambda: self.pick(*inner)) if inner else self.number
        if every:
            if kind < 0.04 and not inner and depth == 0:
                return [self.forecast()]
            if kind < 0.06:
                return [f"distinct({number()})"]
            if kind < 0.12:
                return [f"{self.pick('top', 'bottom')}({number()}{self.pick('', ', host', ', region')}, {self.chance.randint(1, 3)})"]
            if kind < 0.16:
                return [f"{self.pick('max', 'min', 'first', 'last')}({number()})", self.pick("host", "n", "v", "s", "*")]
            some = []
            for _ in range(self.chance.randint(1, 3)):
                how = self.chance.random()
                one = self.aggregate(inner, is_inside=how < 0.4 or depth > 0, depth=depth)
                # Over a subquery, 1.x reads windows before the range, and loses itself there.
                if how < 0.25 and not inner:
                    one = self.transform(one)
                elif how < 0.4:
                    one = self.arithmetic(one, self.aggregate(inner, is_inside=True, depth=depth), depth)
                some.append(one)
            if self.flip(0.04) and not inner and depth == 0:
                # 1.x cuts areas of integers wrongly at the ends of windows.
                return [f"integral(v{self.pick('', ', 10s', ', 1m')})"]
            return some
        if kind < 0.35:
            return [self.pick(*inner) if inner and self.flip(0.6) else self.raw_field(depth, inner) for _ in range(self.chance.randint(1, 4))]
        if kind < 0.45:
            return [self.pick("*", "*", "/^[vnk]$/", "*::field", "*::tag, v", "*, v", "/o/")]
        # Over a subquery of several groups, 1.x takes points in an order of its own.
        if kind < 0.6 and not inner:
            return [self.transform(number())] + [self.transform(number()) for _ in range(self.pick(0, 0, 1))]
        if kind < 0.7:
            tags = self.pick("", ", host", ", region", ", host, region", ", nope")
            return [f"{self.pick('top', 'bottom')}({number()}{tags}, {self.chance.randint(1, 4)})"] + self.pick([], [], ["host"], ["n"], ["*"])
        if kind < 0.78:
            return [f"{self.pick('max', 'min', 'first', 'last')}({number()})", self.pick("host", "n", "v", "s", "*", "region, b")]
        if kind < 0.80:
            return [f"distinct({self.field()})"]
        if kind < 0.83 and depth == 0:
            return [f"integral({number()}{self.pick('', ', 10s', ', 1m')})"]
        if kind < 0.85:
            return [self.arithmetic(self.aggregate(inner, is_inside=True, depth=depth), self.aggregate(inner, is_inside=True, depth=depth), depth)]
        return [self.aggregate(inner, is_inside=depth > 0, depth=depth) for _ in range(self.chance.randint(1, 3))]

    # Clauses

    def source(self, depth, every):
        """Where a SELECT reads, and the names of what is there when it is a subquery."""
        if depth < 2 and self.flip(0.16):
            above, self.has_windows = self.has_windows, self.has_windows or every
            text, names = self.inner_select(depth + 1)
            self.has_windows = above
            return f"({text})", names
        names = [f'"{name}"' if " " in name else name for name in self.data.measurements]
        return self.pick(
            *names, "cpu", "cpu", "mem", "/^c/", "/./", "/m|n/", "cpu, mem", '"d"."autogen"."cpu"', "d..cpu", "autogen.cpu", "nothing", "/none/", "cpu, /m/"
        ), None

    def time(self, at, is_lower):
        """A time as InfluxQL can write it; a lower bound may be the day's beginning instead."""

        def moment(seconds):
            return datetime(1970, 1, 1) + timedelta(seconds=seconds)

        return self.pick(
            f"{at}s", f"{at}s", f"{at * SECOND}", f"{at * 1000}ms", f"'{moment(at):%Y-%m-%dT%H:%M:%SZ}'", f"'{moment(at):%Y-%m-%d %H:%M:%S}'",
            f"'{moment(at + 90):%Y-%m-%dT%H:%M:%SZ}' - 90s", f"{at - 60}s + 1m", *([f"'{moment(at):%Y-%m-%d}'"] if is_lower else []),
        )

    def bounds(self, closed):
        first = self.data.start + self.chance.randint(-30, self.data.span // 2)
        last = first + self.pick(10, 60, 300, 2400, self.data.span)
        lower = f"time {self.pick('>=', '>=', '>')} {self.time(first, is_lower=True)}"
        upper = f"time {self.pick('<', '<', '<=')} {self.time(last, is_lower=False)}"
        if not closed and self.flip(0.3):
            return self.pick(lower, upper, f"time = {self.data.start * SECOND}")
        return f"{lower} AND {upper}"

    def tag_test(self):
        tag = self.pick("host", "host", "region", "rack", "k", '"odd tag"', "nope")
        if self.flip(0.6):
            return f"{tag} {self.pick('=', '=', '!=', '<>')} '{self.pick('a', 'b', 'c', '', 'z')}'"
        return f"{tag} {self.pick('=~', '!~')} /{self.pick('[ab]', '^c$', '.', '^$', 'a|c', '^(a|b)$')}/"

    def field_test(self, inner):
        if inner and self.flip(0.6):
            return f"{self.pick(*inner)} {self.pick('>', '<=', '!=', '=')} {self.pick('0', '2', '-1.5')}"
        text = self.pick(*(t for t in TEXTS if t.isalpha()))
        return self.pick(
            "v > 0", "n <= 3", f"s = '{text}'", f"s != '{text}'", "b = true", "b != true", "n + v > 1", "(v < 0 OR n > 2)", "s =~ /o/", "s !~ /o/", "abs(v) < 3",
            "v = n", "v > n", "k > 0", "x > 0", "x = 'up'", "x = true", "nope = 'a'", "nope > 1", "n % 2 = 0", "v >= 0.5", "n & 1 = 1", "host = s", "-v < 2",
            "v > '1'", "s > 1", "b", "true", "false", "1 = 1",
        )

    def condition(self, closed, inner, may_bound=True):
        parts = [self.bounds(closed)] if closed or may_bound and self.flip(0.4) else []
        if self.flip(0.35):
            parts.append(self.tag_test())
        if self.flip(0.25):
            parts.append(self.field_test(inner))
        if self.flip(0.06):
            parts.append(f"({self.tag_test()} OR {self.tag_test()})")
        if self.flip(0.03):
            parts.append(f"({self.tag_test()} OR {self.field_test(inner)})")
        return f" WHERE {' AND '.join(parts)}" if parts else ""

    def window(self):
        return f"time({self.pick(*WINDOWS.get(self.data.kind, WINDOWS['dense'] + ('1h',)))})"

    def fill(self):
        return f" fill({self.pick('none', 'null', 'previous', 'linear', '0', '2.5', '-1', '100')})"

    def parts(self, depth, every):
        """Fields, source and the rest of a SELECT but for what only the outermost has."""
        source, inner = self.source(depth, every)
        fields = self.fields(every, inner if inner and self.flip(0.85) else None, depth)
        groups = [self.window()] if every else []
        if self.flip(0.4):
            # Where a tag is named twice, 1.x counts rows twice.
            tags = self.chance.sample(["host", "region", "rack", "*", "/^h/", "k", '"odd tag"', "nope"], self.pick(1, 1, 1, 2))
            groups += ["*"] if "*" in tags else ["/^h/"] if "/^h/" in tags else tags
        self.chance.shuffle(groups)
        fill = self.maybe(0.5, self.fill) if every else self.maybe(0.02, self.fill)
        # Where a subquery has windows, 1.x does not find its way at the borders of a range around it.
        condition = self.condition(every, inner, may_bound="time(" not in source)
        text = f"{source}{condition}"
        return fields, text + (f" GROUP BY {', '.join(groups)}{fill}" if groups else fill)

    def inner_select(self, depth):
        fields, text = self.parts(depth, not self.has_windows and self.flip(0.5))
        names = []
        for number, field in enumerate(fields):
            if self.flip(0.4) and "*" not in field.split("(")[-1][:1] and "/" != field[0] and ", " not in field[:3]:
                names.append(f"f{number}")
                fields[number] = f"{field} AS f{number}"
            elif field.split("(")[0].replace("_", "").isalnum():
                names.append(field.split("(")[0])
        more = self.maybe(0.1, lambda: f" {INNER_LIMIT} {self.chance.randint(1, 5)}")
        more = self.maybe(0.04, lambda: f" ORDER BY time {self.pick('ASC', 'DESC')}") + more
        return f"SELECT {', '.join(fields)} FROM {text}{more}", names or ["v"]

    def select(self):
        fields, text = self.parts(0, self.flip(0.4))
        fields = [f"{field} AS {self.pick('a', 'time_', 'v', 'one')}" if field[0] not in "*/" and ", " not in field and self.flip(0.05) else field for field in fields]
        text = limited(f"SELECT {', '.join(fields)} FROM {text}{self.ending('(SELECT' in text)}")
        # A forecast of thousands of windows takes both servers a minute.
        takes_long = "holt_winters" in text and re.search(r"'\d+-\d+-\d+'", text)
        return self.select() if takes_long else text

    def ending(self, of_subquery):
        text = self.maybe(0.2, lambda: f" ORDER BY time {self.pick('ASC', 'DESC', 'DESC')}")
        if self.flip(0.25):
            text += f" LIMIT {self.chance.randint(1, 5)}" + self.maybe(0.3, lambda: f" OFFSET {self.chance.randint(0, 4)}")
        else:
            text += self.maybe(0.02, lambda: f" OFFSET {self.chance.randint(0, 4)}")
        if self.flip(0.12) and not of_subquery:
            text += f" SLIMIT {self.chance.randint(1, 3)}" + self.maybe(0.3, lambda: f" SOFFSET {self.chance.randint(0, 2)}")
        return text + self.maybe(0.07, lambda: f" tz('{self.pick(*ZONES)}')")

    # SHOW

    def show(self):
        def name():
            return self.pick(*(f'"{m}"' if " " in m else m for m in self.data.measurements), "nothing")

        on = self.maybe(0.3, lambda: " ON d")
        where = self.maybe(0.4, lambda: f" WHERE {self.tag_test()}" + self.maybe(0.25, lambda: f" {self.pick('AND', 'OR')} {self.tag_test()}"))
        origin = self.maybe(0.6, lambda: f" FROM {self.pick(name(), name(), name(), '/./', '/c|m/', 'cpu, mem', 'd.autogen.cpu')}")
        limit = self.maybe(0.25, lambda: f" LIMIT {self.chance.randint(1, 3)}" + self.maybe(0.4, lambda: f" OFFSET {self.chance.randint(0, 2)}"))
        key = self.pick("= host", "= region", "= k", '= "odd tag"', "!= host", "=~ /h|r/", "!~ /^h/", "IN (host, rack)", 'IN ("host", k, nope)', "= nope")
        exact = self.pick(" EXACT", " EXACT", "")
        return self.pick(
            f"SHOW {self.pick('MEASUREMENTS', 'SERIES', 'TAG KEYS', 'FIELD KEYS', 'SERIES EXACT CARDINALITY')} ON nowhere",
            f"SHOW MEASUREMENTS{on}{limit}",
            f"SHOW MEASUREMENTS{on} WITH MEASUREMENT {self.pick('=~ /c/', '=~ /m/', '=~ /./', '= cpu', '= nothing')}{where}{limit}",
            f"SHOW SERIES{on}{origin}{where}{limit}",
            f"SHOW TAG KEYS{on}{origin}{where}{limit}",
            f"SHOW FIELD KEYS{on}{origin}{limit}",
            f"SHOW TAG VALUES{on}{origin} WITH KEY {key}{where}{limit}",
            f"SHOW TAG VALUES{on}{origin} WITH KEY {key}{where}{limit}",
            f"SHOW RETENTION POLICIES{on}",
            f"SHOW MEASUREMENT{exact} CARDINALITY{on}{origin if exact else ''}",
            f"SHOW SERIES{exact} CARDINALITY{on}",
            f"SHOW SERIES EXACT CARDINALITY{on}{origin}{where}",
            f"SHOW TAG KEY{exact} CARDINALITY{on}{origin}{where}",
            f"SHOW TAG VALUES{exact} CARDINALITY{on}{origin} WITH KEY {key}{where}",
            f"SHOW FIELD KEY{exact} CARDINALITY{on}{origin}",
        )

    # What changes something

    def into(self):
        """A SELECT that writes, and what it has written."""
        self.number_of_targets += 1
        target = f"copy{self.number_of_targets}"
        # What has no number is a point less in 1.x, and a number among texts one of another type.
        fields, text = next(
            (fields, text)
            for fields, text in (self.parts(1, self.flip(0.5)) for _ in range(1000))
            if not any(f"{name}(" in " ".join([*fields, text]) for name in MATH + ("log", "pow")) and not re.search(r"fill\([-\d]|, cpu", text)
        )
        to = self.pick(target, f"d.autogen.{target}", f"d..{target}", f"autogen.{target}")
        if self.flip(0.1):
            fields, text, to = ["*"], f"/^{target[:3]}none|{self.pick('cpu', 'both')}$/ GROUP BY *", "e..:MEASUREMENT"
            reads = ["SELECT * FROM e.././", "SHOW FIELD KEYS ON e", "SHOW SERIES ON e", "DROP SERIES FROM /./"]
            return [Request(f"SELECT * INTO {to} FROM {text}", db="d", epoch="ns")] + [
                Request(read, db="e" if read.startswith("DROP") else "d", epoch="ns") for read in reads
            ]
        reads = [f"SELECT * FROM {target}", f"SELECT * FROM {target} GROUP BY *", f"SHOW FIELD KEYS FROM {target}", f"SHOW SERIES FROM {target}", f"DROP MEASUREMENT {target}"]
        return [Request(limited(f"SELECT {', '.join(fields)} INTO {to} FROM {text}"), db="d", epoch="ns")] + [Request(read, db="d", epoch="ns") for read in reads]

    def deleting(self):
        """Points that go, and what stays."""
        lines = self.data.measurement("gone", 4)
        changes = []
        for _ in range(self.chance.randint(1, 2)):
            tag = f"{self.pick('host', 'host', 'nope')} {self.pick('=', '=', '!=')} '{self.pick('a', 'b', '')}'" if self.flip(0.8) else f"host =~ /{self.pick('[ab]', 'c')}/"
            time = self.bounds(self.flip(0.5))
            changes.append(self.pick(
                f"DELETE FROM gone WHERE {tag}", f"DELETE FROM gone WHERE {time}", f"DELETE FROM gone WHERE {time} AND {tag}", "DELETE FROM /gone/ WHERE host = 'c'",
                "DELETE FROM gone", f"DROP SERIES FROM gone WHERE {tag}", "DROP SERIES FROM gone", "DROP MEASUREMENT gone", "DROP MEASUREMENT nothing",
                "DELETE FROM gone WHERE v > 0", f"DROP SERIES FROM gone WHERE {time}",
            ))
        reads = ["SELECT * FROM gone", "SHOW SERIES FROM gone", "SHOW TAG VALUES FROM gone WITH KEY = host", "SELECT count(v), sum(n) FROM gone GROUP BY host"]
        asked = [Request(text, db="d", epoch="ns") for change in changes for text in (change, *reads)]
        return [Request("", lines=lines, db="d"), *asked, Request("DROP MEASUREMENT gone", db="d")]

    def with_params(self):
        text, values = self.pick(
            ("SELECT v FROM cpu WHERE host = $host", {"host": self.pick("a", "b", "")}),
            ("SELECT v, n FROM cpu WHERE n > $least AND v < $most", {"least": self.chance.randint(-3, 3), "most": 5.5}),
            ("SELECT b FROM cpu WHERE b = $b", {"b": self.flip(0.5)}),
            ("SELECT count(v) FROM cpu WHERE time >= $from", {"from": (self.data.start + 20) * SECOND}),
            ("SELECT count(v) FROM cpu WHERE time >= $from", {"from": "2020-09-13T12:27:00Z"}),
            ('SELECT v FROM cpu WHERE host = $"odd name"', {"odd name": "a"}),
            ("SELECT v FROM cpu WHERE host = $missing", {"host": "a"}),
            ("SELECT v FROM cpu LIMIT $n", {"n": 2}),
            ("SELECT v FROM cpu WHERE host = $host", {"host": self.pick(None, [], {"string": "a"}, {"identifier": "host"}, {"x": 1}, {"a": 1, "b": 2}, {"string": 1})}),
            ("SELECT v FROM cpu WHERE host =~ $host", {"host": self.pick({"regex": "[ab]"}, {"regex": 1}, {"string": "a"})}),
            ("SELECT $field FROM cpu LIMIT 2", {"field": self.pick({"identifier": "v"}, {"ident": "n"}, {"identifier": 1}, "v", 1)}),
            ("SELECT count(v) FROM cpu WHERE time > 1600000000s + $d", {"d": self.pick({"duration": "30s"}, {"duration": 5 * SECOND}, {"duration": True}, {"duration": "x"})}),
            ("SELECT v FROM cpu WHERE v > $least LIMIT 5", {"least": self.pick({"float": 1.5}, {"number": 2}, {"integer": 1}, {"integer": 1.5}, 0.5)}),
            ("SELECT v FROM cpu WHERE host = $host", [1]),
        )
        return self.request(text, params=json.dumps(values))

    # What is wrong

    def wrong(self):
        """A statement whose words are changed, or one that is known to be refused."""
        if self.flip(0.4):
            return self.pick(*REFUSED)
        words = (self.select() if self.flip(0.6) else self.show()).split(" ")
        for _ in range(self.pick(1, 1, 2)):
            at = self.chance.randrange(len(words))
            if '"' in words[at]:
                continue
            how = self.chance.random()
            if how < 0.35 and len(words) > 2:
                del words[at]
            elif how < 0.6:
                words.insert(at, self.chance.choice(words))
            elif how < 0.85:
                other = self.chance.randrange(len(words))
                words[at], words[other] = words[other], words[at]
            else:
                words[at] = self.pick("FROM", "WHERE", "(", ")", ",", "'", '"', "/", "1", "1.5", "10s", "SELECT", "GROUP BY", "=", "=~", "time(1m)", "!", "$", "1x", "*", "-", ";")
        text = " ".join(words)
        # Windows since 1970 are a thousand million.
        is_bounded = re.search(r"time >=? ('\d{4}-|-?\d{8})", text)
        return text if is_bounded or "time(" not in text else self.pick(*REFUSED)


# Each is refused by a rule of its own.
REFUSED = (
    "SELECT", "SELECT v", "SELECT v FROM", "SELECT FROM cpu", "SELECT v FROM cpu WHERE", "SELECT v FROM cpu GROUP BY", "SELECT v FROM cpu LIMIT", "SELECT v FROM cpu LIMIT -1",
    "SELECT v FROM cpu LIMIT 1.5", "SELECT v FROM cpu LIMIT a", "SELECT v FROM cpu OFFSET x", "SELECT v FROM cpu SLIMIT", "SELECT v FROM cpu ORDER BY v", "SELECT v FROM cpu ORDER BY",
    "SELECT v FROM cpu ORDER BY time DESC, v", "SELECT v FROM cpu ORDER BY time UP", "SELECT 1 FROM cpu", "SELECT 1 + 2 FROM cpu", "SELECT 'a' FROM cpu", "SELECT time FROM cpu",
    "SELECT mean(v), v FROM cpu", "SELECT mean(v) FROM cpu GROUP BY time(1m), time(2m)", "SELECT v FROM cpu GROUP BY time(1m)", "SELECT mean(v) FROM cpu GROUP BY time(0s)",
    "SELECT mean(v) FROM cpu GROUP BY time()", "SELECT mean(v) FROM cpu GROUP BY time(1m, 2m, 3m)", "SELECT mean(v) FROM cpu GROUP BY time(v)", "SELECT mean(v) FROM cpu GROUP BY mean(v)",
    "SELECT mean(v) FROM cpu GROUP BY time", "SELECT mean(v) FROM cpu GROUP BY 1", "SELECT mean() FROM cpu", "SELECT mean(v, n) FROM cpu", "SELECT mean(1) FROM cpu", "SELECT mean(mean(v)) FROM cpu",
    "SELECT nothing(v) FROM cpu", "SELECT percentile(v) FROM cpu", "SELECT percentile(v, 'a') FROM cpu", "SELECT percentile(v, n) FROM cpu", "SELECT top(v) FROM cpu", "SELECT top(v, 0) FROM cpu",
    "SELECT top(v, -1) FROM cpu", "SELECT top(v, host) FROM cpu", "SELECT top(v, 1.5) FROM cpu", "SELECT top(v, 'a', 2) FROM cpu", "SELECT top(v, 5) FROM cpu LIMIT 3", "SELECT top(v, 2), max(v) FROM cpu",
    "SELECT top(v, 2), bottom(v, 2) FROM cpu", "SELECT distinct(v), v FROM cpu", "SELECT distinct(v), mean(v) FROM cpu", "SELECT distinct() FROM cpu", "SELECT distinct(v, n) FROM cpu",
    "SELECT distinct(mean(v)) FROM cpu", "SELECT count(distinct()) FROM cpu", "SELECT count(distinct(v, n)) FROM cpu", "SELECT derivative() FROM cpu", "SELECT derivative(v, 0s) FROM cpu",
    "SELECT derivative(v, -1s) FROM cpu", "SELECT derivative(v, 5) FROM cpu", "SELECT derivative(mean(v)) FROM cpu", "SELECT derivative(v) FROM cpu GROUP BY time(1m)",
    "SELECT derivative(derivative(v)) FROM cpu", "SELECT moving_average(v) FROM cpu", "SELECT moving_average(v, 1) FROM cpu", "SELECT moving_average(v, 2.5) FROM cpu", "SELECT elapsed(v, 0s) FROM cpu",
    "SELECT elapsed(v, 1) FROM cpu", "SELECT integral(v, 0s) FROM cpu", "SELECT integral(v, 1) FROM cpu", "SELECT integral() FROM cpu", "SELECT holt_winters(v, 1, 0) FROM cpu",
    "SELECT holt_winters(mean(v), 1, 0) FROM cpu", "SELECT holt_winters(mean(v), 0, 0) FROM cpu GROUP BY time(1m)", "SELECT holt_winters(mean(v), 1, -1) FROM cpu GROUP BY time(1m)",
    "SELECT holt_winters(mean(v)) FROM cpu GROUP BY time(1m)", "SELECT sample(v) FROM cpu", "SELECT sample(v, 0) FROM cpu", "SELECT sample(v, 1.5) FROM cpu", "SELECT cumulative_sum() FROM cpu",
    "SELECT exponential_moving_average(v) FROM cpu", "SELECT exponential_moving_average(v, 0) FROM cpu", "SELECT exponential_moving_average(v, 2, -2) FROM cpu",
    "SELECT exponential_moving_average(v, 2, 1, 'x') FROM cpu", "SELECT chande_momentum_oscillator(v, 'a') FROM cpu", "SELECT abs() FROM cpu", "SELECT abs(v, n) FROM cpu", "SELECT pow(v) FROM cpu",
    "SELECT log(v) FROM cpu", "SELECT abs(*) FROM cpu", "SELECT * + 1 FROM cpu", "SELECT /v/ + 1 FROM cpu", "SELECT mean(v) FROM cpu fill(bad)", "SELECT v FROM cpu fill(none)", "SELECT v FROM cpu fill(linear)",
    "SELECT mean(v) FROM cpu WHERE mean(v) > 1", "SELECT v FROM cpu WHERE time > 'yesterday'", "SELECT v FROM cpu WHERE time > '2020-13-01'", "SELECT v FROM cpu WHERE time > v",
    "SELECT v FROM cpu WHERE time =~ /a/", "SELECT v FROM cpu WHERE time > 1e30", "SELECT v FROM cpu WHERE time > 99999999999999999999", "SELECT v FROM cpu WHERE time != 5", "SELECT v FROM cpu WHERE v =~ 'a'",
    "SELECT v FROM cpu WHERE v = /a/", "SELECT v FROM cpu WHERE host =~ /(/", "SELECT v FROM /(/", "SELECT v FROM cpu WHERE v", "SELECT v FROM cpu WHERE 1", "SELECT v FROM cpu WHERE 'a'", "SELECT v FROM cpu tz('x'",
    "SELECT v FROM cpu tz(1)", "SELECT s + v FROM cpu", "SELECT b + 1 FROM cpu", "SELECT s - s FROM cpu", "SELECT v & 1 FROM cpu", "SELECT mean(s) FROM cpu", "SELECT sum(b) FROM cpu", "SELECT max(s) FROM cpu",
    "SELECT top(s, 2) FROM cpu", "SELECT derivative(s) FROM cpu", "SELECT difference(b) FROM cpu", "SELECT integral(s) FROM cpu", "SELECT stddev(s) FROM cpu", "SELECT median(b) FROM cpu", "SELECT percentile(s, 5) FROM cpu",
    "SELECT v FROM nowhere..cpu", "SELECT v FROM d.nopolicy.cpu", "SELECT v FROM (SELECT v FROM cpu", "SELECT v FROM (SHOW SERIES)", "SELECT v FROM (SELECT mean(v) FROM cpu ORDER BY time DESC)",
    "SELECT v INTO FROM cpu", "SELECT v FROM (SELECT v INTO x FROM cpu)", "SHOW", "SHOW TAG", "SHOW TAG VALUES", "SHOW TAG VALUES WITH", "SHOW TAG VALUES WITH KEY", "SHOW TAG VALUES WITH KEY =", "SHOW TAG VALUES WITH KEY IN ()",
    "SHOW TAG VALUES WITH KEY IN (host", "SHOW TAG VALUES FROM cpu WITH KEY = host WHERE v > 1", "SHOW SERIES WHERE v > 1", "SHOW TAG KEYS FROM", "SHOW FIELD", "SHOW FIELD KEYS FROM", "SHOW MEASUREMENTS WITH", "SHOW MEASUREMENTS WITH MEASUREMENT",
    "SHOW MEASUREMENTS WITH MEASUREMENT cpu", "SHOW MEASUREMENTS WHERE time > 0", "SHOW MEASUREMENTS LIMIT a", "SHOW SERIES LIMIT", "SHOW DATABASE", "SHOW RETENTION", "SHOW EXACT", "SHOW SERIES EXACT", "SHOW CARDINALITY",
    "DROP", "DROP MEASUREMENT", "DROP SERIES", "DROP DATABASE", "DELETE", "DELETE FROM", "DELETE FROM cpu WHERE", "DELETE FROM cpu WHERE v > 1", "DELETE WHERE v > 1", "DROP SERIES FROM cpu WHERE v > 1",
    "DROP SERIES FROM cpu WHERE time > 0", "CREATE", "CREATE DATABASE", "CREATE DATABASE d WITH", "CREATE DATABASE d WITH DURATION", "CREATE RETENTION POLICY", "CREATE RETENTION POLICY p ON", "CREATE RETENTION POLICY p ON d DURATION",
    "CREATE RETENTION POLICY p ON d DURATION 1h", "CREATE RETENTION POLICY p ON d DURATION 1m REPLICATION 1", "ALTER RETENTION POLICY p ON d", "ALTER", "ALTER RETENTION POLICY nopolicy ON d DURATION 2h", "DROP RETENTION POLICY p",
    "DROP RETENTION POLICY nopolicy ON nowhere", "EXPLAIN", "GRANT", "REVOKE", "KILL", "KILL QUERY", "KILL QUERY a", "KILL QUERY 99999999", "SET", "SELECT v FROM cpu; SELECT", ";", ";;SELECT v FROM cpu LIMIT 1", "SELECT v FROM cpu LIMIT 1;",
    "FOO", "select", "'SELECT'", "SELECT \"v FROM cpu", "SELECT v FROM cpu WHERE host = 'a", "SELECT v FROM cpu -- comment", "SELECT v /* x */ FROM cpu LIMIT 1", "SELECT v /* x FROM cpu", "SELECT v FROM cpu WHERE host =~ /a",
    "SELECT v FROM cpu WHERE host = \"a\"", "SELECT 'v' FROM cpu", "SELECT v.n FROM cpu", "SELECT v AS FROM cpu", "SELECT v AS a b FROM cpu", "SELECT v,, n FROM cpu", "SELECT v n FROM cpu", "SELECT (v FROM cpu", "SELECT v) FROM cpu",
    "SELECT v::nothing FROM cpu", "SELECT v:: FROM cpu", "SELECT *::float FROM cpu", "SELECT mean(v) AS m, mean(n) AS m FROM cpu", "SELECT v AS time FROM cpu LIMIT 1", "SELECT time AS t, v FROM cpu LIMIT 1",
    "SELECT v FROM cpu WHERE time >= now() - 1h AND time < now() - 2h", "SELECT mean(v) FROM cpu WHERE time > now() GROUP BY time(1h)", "SELECT now() FROM cpu",
)
