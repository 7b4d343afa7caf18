"""The acceptance app in Python: the standard library's threading server. It knows nothing of portreeve."""

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

VERSION = 1


class Ledger:
    """The "database": one line an order, appended at once."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) if path else None

    def insert(self, order):
        if self.file is not None:
            os.write(self.file, f"{order}\n".encode())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "python-app"
    wbufsize = 64 * 1024  # head and body leave in one write
    timeout = 5  # seconds that an idle connection lives

    def do_GET(self):
        path = urlsplit(self.path).path
        if path == "/health":
            self.reply(200, {"ok": True})
        elif path == "/whoami":
            self.reply(200, {"app": "python", "version": VERSION, "pid": os.getpid()})
        else:
            self.reply(404, {"error": "not found"})

    def do_POST(self):
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if url.path != "/once":
            return self.reply(404, {"error": "not found"})
        order = parse_qs(url.query)["id"][0]
        self.server.ledger.insert(order)
        return self.reply(200, {"id": order, "bytes": len(body)})

    def reply(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("App-Version", str(VERSION))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Requests are not logged."""


class Server(ThreadingHTTPServer):
    daemon_threads = False  # the end waits for requests in flight
    request_queue_size = 128


def main():
    server = Server(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Handler)
    server.ledger = Ledger(os.environ.get("LEDGER"))

    def stop(*_):
        # shutdown() waits for serve_forever() to return, so it must not run on the same thread.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"version {VERSION} listening on {server.server_port}", flush=True)
    server.serve_forever()
    server.server_close()


if __name__ == "__main__":
    main()
