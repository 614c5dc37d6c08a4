"""SQL as its users have it: the ADBC driver for Flight SQL, every format over HTTP, and the same answers as DuckDB.

Usage: sql.py URL TOKEN [--count N] [--seed N]

Random rows are written to a node and to DuckDB; random statements, made by a grammar, are run by both. Floats may differ
in their last digits, where sums are added in another order; everything else is equal.
"""

import argparse
import csv
import io
import json
import math
import random
import sys
import urllib.error
import urllib.parse
import urllib.request

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi
import duckdb
import pyarrow
import pyarrow.parquet

START = 1_700_000_000  # seconds
DATABASE = "metrics"
OPTIONS = adbc_driver_flightsql.DatabaseOptions
HEADER = OPTIONS.RPC_CALL_HEADER_PREFIX.value


def connect(url, token=None, database=DATABASE, **options):
    """A connection by ADBC."""
    if token is not None:
        options[OPTIONS.AUTHORIZATION_HEADER.value] = f"Bearer {token}"
    if database is not None:
        options[HEADER + "database"] = database
    address = url.replace("http://", "grpc://")
    return adbc_driver_flightsql.dbapi.connect(address, db_kwargs=options, autocommit=True)


def request(url, token, path, parameters=None, body=None, headers=None):
    """The status and the body of an HTTP request."""
    target = url + path + ("?" + urllib.parse.urlencode(parameters) if parameters else "")
    send = urllib.request.Request(target, data=body, headers={"Authorization": f"Token {token}", **(headers or {})})
    try:
        with urllib.request.urlopen(send, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def rows_of(randomness, count):
    """Rows of a sparse table, each (host, region, time) once."""
    rows = {}
    for _ in range(count):
        host = randomness.randrange(8)
        region = None if host == 7 else f"r{host % 3}"
        time = START + randomness.randrange(0, 6 * 3600)
        row = rows.setdefault((f"h{host}", region, time), {})
        for field, value in (
            ("u", round(randomness.uniform(-100, 100), 3)),
            ("n", randomness.randrange(-50, 50)),
            ("s", f"t{randomness.randrange(4)}"),
            ("ok", randomness.random() < 0.5),
        ):
            if randomness.random() < 0.6:
                row[field] = value
    return {key: fields for key, fields in rows.items() if fields}


def line_of(key, fields):
    (host, region, time) = key
    form = {
        "u": lambda v: repr(v),
        "n": lambda v: f"{v}i",
        "s": lambda v: f'"{v}"',
        "ok": lambda v: "true" if v else "false",
    }
    tags = f",host={host}" + (f",region={region}" if region else "")
    return f"cpu{tags} " + ",".join(f"{name}={form[name](value)}" for name, value in fields.items()) + f" {time}000000000"


def load_duckdb(rows):
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    database.execute(
        "CREATE TABLE cpu (host VARCHAR, region VARCHAR, time TIMESTAMP_NS, u DOUBLE, n BIGINT, s VARCHAR, ok BOOLEAN)"
    )
    columns = {name: [] for name in ("host", "region", "time", "u", "n", "s", "ok")}
    for (host, region, time), fields in rows.items():
        columns["host"].append(host)
        columns["region"].append(region)
        columns["time"].append(time * 1_000_000_000)
        for name in ("u", "n", "s", "ok"):
            columns[name].append(fields.get(name))
    table = pyarrow.table(
        {
            "host": pyarrow.array(columns["host"], pyarrow.string()),
            "region": pyarrow.array(columns["region"], pyarrow.string()),
            "time": pyarrow.array(columns["time"], pyarrow.timestamp("ns")),
            "u": pyarrow.array(columns["u"], pyarrow.float64()),
            "n": pyarrow.array(columns["n"], pyarrow.int64()),
            "s": pyarrow.array(columns["s"], pyarrow.string()),
            "ok": pyarrow.array(columns["ok"], pyarrow.bool_()),
        }
    )
    database.register("incoming", table)
    database.execute("INSERT INTO cpu SELECT * FROM incoming")
    return database


class Grammar:
    """Statements in two dialects: ours, and DuckDB's, which differ in the windows of time alone."""

    def __init__(self, randomness):
        self.random = randomness

    def one_of(self, *choices):
        return self.random.choice(choices)

    def moment(self):
        return START + self.random.randrange(-600, 6 * 3600 + 600)

    def literal(self, moment):
        return f"TIMESTAMP '{self.text(moment)}'"

    @staticmethod
    def text(moment):
        import datetime

        return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")

    def condition(self, depth=0):
        choices = [
            lambda: f"host = 'h{self.random.randrange(9)}'",
            lambda: f"host <> 'h{self.random.randrange(9)}'",
            lambda: f"region = 'r{self.random.randrange(4)}'",
            lambda: f"region <> 'r{self.random.randrange(4)}'",
            lambda: "region IS NULL",
            lambda: "region IS NOT NULL",
            lambda: "host IN ('h1', 'h3', 'h7')",
            lambda: "region NOT IN ('r0', 'r2')",
            lambda: "host LIKE 'h%'",
            lambda: "region NOT LIKE '%1'",
            lambda: f"time >= {self.literal(self.moment())}",
            lambda: f"time < {self.literal(self.moment())}",
            lambda: f"time BETWEEN {self.literal(self.moment())} AND {self.literal(self.moment())}",
            lambda: f"u > {self.random.randrange(-100, 100)}",
            lambda: f"n = {self.random.randrange(-50, 50)}",
            lambda: f"n + 1 < {self.random.randrange(-50, 50)}",
            lambda: "s = 't1'",
            lambda: "ok",
            lambda: "u IS NULL",
            lambda: "n IS NOT NULL",
        ]
        if depth < 2 and self.random.random() < 0.4:
            left, right = self.condition(depth + 1), self.condition(depth + 1)
            return self.one_of(f"({left} AND {right})", f"({left} OR {right})", f"NOT ({left})")
        return self.random.choice(choices)()

    def where(self):
        return f" WHERE {self.condition()}" if self.random.random() < 0.7 else ""

    def aggregate(self):
        return self.one_of(
            "count(*)", "count(u)", "count(n)", "count(s)", "count(DISTINCT s)", "count(DISTINCT n)", "sum(n)", "sum(u)",
            "avg(u)", "avg(n)", "min(u)", "max(u)", "min(n)", "max(n)", "min(s)", "max(s)", "min(time)", "max(time)",
            "stddev_samp(u)", "var_pop(n)", "median(u)", "sum(n) FILTER (WHERE ok)", "bool_and(ok)", "max(n) - min(n)",
        )

    def key(self):
        """An expression to group by, in both dialects."""
        if self.random.random() < 0.4:
            minutes = self.one_of(1, 7, 30, 60, 240)
            origin = self.one_of(0, START, START + 123)
            return (
                f"date_bin(INTERVAL '{minutes} minutes', time, {self.literal(origin)})",
                f"time_bucket(INTERVAL '{minutes} minutes', time::TIMESTAMP, {self.literal(origin)})::TIMESTAMP_NS",
            )
        if self.random.random() < 0.15:
            unit = self.one_of("minute", "hour", "day", "week")
            return (f"date_trunc('{unit}', time)", f"date_trunc('{unit}', time::TIMESTAMP)::TIMESTAMP_NS")
        return (self.one_of("host", "region", "s", "ok", "n"),) * 2

    def grouped(self):
        keys = [self.key() for _ in range(self.random.randrange(0, 3))]
        aggregates = [self.aggregate() for _ in range(self.random.randrange(1, 4))]
        where = self.where()
        having = " HAVING count(*) > 2" if keys and self.random.random() < 0.2 else ""

        def dialect(which):
            named = [f"{key[which]} AS k{i}" for i, key in enumerate(keys)]
            named += [f"{aggregate} AS a{i}" for i, aggregate in enumerate(aggregates)]
            group = " GROUP BY " + ", ".join(str(i + 1) for i in range(len(keys))) if keys else ""
            return f"SELECT {', '.join(named)} FROM cpu{where}{group}{having}"

        return dialect(0), dialect(1)

    def raw(self):
        columns = self.random.sample(["host", "region", "u", "n", "s", "ok", "n * 2 + 1", "upper(s)", "coalesce(u, 0)"], 3)
        way = self.one_of("ASC NULLS LAST", "DESC NULLS LAST")
        limit = f" LIMIT {self.random.randrange(1, 50)}" if self.random.random() < 0.7 else ""
        named = ", ".join(f"{column} AS c{i}" for i, column in enumerate(columns))
        text = f"SELECT time, {named} FROM cpu{self.where()} ORDER BY time {way}, host, region NULLS LAST{limit}"
        return text, text

    def window(self):
        call = self.one_of(
            "row_number() OVER w", "lag(n) OVER w", "sum(n) OVER w", "avg(u) OVER (w ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)",
            "first_value(n) OVER w", "rank() OVER w",
        )
        text = f"SELECT host, time, {call} AS x FROM cpu{self.where()} WINDOW w AS (PARTITION BY host ORDER BY time)"
        return text, text

    def composed(self):
        text = self.one_of(
            "WITH a AS (SELECT host, max(u) AS m FROM cpu GROUP BY host) SELECT cpu.host, time, u FROM cpu JOIN a ON cpu.host = a.host AND cpu.u = a.m",
            "SELECT a.host, count(*) AS c FROM cpu a JOIN cpu b ON a.host = b.host AND a.time = b.time GROUP BY a.host",
            "SELECT host, n FROM cpu WHERE n > (SELECT avg(n) FROM cpu)",
            "SELECT DISTINCT region, s FROM cpu",
            "SELECT host, u FROM cpu WHERE region IN (SELECT region FROM cpu WHERE n = 7)",
            "SELECT host FROM cpu WHERE u > 90 UNION ALL SELECT region FROM cpu WHERE u < -90",
            "SELECT k, count(*) AS c FROM (SELECT CASE WHEN n > 0 THEN 'high' WHEN n < 0 THEN 'low' END AS k FROM cpu) t GROUP BY k",
            "SELECT host, sum(m) AS t FROM (SELECT host, s, max(n) AS m FROM cpu GROUP BY host, s) x GROUP BY host",
            "SELECT a.host, b.host AS other FROM (SELECT DISTINCT host FROM cpu) a LEFT JOIN (SELECT host FROM cpu WHERE n = 49) b ON a.host = b.host",
        )
        return text, text

    def statement(self):
        return self.random.choice([self.grouped, self.grouped, self.grouped, self.raw, self.raw, self.window, self.composed])()


def plain(value):
    if isinstance(value, float) and math.isnan(value):
        return None
    if hasattr(value, "value"):  # a time of pandas, in nanoseconds
        return value.value
    return value


def sortable(row):
    return [(value is None, "" if value is None else f"{value:.6e}" if isinstance(value, float) else str(value)) for value in row]


def rows_in(table):
    columns = []
    for column in table.columns:
        if pyarrow.types.is_timestamp(column.type):
            column = column.cast(pyarrow.timestamp("ns")).cast(pyarrow.int64())
        elif pyarrow.types.is_decimal(column.type) or str(column.type).startswith("uint"):
            column = column.cast(pyarrow.float64())
        columns.append([plain(value) for value in column.to_pylist()])
    return [list(row) for row in zip(*columns)]


def same(a, b):
    if isinstance(a, (int, float)) and isinstance(b, (int, float)) and not isinstance(a, bool):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-7)
    return a == b


