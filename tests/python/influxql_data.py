"""Points for differential.py: data sets of a few measurements, made by a seeded generator."""

import itertools
import re

SECOND = 1_000_000_000
# 2020-09-13T12:26:40Z.
EPOCH = 1_600_000_000

# Which fields a measurement has: the type of x differs between them, k is a tag and a field of `both`.
FIELDS = {
    "cpu": {"v": "float", "n": "integer", "s": "string", "b": "boolean", "x": "float"},
    "mem": {"v": "float", "n": "integer", "x": "integer"},
    "net": {"n": "integer", "b": "boolean", "x": "string"},
    "disk": {"s": "string", "b": "boolean", "x": "boolean"},
    "both": {"v": "float", "k": "float", "n": "integer"},
    "odd name": {"v": "float", "odd field": "integer"},
}
TAGS = {
    "cpu": ("host", "region", "rack"),
    "mem": ("host", "region", "rack"),
    "net": ("host", "region", "rack"),
    "disk": ("host", "region"),
    "both": ("host", "k"),
    "odd name": ("host", "odd tag"),
}
ODD_VALUES = ("a b", "x=y", "c,d", 'say "hi"', "<&>", "Größe", "a'b")
TEXTS = ("up", "down", "", "a b", 'q"q', "back\\slash", "<b>", "Ünï", "x")

# How many nanoseconds two points of different series lie apart at least, so that their order is said by their times.
KINDS = ("dense", "sparse", "weeks", "negative", "plain", "plain")


def escaped(text):
    """A name or a tag's value of line protocol."""
    return "".join("\\" + c if c in ", =" else c for c in text)


class DataSet:
    """Points of some measurements whose series have gaps. No two series have points of one time."""

    def __init__(self, chance, kind=None):
        self.chance = chance
        self.kind = kind or chance.choice(KINDS)
        # Sums of eighths are exact, in whatever order they are made.
        self.is_exact = chance.random() < 0.7
        self.start = -EPOCH // 40 if self.kind == "negative" else EPOCH
        self.numbers = itertools.count()
        self.measurements = sorted(chance.sample(sorted(FIELDS), chance.randint(3, 6)) + ["cpu"])
        self.lines = [line for name in dict.fromkeys(self.measurements) for line in self.measurement(name)]
        self.span = {"weeks": 40 * 86_400, "sparse": 7200}.get(self.kind, 600)
        # The statements that have written measurements since.
        self.writers = {}

    def note(self, text):
        """A statement that is asked."""
        for name in re.findall(r" INTO \S*\b(copy\d+) ", text):
            self.writers[name] = text

    def written_by(self, text):
        """The statements that have written what a text names."""
        return [self.writers[name] for name in re.findall(r"\bcopy\d+\b", text) if name in self.writers]

    def measurement(self, name, series=None):
        """The lines of a measurement's points."""
        chance = self.chance
        tags = [t for t in TAGS.get(name, ("host",)) if chance.random() < 0.85]
        fields = FIELDS.get(name, {"v": "float", "n": "integer"})
        keys = {}
        for _ in range(series or chance.randint(1, 5)):
            pairs = [(t, self.value(t)) for t in tags if chance.random() < 0.9]
            keys[escaped(name) + "".join(f",{escaped(t)}={escaped(v)}" for t, v in pairs)] = None
        lines = []
        for key in keys:
            number = next(self.numbers)
            step, count = {
                "dense": (1, chance.randint(60, 150)),
                "sparse": (chance.choice([60, 599, 1800]), chance.randint(1, 12)),
                "weeks": (86_400 * chance.choice([1, 2, 5]) + chance.choice([0, 3600]), chance.randint(1, 20)),
            }.get(self.kind, (chance.choice([1, 5, 7, 10, 60]), chance.randint(1, 40)))
            # A field that a series never has, now and then.
            own = {f: t for f, t in fields.items() if chance.random() < 0.93} or fields
            for at in range(count):
                values = ",".join(f"{escaped(f)}={self.field(t)}" for f, t in own.items() if chance.random() < 0.88)
                if values:
                    lines.append(f"{key} {values} {(self.start + at * step) * SECOND + number}")
        return lines

    def value(self, tag):
        return self.chance.choice(ODD_VALUES) if tag.startswith("odd") else self.chance.choice("abc")

    def field(self, kind):
        chance = self.chance
        if kind == "integer":
            return f"{chance.randint(-9, 9) if chance.random() < 0.97 else chance.choice([2**53 + 1, 10**12])}i"
        if kind == "string":
            return '"' + chance.choice(TEXTS).replace("\\", "\\\\").replace('"', '\\"') + '"'
        if kind == "boolean":
            return chance.choice(["true", "false"])
        if self.is_exact:
            return f"{chance.randint(-160, 160) / 8}"
        return f"{chance.choice([chance.randint(-20, 20), round(chance.uniform(-5, 5), 3), chance.choice([1e-7, 1.5e21, -2e22, 0.1])]) if chance.random() < 0.05 else round(chance.uniform(-50, 50), 3)}"
