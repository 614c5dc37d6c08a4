"""The official Python clients against a node: influxdb-client (2.x) and influxdb (1.x).

Usage: official_clients.py URL TOKEN. The node is set up with organization acme and bucket metrics.
"""

import sys
import unittest
from datetime import datetime, timedelta, timezone

from influxdb import InfluxDBClient as InfluxDBClient1
from influxdb.exceptions import InfluxDBClientError
from influxdb_client import BucketRetentionRules, InfluxDBClient, Point, WriteOptions, WritePrecision
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

URL, TOKEN = sys.argv[1:3]
START = datetime(2024, 1, 1, tzinfo=timezone.utc)


class Client2(unittest.TestCase):
    def setUp(self):
        self.client = InfluxDBClient(url=URL, token=TOKEN, org="acme", enable_gzip=True)
        self.addCleanup(self.client.close)

    def test_ping_version_ready_health(self):
        self.assertTrue(self.client.ping())
        self.assertRegex(self.client.version(), r"^v?\d+\.\d+")
        self.assertEqual(self.client.ready().status, "ready")
        self.assertEqual(self.client.health().status, "pass")

    def test_buckets(self):
        api = self.client.buckets_api()
        rules = BucketRetentionRules(type="expire", every_seconds=86400)
        made = api.create_bucket(bucket_name="python-made", retention_rules=rules)
        self.assertRegex(made.id, "^[0-9a-f]{16}$")
        self.assertEqual(api.find_bucket_by_name("python-made").retention_rules[0].every_seconds, 86400)
        self.assertIn("python-made", [b.name for b in api.find_buckets(limit=100).buckets])
        with self.assertRaises(ApiException) as caught:
            api.create_bucket(bucket_name="python-made")
        self.assertEqual(caught.exception.status, 422)
        api.delete_bucket(made)
        self.assertIsNone(api.find_bucket_by_name("python-made"))

    def test_organizations(self):
        self.assertEqual([org.name for org in self.client.organizations_api().find_organizations(org="acme")], ["acme"])

    def test_points_of_every_type_come_back(self):
        point = (
            Point("types")
            .tag("odd tag", 'a,b=c "d"')
            .field("float", 1.5)
            .field("integer", -7)
            .field("boolean", True)
            .field("string", 'say "hi",\nthere \\ now')
            .time(START, WritePrecision.NS)
        )
        self.client.write_api(write_options=SYNCHRONOUS).write("metrics", "acme", point)
        tables = self.client.query_api().query(
            'from(bucket: "metrics") |> range(start: 2024-01-01T00:00:00Z, stop: 2024-01-02T00:00:00Z)'
            ' |> filter(fn: (r) => r._measurement == "types")'
        )
        values = {record.get_field(): record.get_value() for table in tables for record in table.records}
        self.assertEqual(
            values, {"float": 1.5, "integer": -7, "boolean": True, "string": 'say "hi",\nthere \\ now'}
        )
        record = tables[0].records[0]
        self.assertEqual(record["odd tag"], 'a,b=c "d"')
        self.assertEqual(record.get_time(), START)

    def test_batching_and_windows(self):
        options = WriteOptions(batch_size=500, flush_interval=200)
        errors = []
        with self.client.write_api(write_options=options, error_callback=lambda *e: errors.append(e)) as api:
            for i in range(3600):
                at = START + timedelta(seconds=i)
                api.write("metrics", "acme", Point("windows").tag("host", f"h{i % 3}").field("v", i).time(at))
        self.assertEqual(errors, [])
        tables = self.client.query_api().query(
            'from(bucket: "metrics") |> range(start: 2024-01-01T00:00:00Z, stop: 2024-01-01T01:00:00Z)'
            ' |> filter(fn: (r) => r._measurement == "windows" and r.host == "h1")'
            " |> aggregateWindow(every: 10m, fn: mean) |> yield(name: \"mean\")"
        )
        means = [record.get_value() for table in tables for record in table.records]
        wanted = [
            sum(i for i in range(600 * w, 600 * w + 600) if i % 3 == 1) / 200 for w in range(6)
        ]
        self.assertEqual(means, wanted)

    def test_data_frame(self):
        frame = self.client.query_api().query_data_frame(
            'from(bucket: "metrics") |> range(start: 2024-01-01T00:00:00Z, stop: 2024-01-02T00:00:00Z)'
            ' |> filter(fn: (r) => r._measurement == "windows") |> count()'
        )
        frames = frame if isinstance(frame, list) else [frame]
        self.assertEqual(sum(int(f["_value"].sum()) for f in frames), 3600)

    def test_deletes(self):
        points = [Point("gone").tag("host", f"h{i % 2}").field("v", i).time(START + timedelta(hours=i)) for i in range(6)]
        self.client.write_api(write_options=SYNCHRONOUS).write("metrics", "acme", points)
        api = self.client.delete_api()

        def left():
            tables = self.client.query_api().query(
                'from(bucket: "metrics") |> range(start: 2024-01-01T00:00:00Z, stop: 2024-01-02T00:00:00Z)'
                ' |> filter(fn: (r) => r._measurement == "gone")'
            )
            return sorted(record.get_value() for table in tables for record in table.records)

        api.delete(START, START + timedelta(hours=2), '_measurement="gone" AND host="h0"', bucket="metrics", org="acme")
        self.assertEqual(left(), [1, 3, 4, 5])
        api.delete("2024-01-01T03:00:00Z", "2024-01-02T00:00:00Z", '_measurement="gone"', bucket="metrics")
        self.assertEqual(left(), [1])
        api.delete("1970-01-01T00:00:00Z", datetime.now(timezone.utc), '_measurement="gone"', bucket="metrics")
        self.assertEqual(left(), [])
        with self.assertRaises(ApiException) as caught:
            api.delete(START, START, "v > 5", bucket="metrics", org="acme")
        self.assertEqual(caught.exception.status, 400)
        self.assertIn("invalid operator", str(caught.exception.body))

    def test_errors_are_the_clients_own(self):
        with self.assertRaises(InfluxDBError) as caught:
            self.client.write_api(write_options=SYNCHRONOUS).write("nowhere", "acme", "m v=1")
        self.assertEqual(caught.exception.response.status, 404)
        with self.assertRaises(ApiException) as caught:
            self.client.query_api().query("from(bucket: \"metrics\") |> rang(start: -1h)")
        self.assertEqual(caught.exception.status, 400)
        self.assertIn("1:", str(caught.exception.body))
        with InfluxDBClient(url=URL, token="wrong", org="acme") as stranger:
            with self.assertRaises(ApiException) as caught:
                stranger.query_api().query("buckets()")
            self.assertEqual(caught.exception.status, 401)


