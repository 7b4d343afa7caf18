"""One thread plays worker and client: nothing is seen later than it happened, and nothing has to be waited out."""
import selectors
import socket
import ssl
import time

from . import http2, reader
from .cases import Case

PATIENCE = 4.0
END = b"GET /end HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Served:
    """A connection of the proxy to the worker."""

    def __init__(self, sock):
        self.sock, self.data = sock, b""


class Stage:
    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        self.served, self.seen, self.partial, self.script, self.later = [], [], False, None, None
        self.tls = ssl.create_default_context()
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        self.tls.set_alpn_protocols(["h2"])

    # ------------------------------------------------------------ the worker

    def accept(self):
        sock, _ = self.listener.accept()
        sock.setblocking(False)
        served = Served(sock)
        self.served.append(served)
        self.selector.register(sock, selectors.EVENT_READ, lambda: self.read(served))

    def read(self, served):
        data = receive(served.sock)
        if data is None:
            return
        if not data:
            self.partial |= bool(served.data)
            self.drop(served)
            return
        served.data += data
        while taken := reader.take(served.data):
            message, length = taken
            served.data = served.data[length:]
            self.seen.append(message)
            if not self.answer(served, message):
                return

    def answer(self, served, message):
        case = self.script if message.target == b"/case" else None
        if case is None:
            answer = b"" if message.start.startswith(b"HEAD") else message.target
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(message.target), answer)
            return self.write(served, answer)
        if not self.write(served, case.bytes("respond")):
            return False
        if case.get("close"):
            self.drop(served)
            return False
        if case.get("later"):
            self.later = (served, case.bytes("later"))
        return True

    def write(self, served, data):
        while data:
            try:
                data = data[served.sock.send(data):]
            except BlockingIOError:
                self.turn(time.monotonic() + 0.05)
            except OSError:
                self.drop(served)
                return False
        return True

    def drop(self, served):
        if served in self.served:
            self.served.remove(served)
            self.selector.unregister(served.sock)
            served.sock.close()

    def turn(self, until):
        for key, _ in self.selector.select(max(0.0, min(0.05, until - time.monotonic()))):
            key.data()

    # ------------------------------------------------------------ the client

    def play(self, case: Case, http, https):
        """What came of a case: (messages of the worker, what the client saw)."""
        self.seen, self.partial, self.later = [], False, None
        self.script = case if case.kind == "responses" else None
        if case.kind == "http1":
            client = self.http1(case.bytes("send"), http, case.requests, case.get("hang_up", False))
        elif case.kind == "http2":
            client = self.http2(http2.message(case), https)
        else:
            method = case.get("method", "GET").encode()
            client = self.http1(method + b" /case HTTP/1.1\r\nHost: localhost\r\n\r\n", http, 1, False, method == b"HEAD")
        self.settle()
        return self.seen, client

    def settle(self):
        """Lets half a message become a whole one, or goes on without it."""
        until = time.monotonic() + 0.3
        self.turn(time.monotonic())
        while any(served.data for served in self.served) and time.monotonic() < until:
            self.turn(until)
        for served in list(self.served):
            if served.data:
                self.drop(served)

    def http1(self, data, address, count, hangs_up, is_head=False):
        client = Client(socket.create_connection(address), self)
        client.send(data)
        if hangs_up:
            client.sock.shutdown(socket.SHUT_WR)
        client.read(count, is_head)
        if self.later:
            served, words = self.later
            self.write(served, words)
            until = time.monotonic() + 1
            while served in self.served and time.monotonic() < until:
                self.turn(until)
        if not client.is_over and not hangs_up and len(client.answers) >= count:
            client.is_asked_on = True
            client.send(END)
            client.read(count + 1, is_head)
        client.close()
        return client

    def http2(self, data, address):
        sock = self.tls.wrap_socket(socket.create_connection(address))
        client = Client(sock, self)
        client.send(http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0, b"\x00\x01\x00\x00\x00\x00") + data)
        client.read_http2(1)
        if not client.is_over and client.frames.is_done(1) and client.frames.goaway is None:
            client.is_asked_on = True
            client.send(http2.frame(http2.HEADERS, http2.END_STREAM | http2.END_HEADERS, 3, http2.request(path=b"/end")))
            client.read_http2(3)
        client.close()
        return client


class Client:
    def __init__(self, sock, stage):
        self.sock, self.stage, self.raw, self.rest = sock, stage, b"", b""
        self.answers, self.is_over, self.is_asked_on, self.is_late = [], False, False, False
        self.frames = http2.Reader()
        sock.setblocking(False)
        stage.selector.register(sock, selectors.EVENT_READ, self.hear)

    def hear(self):
        while not self.is_over:
            data = receive(self.sock)
            if data is None:
                return
            self.raw += data
            self.rest += data
            self.is_over = not data

    def send(self, data):
        until = time.monotonic() + PATIENCE
        while data and not self.is_over and time.monotonic() < until:
            try:
                data = data[self.sock.send(data):]
            except (BlockingIOError, ssl.SSLWantWriteError):
                self.stage.turn(time.monotonic() + 0.05)
            except OSError:
                return

    def read(self, count, is_head):
        until = time.monotonic() + PATIENCE
        while len(self.answers) < count:
            no_body = is_head and not self.answers
            taken = reader.take(self.rest, True, no_body, self.is_over)
            if taken:
                message, length = taken
                self.rest = self.rest[length:]
                if message.status >= 200 or message.status == 101:
                    self.answers.append(message)
                continue
            if self.is_over or time.monotonic() > until:
                self.is_late = not self.is_over
                return
            self.stage.turn(until)
        # What comes of itself behind an answer has come by now, or comes with the next one.
        self.stage.turn(time.monotonic() + 0.002)

    def read_http2(self, stream):
        until = time.monotonic() + PATIENCE
        while not self.is_over and time.monotonic() < until:
            self.frames.feed(self.rest)
            self.rest = b""
            if self.frames.replies:
                replies, self.frames.replies = self.frames.replies, b""
                self.send(replies)
            if self.frames.is_done(stream):
                return
            self.stage.turn(until)
        self.frames.feed(self.rest)
        self.rest = b""
        self.is_late = not self.is_over and not self.frames.is_done(stream)

    def close(self):
        self.stage.selector.unregister(self.sock)
        self.sock.close()


def receive(sock):
    """What is there; empty at the end, None when there is nothing."""
    try:
        return sock.recv(65536)
    except (BlockingIOError, ssl.SSLWantReadError):
        return None
    except OSError:
        return b""
