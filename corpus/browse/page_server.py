"""Serves a dataset's page, and each of its sessions, to this machine."""

from __future__ import annotations

import json
import re
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from trace_mine.corpus.browse.page import session_json
from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.visible import one_line


def open_server(dataset: Path, page: str, port: int) -> ThreadingHTTPServer:
    """Open a server of a page, and of the sessions of the dataset's rows, at a port (0: any). Raises OSError.

    It answers this machine alone: the page is for whoever started the command.
    """
    return ThreadingHTTPServer(("127.0.0.1", port), partial(PageHandler, dataset, page.encode("utf-8")))


class PageHandler(BaseHTTPRequestHandler):
    """Answers two kinds of paths: ``/``, the page, and ``/session/N``, what the page shows of row N."""

    def __init__(self, dataset: Path, page: bytes, *arguments: object) -> None:
        self._dataset, self._page = dataset, page
        super().__init__(*arguments)  # type: ignore[arg-type]  # request, address, server

    def do_GET(self) -> None:
        """Answer a request."""
        # Another site's page could ask a server of this machine under a name of its own (DNS rebinding).
        host = (self.headers.get("Host") or "").rpartition(":")[0] or self.headers.get("Host")
        if host not in ("127.0.0.1", "localhost"):
            self._answer(403, "text/plain", b"expected the host 127.0.0.1\n")
            return
        if self.path in ("/", "/index.html"):
            self._answer(200, "text/html; charset=utf-8", self._page)
            return
        match = re.fullmatch(r"/session/(\d{1,12})", self.path, re.ASCII)
        session = None
        if match is not None:
            try:
                session = session_json(self._dataset, int(match.group(1)))
            except CorpusError as error:
                self._answer(500, "text/plain; charset=utf-8", f"{one_line(str(error), 1_000)}\n".encode())
                return
        if session is None:
            self._answer(404, "text/plain", b"no such row, or one that can't be shown\n")
            return
        self._answer(200, "application/json", json.dumps(session).encode("ascii"))

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: requests are not worth a line."""

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)
