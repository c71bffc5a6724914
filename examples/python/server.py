"""The smallest Python server that shows what a process manager is for.

    python3 server.py               one process
    pace start server.py -i 4       four, all on the same port

Nothing in it knows about Paceline, about clusters or about signals.
"""

import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


def busy(ms):
    """Compute until the time is over: this thread holds the interpreter's lock.

    The others get it for a moment every 5 ms, so the whole process becomes slow.
    """
    end = time.monotonic() + ms / 1000
    while time.monotonic() < end:
        pass


class Handler(BaseHTTPRequestHandler):
    # http.server speaks HTTP/1.0: it closes the connection after each answer. With
    # protocol_version = "HTTP/1.1" it would keep it, and a Content-Length is needed.

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/":
            self.answer(200, f"process {os.getpid()}\n")
        elif url.path == "/timer":
            ms = int(parse_qs(url.query).get("ms", ["9000"])[0])
            busy(ms)
            self.answer(200, f"process {os.getpid()} was busy for {ms} ms\n")
        else:
            self.answer(404, "not found; try / or /timer?ms=9000\n")

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass  # else it writes a line to stderr for each request


class Server(ThreadingHTTPServer):
    # The default is 5: a sixth client that comes while all threads are slow would
    # have to try again after a second.
    request_queue_size = 128


port = int(os.environ.get("PORT", "3000"))
server = Server(("", port), Handler)
print(f"process {os.getpid()} listens on port {port}", flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    pass  # Ctrl-C, or pace's stop signal: no traceback for that
