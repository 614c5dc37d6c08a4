"""Writes real measurements to a running node with the official client and reads them back.

Two sources: the machine's own metrics from /proc, once a second (--seconds, one minute by default), and the Seattle
weather and stock prices of the package vega-datasets. Everything is read back by Flux and by InfluxQL and compared with
what was written; the process ends with an error when a single point differs.
"""

import argparse
import os
import sys
import time
from datetime import datetime, timezone

from influxdb import InfluxDBClient as InfluxDBClient1
from influxdb_client import BucketsApi, InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from vega_datasets import local_data


def machine_points(seconds):
    """One point per second and source with the counters of /proc."""
    host = os.uname().nodename
    for second in range(seconds):
        now = time.time_ns()
        with open("/proc/stat") as stat:
            for line in stat:
                name, *rest = line.split()
                if name.startswith("cpu"):
                    names = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"]
                    point = Point("cpu").tag("host", host).tag("cpu", name).time(now, WritePrecision.NS)
                    for key, value in zip(names, rest):
                        point.field(key, int(value))
                    yield point
        with open("/proc/meminfo") as meminfo:
            point = Point("mem").tag("host", host).time(now, WritePrecision.NS)
            for line in meminfo:
                key, value = line.split(":")
                point.field(key, int(value.split()[0]))
            yield point
        with open("/proc/loadavg") as loadavg:
            one, five, fifteen, *_ = loadavg.read().split()
            point = Point("load").tag("host", host).time(now, WritePrecision.NS)
            yield point.field("load1", float(one)).field("load5", float(five)).field("load15", float(fifteen))
        with open("/proc/net/dev") as netdev:
            for line in netdev.readlines()[2:]:
                name, counters = line.split(":")
                counters = counters.split()
                point = Point("net").tag("host", host).tag("interface", name.strip()).time(now, WritePrecision.NS)
                yield point.field("bytes_recv", int(counters[0])).field("bytes_sent", int(counters[8]))
        if second + 1 < seconds:
            time.sleep(1 - time.time() % 1)


def weather_points():
    frame = local_data.seattle_weather()
    for row in frame.itertuples():
        point = Point("weather").tag("city", "Seattle").tag("kind", row.weather)
        point.field("precipitation", float(row.precipitation)).field("temp_max", float(row.temp_max))
        point.field("temp_min", float(row.temp_min)).field("wind", float(row.wind))
        yield point.time(row.date.to_pydatetime().replace(tzinfo=timezone.utc), WritePrecision.NS)


def stock_points():
    for row in local_data.stocks().itertuples():
        point = Point("stocks").tag("symbol", row.symbol).field("price", float(row.price))
        yield point.time(row.date.to_pydatetime().replace(tzinfo=timezone.utc), WritePrecision.NS)


def progress(text):
    print(text, file=sys.stderr, flush=True)


def set_up(url, args):
    """Returns a token: the given one, or that of a first set-up."""
    if args.token:
        return args.token
    import json
    import urllib.request

    args.org = args.org or "demo"
    body = {"username": "demo", "password": "demo-demo", "org": args.org, "bucket": args.bucket}
    request = urllib.request.Request(
        f"{url}/api/v2/setup", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request) as response:
            token = json.load(response)["auth"]["token"]
    except urllib.error.HTTPError as error:
        sys.exit(f"{url}: {error.read().decode()}\nPass the token of your set-up: --token or TIDEMARK_TOKEN.")
    progress(f"Set up organization {args.org}, user demo, password demo-demo, token {token}")
    return token


def flux_count(client, org, bucket, measurement):
    query = f'''from(bucket: "{bucket}") |> range(start: 1970-01-01T00:00:00Z, stop: 2100-01-01T00:00:00Z)
        |> filter(fn: (r) => r._measurement == "{measurement}") |> count()'''
    tables = client.query_api().query(query, org=org)
    return sum(record.get_value() for table in tables for record in table.records)


def influxql_count(v1, measurement):
    result = v1.query(f'SELECT count(*) FROM "{measurement}"')
    return sum(value for point in result.get_points() for key, value in point.items() if key != "time")