def compare(cursor, database, statement, theirs):
    cursor.execute(statement)
    ours = rows_in(cursor.fetch_arrow_table())
    expected = rows_in(database.execute(theirs).to_arrow_table())
    if "ORDER BY time" not in statement or "OVER" in statement:
        ours.sort(key=sortable)
        expected.sort(key=sortable)
    equal = len(ours) == len(expected) and all(
        len(a) == len(b) and all(same(x, y) for x, y in zip(a, b)) for a, b in zip(ours, expected)
    )
    if not equal:
        different = [(a, b) for a, b in zip(ours, expected) if not all(same(x, y) for x, y in zip(a, b))][:3]
        raise AssertionError(f"{statement}\n{len(ours)} rows, DuckDB has {len(expected)}; first: {different}")


def check_adbc(url, token, rows):
    """What ADBC's users call besides execute."""
    with connect(url, token) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) AS c FROM cpu")
        assert cursor.fetchall() == [(len(rows),)]
        cursor.execute("SELECT host, u FROM cpu WHERE host = $1 AND u > $2 ORDER BY time", ("h1", 50.0))
        expected = sorted((t, f["u"]) for (h, _, t), f in rows.items() if h == "h1" and f.get("u", -1000) > 50)
        assert cursor.fetchall() == [("h1", u) for _, u in expected]
        cursor.execute("SELECT $1 AS x, $2 AS y", ("a", None))
        assert cursor.fetchall() == [("a", None)]
        cursor.execute("SELECT * FROM cpu")
        assert [column[0] for column in cursor.description] == ["host", "n", "ok", "region", "s", "time", "u"]
        assert sum(batch.num_rows for batch in cursor.fetch_record_batch()) == len(rows)
        assert connection.adbc_get_info()["vendor_name"] == "Tidemark"
        assert connection.adbc_get_table_types() == ["BASE TABLE"]
        assert connection.adbc_get_table_schema("cpu").names == ["host", "n", "ok", "region", "s", "time", "u"]
        objects = connection.adbc_get_objects(depth="all", table_name_filter="cpu").read_all().to_pylist()
        tables = [t for c in objects for s in c["catalog_db_schemas"] for t in s["db_schema_tables"]]
        assert [t["table_name"] for t in tables] == ["cpu"], objects
        assert len(tables[0]["table_columns"]) == 7
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'iox'")
        assert ("cpu",) in cursor.fetchall()
        for wrong, reason in [
            ("SELECT * FROM nope", "table 'public.iox.nope' not found"),
            ("SELEC 1", "Line: 1, Column: 1"),
            ("DROP TABLE cpu", "DDL not supported"),
            ("SELECT u FROM cpu WHERE host = $1", "Placeholder"),
        ]:
            try:
                cursor.execute(wrong)
                cursor.fetchall()
                raise AssertionError(f"{wrong} was answered")
            except adbc_driver_flightsql.dbapi.Error as error:
                assert reason in str(error), (wrong, error)
    for options, reason in [
        ({"token": "wrong"}, "authorization failed"),
        ({"token": token, "database": None}, "no database"),
        ({"token": token, "database": "nope"}, "database not found: nope"),
    ]:
        try:
            with connect(url, **options) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            raise AssertionError(f"{options} was let in")
        except adbc_driver_flightsql.dbapi.Error as error:
            assert reason in str(error), (options, error)
    # By name and password, of which the token may take the place.
    with connect(url, username="any", password=token) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 AS x")
        assert cursor.fetchall() == [(1,)]


