"""A small HTTP server with Range and ETag, and with faults to order."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """Serves `content` at every path.

    drops     after how many bytes each next connection is cut; then no more cuts
    errors    status codes to answer first, before anything is served
    etag      whether resuming is possible at all
    requests  the Range header, or None, of each request that came
    """

    def __init__(self, content):
        self.content = content
        self.drops = []
        self.errors = []
        self.etag = True
        self.ranges = True
        self.requests = []
        self.paths = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request):
        asked = request.headers.get("Range")
        self.requests.append(asked)
        self.paths.append(request.path)
        if self.errors:
            request.send_error(self.errors.pop(0))
            return
        content = self.content
        tag = f'"{hashlib.sha256(content).hexdigest()[:8]}"'
        start = 0
        if asked and self.ranges and request.headers.get("If-Range") in (None, tag):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                request.send_error(416)
                return
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            request.send_response(200)
        if self.etag:
            request.send_header("ETag", tag)
        body = content[start:]
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if self.drops:
            body = body[: self.drops.pop(0)]
        request.wfile.write(body)
