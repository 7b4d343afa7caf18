"""The wire cases, as tests/wire/*.toml has them: what is sent, and what strictness would make of it."""
import os
import re
import tomllib

FOLDER = os.path.join(os.path.dirname(__file__), "..", "..", "..", "tests", "wire")
REPEAT = re.compile(r"<<(.*?)\*(\d+)>>", re.S)


def bytes_of(text):
    """Each character is the byte of its number; `<<x*3>>` is `xxx`."""
    return REPEAT.sub(lambda match: match.group(1) * int(match.group(2)), text).encode("latin-1")


class Case:
    def __init__(self, kind, table):
        self.kind = kind
        self.number, self.name = table["class"], table["name"]
        self.table = table
        self.never = [bytes_of(text) for text in table.get("never", [])]

    def get(self, key, default=None):
        return self.table.get(key, default)

    def bytes(self, key):
        return bytes_of(self.table[key]) if key in self.table else None

    @property
    def requests(self):
        """How many requests a strict reader sees in it."""
        return max(1, len(self.get("worker", [])))

    def fields(self, key):
        return [(bytes_of(name), bytes_of(value)) for name, value in self.get(key, [])]


def load(kind):
    with open(os.path.join(FOLDER, kind + ".toml"), "rb") as file:
        return [Case(kind, table) for table in tomllib.load(file)["case"]]


def titles():
    with open(os.path.join(FOLDER, "classes.toml"), "rb") as file:
        return {entry["number"]: entry["title"] for entry in tomllib.load(file)["class"]}
