"""The same app as systemd would run it: it takes the socket that it is given, if any, and tells how it is."""

import os
import socket
import subprocess
import sys
import threading
from urllib.parse import unquote, urlsplit

import app


def tell(message):
    """sd_notify(3) without the library."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(message.encode(), os.environ["NOTIFY_SOCKET"])


class Handler(app.Handler):
    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/tell":
            tell(unquote(url.query))
            self.reply(200, {"told": url.query})
        elif url.path == "/tell-by-a-child":
            line = f"import contract; contract.tell({unquote(url.query)!r})"
            child = subprocess.Popen([sys.executable, "-c", line], start_new_session=True)
            self.reply(200, {"code": child.wait()})
        elif url.path == "/environment":
            self.reply(200, dict(os.environ))
        else:
            super().do_GET()

    def address_string(self):
        return "somebody"


class Server(app.Server):
    def __init__(self):
        port = os.environ["PORT"]
        self.address_family = socket.AF_UNIX if port.startswith("/") else socket.AF_INET
        is_given = os.environ.get("LISTEN_PID") == str(os.getpid())
        super().__init__(port if port.startswith("/") else ("127.0.0.1", int(port)), Handler, not is_given)
        if is_given:
            self.socket.close()
            self.socket = socket.socket(fileno=3)

    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)


def main():
    server = Server()
    server.ledger = app.Ledger(os.environ.get("LEDGER"))

    def stop(*_):
        threading.Thread(target=server.shutdown).start()

    app.signal.signal(app.signal.SIGTERM, stop)
    for message in os.environ.get("TELLS", "").split(";"):
        if message:
            tell(message)
    if "READY_FD" in os.environ:
        os.write(int(os.environ["READY_FD"]), b"\n")
    server.serve_forever()
    server.server_close()


if __name__ == "__main__":
    main()
