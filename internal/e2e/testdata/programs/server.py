"""Python's http.server: server.py HTTPServer (one thread) or ThreadingHTTPServer."""

import http.server
import os
import sys
import time

TEXT = f"instance {os.environ['NODE_APP_INSTANCE']} process {os.getpid()}\n".encode()
DELAY = int(os.environ.get("DELAY", "0")) / 1000


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if DELAY:
            time.sleep(DELAY)
        self.send_response(200)
        self.send_header("Content-Length", str(len(TEXT)))
        self.end_headers()
        self.wfile.write(TEXT)

    def log_message(self, format, *args):
        pass


server = getattr(http.server, sys.argv[1])
server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