def check_formats(url, token, rows):
    """The same rows in every form that HTTP has."""
    text = "SELECT host, n, u, time FROM cpu WHERE host = 'h2' ORDER BY time"
    want = sorted((t, f.get("n"), f.get("u")) for (h, _, t), f in rows.items() if h == "h2")

    def get(form, **more):
        status, body = request(url, token, "/api/v3/query_sql", {"db": DATABASE, "q": text, "format": form, **more})
        assert status == 200, body
        return body

    objects = json.loads(get("json"))
    assert [(o.get("n"), o.get("u")) for o in objects] == [(n, u) for _, n, u in want]
    assert [json.loads(line) for line in get("jsonl").splitlines()] == objects
    lines = list(csv.reader(io.StringIO(get("csv").decode())))
    assert lines[0] == ["host", "n", "u", "time"] and len(lines) == len(want) + 1
    table = pyarrow.parquet.read_table(io.BytesIO(get("parquet")))
    assert table.column("n").to_pylist() == [n for _, n, _ in want]
    assert table.schema.field("time").type == pyarrow.timestamp("ns")
    drawn = get("pretty").decode().splitlines()
    assert drawn[1].split() == ["|", "host", "|", "n", "|", "u", "|", "time", "|"] and len(drawn) == len(want) + 4
    body = json.dumps({"db": DATABASE, "q": "SELECT $a AS a, $b AS b", "params": {"a": 1, "b": "x"}}).encode()
    status, answer = request(url, token, "/api/v3/query_sql", body=body, headers={"Content-Type": "application/json"})
    assert (status, json.loads(answer)) == (200, [{"a": 1, "b": "x"}]), answer
    body = json.dumps({"type": "sql", "bucket": DATABASE, "query": "SELECT count(*) AS c FROM cpu"}).encode()
    status, answer = request(url, token, "/api/v2/query?org=acme", body=body, headers={"Content-Type": "application/json"})
    assert status == 200 and answer.decode().split() == [",result,table,c", f",_result,0,{len(rows)}"], answer
    for parameters, code, reason in [
        ({"q": "SELECT 1"}, 400, 'missing required parameter \\"db\\"'),
        ({"db": DATABASE}, 400, 'missing required parameter \\"q\\"'),
        ({"db": "nope", "q": "SELECT 1"}, 404, "database not found: nope"),
        ({"db": DATABASE, "q": "SELECT 1", "format": "xml"}, 400, "unknown format"),
        ({"db": DATABASE, "q": "SELECT * FROM nope"}, 400, "not found"),
    ]:
        status, answer = request(url, token, "/api/v3/query_sql", parameters)
        assert status == code and reason in answer.decode(), (parameters, status, answer)
    status, answer = request(url, "wrong", "/api/v3/query_sql", {"db": DATABASE, "q": "SELECT 1"})
    assert status == 401, answer


