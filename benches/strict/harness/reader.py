"""Reads HTTP/1.1 messages: splits a stream of bytes as a tolerant server would, and says what of a message is not strict.

Strict is what every reader reads in the same way. Whatever is not, somebody reads differently.
"""
import re

METHOD = re.compile(rb"[A-Z-]{1,32}")
PATH = re.compile(rb"(/[A-Za-z0-9._~!$&'()*+,;=:@/-]*(%[0-9A-Fa-f]{2}[A-Za-z0-9._~!$&'()*+,;=:@/-]*)*|\*)")
QUERY = re.compile(rb"[!\"$-~]*")
NAME = re.compile(rb"[A-Za-z0-9-]+")
VALUE = re.compile(rb"([\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
HOST = re.compile(rb"([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
ONCE = (b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"cookie")
NOT_FOR_WORKERS = (b"te", b"trailer", b"keep-alive", b"proxy", b"proxy-connection", b"proxy-authenticate",
                   b"proxy-authorization", b"http2-settings")


class Message:
    def __init__(self, start, fields, body, raw, faults):
        self.start, self.fields, self.body, self.raw, self.faults = start, fields, body, raw, faults

    def values(self, name):
        return [value for of, value in self.fields if of.lower() == name]

    @property
    def target(self):
        words = self.start.split(b" ")
        return words[1] if len(words) > 1 else b""

    @property
    def status(self):
        words = self.start.split(b" ")
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def take(data, is_response=False, has_no_body=False, is_over=False):
    """The first message and the length of it; None when it is not all here."""
    end = re.search(rb"\r?\n\r?\n", data)
    if not end:
        return None
    lines = re.split(rb"\r?\n", data[:end.start()])
    faults = [] if data[:end.end()].count(b"\n") == data[:end.end()].count(b"\r\n") else ["a line feed alone"]
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        fields.append((name, value.strip(b" \t")))
        if not colon or not NAME.fullmatch(name) or not VALUE.fullmatch(value.strip(b" \t")):
            faults.append(f"the line {line[:40]!r}")
    message = Message(lines[0], fields, b"", b"", faults)
    if is_response and (100 <= message.status < 200 or message.status in (204, 304)):
        has_no_body = True
    read = body(message, data[end.end():], is_response, has_no_body, is_over)
    if read is None:
        return None
    message.body, length = read
    message.raw = data[:end.end() + length]
    if not is_response:
        faults += faults_of_request(message)
    return message, end.end() + length


def body(message, rest, is_response, has_no_body, is_over):
    codings = b",".join(message.values(b"transfer-encoding")).lower()
    lengths = message.values(b"content-length")
    if has_no_body:
        if message.status == 204 and (codings or lengths):
            message.faults.append("a 204 that says how its body ends")
        return b"", 0
    if codings:
        if codings != b"chunked" or lengths:
            message.faults.append(f"coding {codings!r}, length {lengths!r}")
        if codings.endswith(b"chunked"):
            return chunks(message, rest)
    if lengths:
        if len(lengths) > 1 or not re.fullmatch(rb"0|[1-9][0-9]{0,18}", lengths[0]):
            message.faults.append(f"length {lengths!r}")
        digits = re.match(rb"[+ 0x]*([0-9]+)", lengths[0])
        length = int(digits.group(1)) if digits else 0
        return (rest[:length], length) if len(rest) >= length else None
    if is_response:
        return (rest, len(rest)) if is_over else None
    return b"", 0


def chunks(message, rest):
    found, at = b"", 0
    while True:
        line = re.compile(rb"([0-9A-Fa-f]+)([^\n]*?)\r?\n").match(rest, at)
        if not line:
            return None
        if line.group(2):
            message.faults.append(f"a chunk extension {line.group(2)!r}")
        size, at = int(line.group(1), 16), line.end()
        if size == 0:
            end = re.compile(rb"((?:[^\r\n]+\r?\n)*)\r?\n").match(rest, at)
            if not end:
                return None
            if end.group(1):
                message.faults.append(f"trailers {end.group(1)[:40]!r}")
            return found, end.end()
        if len(rest) < at + size + 2:
            return None
        if rest[at + size:at + size + 2] != b"\r\n":
            message.faults.append("a chunk that is longer than it says")
        found, at = found + rest[at:at + size], at + size + 2


def faults_of_request(message):
    faults = []
    words = message.start.split(b" ")
    if len(words) != 3 or not METHOD.fullmatch(words[0]) or words[2] != b"HTTP/1.1" and words[2] != b"HTTP/1.0":
        faults.append(f"the first line {message.start[:60]!r}")
    else:
        faults += faults_of_target(*words[:2])
    for name in ONCE:
        if len(message.values(name)) > 1:
            faults.append(f"several {name.decode()}")
    hosts = message.values(b"host")
    if not hosts or not HOST.fullmatch(hosts[0]):
        faults.append(f"the host {hosts!r}")
    faults += [f"the field {name!r}" for name in NOT_FOR_WORKERS if message.values(name)]
    options = b",".join(message.values(b"connection")).lower()
    if options not in (b"", b"close", b"keep-alive", b"upgrade"):
        faults.append(f"connection {options!r}")
    if message.values(b"upgrade") and (options != b"upgrade" or message.values(b"upgrade")[0].lower() != b"websocket"):
        faults.append("an upgrade that is none")
    return faults


def faults_of_target(method, target):
    path, _, query = target.partition(b"?")
    is_star = path == b"*" and method == b"OPTIONS"
    if not PATH.fullmatch(path) or path == b"*" and not is_star or not QUERY.fullmatch(query):
        return [f"the target {target[:60]!r}"]
    decoded = re.sub(rb"%([2-7][0-9A-Fa-f])", lambda match: bytes([int(match.group(1), 16)]), path)
    dots = [segment for segment in decoded.split(b"/") if segment.split(b";")[0] in (b".", b"..")]
    return ["dot segments"] if dots or b"%00" in path or b"%0d" in path.lower() or b"%0a" in path.lower() else []