class Client1(unittest.TestCase):
    def setUp(self):
        host, port = URL.split("//")[1].split(":")
        database = self.id().rsplit(".")[-1]
        self.client = InfluxDBClient1(host, int(port), "any", TOKEN, database)
        self.client.create_database(database)

    def test_ping(self):
        self.assertRegex(self.client.ping(), r"\d+\.\d+")

    def test_databases(self):
        self.assertIn({"name": "test_databases"}, self.client.get_list_database())

    def test_write_and_query(self):
        points = [
            {
                "measurement": "cpu",
                "tags": {"host": f"h{i % 2}"},
                "time": START + timedelta(minutes=i),
                "fields": {"usage": float(i), "count": i, "ok": i % 2 == 0, "note": f"n{i}"},
            }
            for i in range(10)
        ]
        self.assertTrue(self.client.write_points(points))
        result = self.client.query("SELECT mean(usage) FROM cpu GROUP BY host")
        means = {tags["host"]: list(rows)[0]["mean"] for (_, tags), rows in result.items()}
        self.assertEqual(means, {"h0": 4.0, "h1": 5.0})
        rows = list(self.client.query("SELECT usage, note FROM cpu WHERE host = 'h1' LIMIT 2").get_points())
        self.assertEqual([(r["usage"], r["note"]) for r in rows], [(1.0, "n1"), (3.0, "n3")])
        self.assertEqual(rows[0]["time"], "2024-01-01T00:01:00Z")
        windows = self.client.query(
            "SELECT count(usage) FROM cpu WHERE time >= '2024-01-01T00:00:00Z' AND time < '2024-01-01T00:12:00Z' "
            "GROUP BY time(4m) fill(none)"
        )
        self.assertEqual([row["count"] for row in windows.get_points()], [4, 4, 2])
        self.assertEqual(sorted(r["name"] for r in self.client.get_list_measurements()), ["cpu"])
        keys = {row["tagKey"] for row in self.client.query("SHOW TAG KEYS").get_points()}
        self.assertEqual(keys, {"host"})
        values = [row["value"] for row in self.client.query("SHOW TAG VALUES WITH KEY = host").get_points()]
        self.assertEqual(values, ["h0", "h1"])
        fields = {r["fieldKey"]: r["fieldType"] for r in self.client.query("SHOW FIELD KEYS").get_points()}
        self.assertEqual(fields, {"usage": "float", "count": "integer", "ok": "boolean", "note": "string"})

    def test_type_conflict(self):
        self.client.write_points(["conflict v=1"], protocol="line")
        with self.assertRaises(InfluxDBClientError) as caught:
            self.client.write_points(['conflict v="text"'], protocol="line")
        self.assertEqual(caught.exception.code, 400)
        self.assertIn("field type conflict", str(caught.exception))
        self.assertIn("dropped=1", str(caught.exception))

    def test_parse_error(self):
        with self.assertRaises(InfluxDBClientError) as caught:
            self.client.query("SELECT FROM cpu")
        self.assertEqual(caught.exception.code, 400)
        self.assertIn("line 1, char", str(caught.exception))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
