"""The example's server with one thread, as http.server is by default.

While it computes, nothing else is answered. With REUSEPORT it shares its port with
its like by itself.
"""

import os
import socket
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/timer":
            end = time.monotonic() + int(parse_qs(url.query)["ms"][0]) / 1000
            while time.monotonic() < end:
                pass
        body = f"process {os.getpid()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


class Server(HTTPServer):
    # What Node takes. With the default, 5, connections to a busy copy would be
    # turned away by the kernel and come again after a second.
    request_queue_size = 511

    def server_bind(self):
        if os.environ.get("REUSEPORT"):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()


Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
