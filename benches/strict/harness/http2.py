"""HTTP/2 frames without any check, field blocks as literals, and as much of HPACK as reading a status takes."""
import struct

from .cases import bytes_of

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
TYPES = {name: number for number, name in enumerate(
    ("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE",
     "CONTINUATION"))}
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK, PADDED, PRIORITIES = 1, 4, 1, 8, 32
STATIC_STATUS = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def integer(value, bits, first=0):
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = bytearray([first | most]), value - most
    while value >= 128:
        out.append(value % 128 | 128)
        value //= 128
    return bytes(out + bytes([value]))


def block(fields):
    return b"".join(b"\x00" + integer(len(name), 7) + name + integer(len(value), 7) + value for name, value in fields)


def message(case):
    """The frames of a case, on stream 1."""
    if case.get("frames"):
        return b"".join(named(line) for line in case.get("frames"))
    body, trailers = case.bytes("body"), case.fields("trailers")
    out = head_frames(block(case.fields("head")), END_STREAM if body is None and not trailers else 0)
    if body is not None:
        out += frame(DATA, 0 if trailers else END_STREAM, 1, body)
    if trailers:
        out += head_frames(block(trailers), END_STREAM)
    return out


def head_frames(encoded, flags):
    parts = [encoded[at:at + 16384] for at in range(0, len(encoded), 16384)] or [b""]
    last = len(parts) - 1
    kinds = [HEADERS] + [TYPES["CONTINUATION"]] * last
    return b"".join(frame(kind, (flags if at == 0 else 0) | (END_HEADERS if at == last else 0), 1, part)
                    for at, (kind, part) in enumerate(zip(kinds, parts)))


def request(method=b"GET", path=b"/"):
    return block([(b":method", method), (b":scheme", b"https"), (b":path", path), (b":authority", b"localhost")])


def named(line):
    """`TYPE flags stream payload`, as http2.toml explains it."""
    words = line.split()
    kind = TYPES[words[0]] if words[0] in TYPES else int(words[0], 16)
    payload = b""
    for word in words[3:]:
        payload += {"@get": request(), "@post": request(b"POST"), "@trailers": block([(b"x", b"y")])}.get(
            word) or bytes.fromhex(bytes_of(word).decode())
    return frame(kind, int(words[1], 16), int(words[2], 16), payload)


class Reader:
    """What the server has said so far, by stream."""

    def __init__(self):
        self.rest, self.streams, self.goaway, self.reset, self.replies = b"", {}, None, {}, b""
        self.ended = set()

    def feed(self, data):
        self.rest += data
        while len(self.rest) >= 9:
            length = int.from_bytes(self.rest[:3], "big")
            if len(self.rest) < 9 + length:
                return
            kind, flags = self.rest[3], self.rest[4]
            stream = int.from_bytes(self.rest[5:9], "big") & 0x7fffffff
            self.take(kind, flags, stream, self.rest[9:9 + length])
            self.rest = self.rest[9 + length:]

    def take(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            self.replies += frame(SETTINGS, ACK, 0)
        elif kind == PING and not flags & ACK:
            self.replies += frame(PING, ACK, 0, payload)
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        elif kind == RST_STREAM:
            self.reset[stream] = int.from_bytes(payload[:4], "big")
        elif kind in (HEADERS, DATA):
            head = self.streams.setdefault(stream, {"status": 0, "block": b"", "body": b""})
            payload = unpadded(flags, payload, kind == HEADERS)
            if kind == HEADERS and (head["status"] == 0 or head["status"] < 200):
                head["status"], head["block"] = status(payload), payload
            elif kind == DATA:
                head["body"] += payload
            if flags & END_STREAM:
                self.ended.add(stream)

    def status(self, stream):
        return self.streams.get(stream, {"status": 0})["status"]

    def is_done(self, stream):
        return stream in self.ended or stream in self.reset or self.goaway not in (None, 0)


def unpadded(flags, payload, is_head):
    if flags & PADDED:
        payload = payload[1:len(payload) - payload[0]]
    return payload[5:] if is_head and flags & PRIORITIES else payload


def status(encoded):
    """The status comes first in a block (RFC 9113, section 8.3)."""
    while encoded and encoded[0] & 0xe0 == 0x20:
        encoded = encoded[1:]
    if not encoded:
        return 0
    if encoded[0] & 0x80:
        return STATIC_STATUS.get(encoded[0] & 0x7f, 0)
    length, huffman = encoded[1] & 0x7f, encoded[1] & 0x80
    text = encoded[2:2 + length]
    return int(digits(text) if huffman else text)


def digits(data):
    """Digits in HPACK's Huffman code (RFC 7541, appendix B): 0 to 2 take five bits, the others six."""
    bits = "".join(f"{byte:08b}" for byte in data)
    found, at = "", 0
    while len(bits) - at >= 5:
        if bits[at:at + 5] in ("00000", "00001", "00010"):
            found, at = found + str(int(bits[at:at + 5], 2)), at + 5
        elif len(bits) - at >= 6 and 25 <= int(bits[at:at + 6], 2) <= 31:
            found, at = found + str(int(bits[at:at + 6], 2) - 22), at + 6
        else:
            break
    return found