def read_back(client, v1, args, points):
    """Every field of every written point, by both languages; returns the number of differences."""
    wrong = 0
    wanted = {}
    for point in points:
        measurement = point._name
        times = wanted.setdefault(measurement, {})
        nanoseconds = point._time
        if isinstance(nanoseconds, datetime):
            nanoseconds = int(nanoseconds.timestamp()) * 1_000_000_000
        for field, value in point._fields.items():
            times[(nanoseconds, field, tuple(sorted(point._tags.items())))] = value
    for measurement, values in sorted(wanted.items()):
        by_flux = flux_count(client, args.org, args.bucket, measurement)
        by_influxql = influxql_count(v1, measurement)
        found = {}
        result = v1.query(f'SELECT * FROM "{measurement}" GROUP BY *', epoch="ns")
        for (_, tags), rows in result.items():
            for row in rows:
                for field, value in row.items():
                    if field != "time" and value is not None:
                        key = tuple(sorted((k, v) for k, v in (tags or {}).items() if v))
                        found[(row["time"], field, key)] = value
        different = sum(1 for key, value in values.items() if found.get(key) != value)
        extra = 0 if args.keep else len(found.keys() - values.keys())
        progress(
            f"{measurement:<10}{len(values):>8} values written, {by_flux:>8} by Flux, {by_influxql:>8} by InfluxQL, "
            f"{different} different, {extra} never written"
        )
        wrong += different + extra
        if not args.keep:
            wrong += abs(by_flux - len(values)) + abs(by_influxql - len(values))
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8086")
    parser.add_argument("--token", default=os.environ.get("TIDEMARK_TOKEN"))
    parser.add_argument("--org", default=os.environ.get("TIDEMARK_ORG"), help="unless given, the node's first")
    parser.add_argument("--bucket", default="demo-data")
    parser.add_argument("--seconds", type=int, default=60, help="how long to watch this machine")
    parser.add_argument("--keep", action="store_true", help="the bucket may hold other points already")
    args = parser.parse_args()

    token = set_up(args.url, args)
    if args.org is None:
        with InfluxDBClient(url=args.url, token=token) as client:
            args.org = client.organizations_api().find_organizations()[0].name
    with InfluxDBClient(url=args.url, token=token, org=args.org, enable_gzip=True) as client:
        buckets: BucketsApi = client.buckets_api()
        if buckets.find_bucket_by_name(args.bucket) is None:
            buckets.create_bucket(bucket_name=args.bucket)
        else:
            args.keep = args.keep or flux_count(client, args.org, args.bucket, "weather") > 0
        write = client.write_api(write_options=SYNCHRONOUS)
        points = []
        for name, source in [("weather", weather_points()), ("stocks", stock_points())]:
            batch = list(source)
            write.write(args.bucket, args.org, batch)
            progress(f"{len(batch)} points of {name} written")
            points += batch
        progress(f"watching this machine for {args.seconds} seconds")
        for point in machine_points(args.seconds):
            write.write(args.bucket, args.org, point)
            points.append(point)
        host, port = args.url.split("//")[1].split(":")
        v1 = InfluxDBClient1(host, int(port), "demo", token, args.bucket)
        wrong = read_back(client, v1, args, points)
        mean = client.query_api().query_csv(
            f'''from(bucket: "{args.bucket}") |> range(start: 2012-01-01T00:00:00Z, stop: 2016-01-01T00:00:00Z)
                |> filter(fn: (r) => r._measurement == "weather" and r._field == "temp_max")
                |> group() |> aggregateWindow(every: 1y, fn: mean) |> keep(columns: ["_time", "_value"])''',
            org=args.org,
        )
        print("Mean of Seattle's daily highest temperature, by year:")
        for row in mean:
            if row and not row[0].startswith("#") and row[-1] not in ("", "_value"):
                print("  ", *row[3:])
    if wrong:
        sys.exit(f"{wrong} values differ")
    print("Every point read back by Flux and InfluxQL is what was written.")


if __name__ == "__main__":
    main()