def main():
    options = argparse.ArgumentParser()
    options.add_argument("url")
    options.add_argument("token")
    options.add_argument("--count", type=int, default=400)
    options.add_argument("--seed", type=int, default=1)
    options = options.parse_args()
    randomness = random.Random(options.seed)
    rows = rows_of(randomness, 4000)
    lines = [line_of(key, fields) for key, fields in rows.items()]
    randomness.shuffle(lines)
    path = f"/api/v2/write?org=acme&bucket={DATABASE}"
    for part in range(0, len(lines), 1000):
        status, body = request(options.url, options.token, path, body="\n".join(lines[part : part + 1000]).encode())
        assert status == 204, body
        if part == 1000:
            # Some rows in files, some in memory.
            status, body = request(options.url, options.token, "/api/v1/storage/flush", body=b"")
            assert status in (200, 204), body
    check_adbc(options.url, options.token, rows)
    check_formats(options.url, options.token, rows)
    database = load_duckdb(rows)
    grammar = Grammar(randomness)
    with connect(options.url, options.token) as connection, connection.cursor() as cursor:
        for _ in range(options.count):
            compare(cursor, database, *grammar.statement())
    print(f"{options.count} statements answered as DuckDB does (seed {options.seed})")


if __name__ == "__main__":
    sys.exit(main())
