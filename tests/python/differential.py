"""Asks a node and InfluxDB 1.x the same, and compares what they answer byte for byte.

    differential.py INFLUXDB TIDEMARK [--seed S] [--count N] [--sets N] [--show N] [--seconds N] [--same]

Data sets and statements are made by a seeded generator: the same seed makes the same. Both servers are given the same points over
HTTP, without authorization. With --same both are Tidemark, and nodes may die meanwhile: only 503 is excused, and that a cluster
keeps the types of deleted fields.

Exit code 1 where an answer differs and no rule of influxql_accepted.py says why.
"""

import argparse
import collections
import http.client
import random
import re
import sys
import time
import urllib.parse

import influxql_accepted
from influxql_data import DataSet
from influxql_grammar import Request, Statements


class Server:
    """A server, or several of one cluster that are asked in turn."""

    def __init__(self, urls):
        self.addresses = [urllib.parse.urlsplit(url).netloc for url in urls.split(",")]
        self.connections = {}
        self.turn = 0

    def ask(self, request):
        """The status and body of an answer."""
        path, body = "/query", urllib.parse.urlencode({"q": request.text})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if request.lines is not None:
            path, body, headers = "/write", "\n".join(request.lines), {}
        if request.csv:
            headers["Accept"] = "application/csv"
        target = f"{path}?{urllib.parse.urlencode(request.query)}"
        self.turn += 1
        return self.send(self.addresses[self.turn % len(self.addresses)], target, body.encode(), headers)

    def send(self, address, target, body, headers):
        for is_last in (False, True):
            connection = self.connections.setdefault(address, http.client.HTTPConnection(address, timeout=60))
            try:
                connection.request("POST", target, body, headers)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            except (OSError, http.client.HTTPException) as error:
                # A connection that was idle may have been closed.
                self.connections.pop(address).close()
                if is_last:
                    return 503, f"no answer: {error}"
        raise AssertionError("the last try answers")


def prepare(servers, data):
    """Gives every server the data set."""
    for server in servers:
        for text in ("DROP DATABASE d", "DROP DATABASE e", "CREATE DATABASE d", "CREATE DATABASE e"):
            expect(server, Request(text), 200)
        for at in range(0, len(data.lines), 5000):
            expect(server, Request("", lines=data.lines[at : at + 5000], db="d"), 204)


def changes(request):
    """Whether a request changes what is stored."""
    return request.lines is not None or re.search(r"\bINTO\b|^(DELETE|DROP)\b", request.text) is not None


def until_done(server, request):
    """The answer of a server that may not be able to answer for a while."""
    deadline = time.monotonic() + 60
    while True:
        status, body = server.ask(request)
        if status != 503 or time.monotonic() > deadline:
            return status, body


def expect(server, request, wanted):
    status, body = until_done(server, request)
    if status != wanted:
        sys.exit(f"{server.addresses} answers {status} to {request}: {body[:500]}")


def shown(text):
    return text.strip().replace("\n", "\\n")


def first_difference(one, other):
    """Both from where they begin to differ."""
    at = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
    start = max(0, at - 60)
    cut = "..." if start else ""
    return [f"{cut}{shown(text[start : at + 160])}" for text in (one, other)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("influxdb")
    parser.add_argument("tidemark", help="URL of a node, or those of a cluster's nodes, separated by commas")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--sets", type=int, default=0, help="data sets; one for each 50 statements without")
    parser.add_argument("--show", type=int, default=20, help="differences to print")
    parser.add_argument("--seconds", type=int, default=0, help="end after so long, with fewer statements")
    parser.add_argument("--same", action="store_true", help="both are Tidemark")
    options = parser.parse_args()
    servers = [Server(options.influxdb), Server(options.tidemark)]

    def ask_again(request):
        return [until_done(server, request) for server in servers]

    sets = options.sets or max(1, options.count // 50)
    began = time.monotonic()
    different, used, done, refused, excused = [], collections.Counter(), 0, 0, 0
    print(f"seed {options.seed}")
    for number in range(sets):
        if options.seconds and time.monotonic() - began > options.seconds:
            break
        chance = random.Random(f"{options.seed} {number}")
        data = DataSet(chance)
        prepare(servers, data)
        statements = Statements(chance, data)
        until = options.count * (number + 1) // sets
        while done < until:
            for request in statements.requests():
                answers = [server.ask(request) for server in servers]
                done += 1
                data.note(request.text)
                if options.same and changes(request):
                    # Both must have done it before more is asked; doing it again changes nothing.
                    refused += sum(answer[0] == 503 for answer in answers)
                    answers = [until_done(server, request) if answer[0] == 503 else answer for server, answer in zip(servers, answers)]
                if answers[0] == answers[1]:
                    continue
                if options.same:
                    if 503 in (answers[0][0], answers[1][0]) and not changes(request):
                        refused += 1
                        continue
                    rules = [influxql_accepted.TYPES_STAY] if influxql_accepted.types_stay(request, *answers, ask_again) else []
                else:
                    rules = influxql_accepted.rules_of(request, data, *answers, ask_again)
                used.update({rule.name for rule in rules})
                excused += bool(rules)
                if not rules:
                    different.append((number, data.kind, request, answers))
    for number, kind, request, answers in different[: options.show]:
        print(f"set {number} ({kind}): {request}")
        texts = first_difference(answers[0][1], answers[1][1])
        for name, (status, _), text in zip(("first ", "second"), answers, texts, strict=True):
            print(f"  {name} {status} {text}")
    for name, count in sorted(used.items()):
        print(f"accepted {count} times: {name}")
    print(f"{done} statements in {time.monotonic() - began:.1f} s, {len(different)} with another answer, {excused} as accepted", end="")
    print(f", {refused} answered 503 (seed {options.seed})" if options.same else f" (seed {options.seed})")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
