"""A bad day of an API server: a proxy before a real one that refuses writes, cuts watches and lets them expire."""
import http.client
import http.server
import json
import random
import ssl
import threading
import urllib.parse

WRITES = ("POST", "PUT", "PATCH", "DELETE")


def _status(code, reason, message):
    return json.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
                       "reason": reason, "code": code}).encode()


class _TlsServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def finish_request(self, request, client_address):
        # On the connection's own thread, so that a slow handshake delays nobody.
        super().finish_request(self.context.wrap_socket(request, server_side=True), client_address)

    def handle_error(self, *_):
        pass  # clients hang up; that is their right


class FlakyApi:
    """Listens on loopback with the API server's certificate, and hands on each request with its credentials.

    refuse: share of writes that are answered 409 or 429 instead, as `with_status` says.
    refuse_events: Events are not taken (403), as by a policy or a quota.
    """

    def __init__(self, plane, seed=1):
        owner = self
        self.refuse, self.with_status = 0.0, (429, 409)
        self.refuse_events = False
        self.refused = {429: 0, 409: 0, 500: 0, 403: 0}
        self._dice, self._watches, self._lock = random.Random(seed), set(), threading.Lock()
        self._target = urllib.parse.urlsplit(plane.url).netloc
        self._tls = ssl.create_default_context(cafile=str(plane.folder / "certs/apiserver.crt"))

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                owner._serve(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one

            def log_message(self, *_):
                pass

        self._server = _TlsServer(("127.0.0.1", 0), Handler)
        self._server.context.load_cert_chain(plane.folder / "certs/apiserver.crt", plane.folder / "certs/apiserver.key")
        self.url = "https://127.0.0.1:%d" % self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True, name="flaky API").start()

    def kubeconfig(self, original, file):
        """Writes a kubeconfig like the original that goes through here."""
        file.write_text("".join(line.split("server:")[0] + f"server: {self.url}\n" if "server:" in line else line
                                for line in original.read_text().splitlines(keepends=True)))
        return file

    def cut_watches(self):
        """Ends every watch in the middle of the stream. Returns how many."""
        return self._end_watches(None)

    def expire_watches(self):
        """Ends every watch with 410 Gone, so that its client must list again. Returns how many."""
        gone = _status(410, "Expired", "too old resource version")
        return self._end_watches(b'{"type":"ERROR","object":' + gone + b"}\n")

    def stop(self):
        self._end_watches(None)
        self._server.shutdown()
        self._server.server_close()

    def _end_watches(self, last_words):
        with self._lock:
            watches, self._watches = self._watches, set()
        for end in watches:
            end(last_words)
        return len(watches)

    def _serve(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.command in WRITES and self._dice.random() < self.refuse:
            return self._answer_refusal(request, self._dice.choice(self.with_status))
        if self.refuse_events and request.command in WRITES and "/events" in request.path:
            return self._answer_refusal(request, 403)
        upstream = http.client.HTTPSConnection(self._target, context=self._tls, timeout=600)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "connection", "content-length")}
        try:
            upstream.request(request.command, request.path, body or None, headers)
            answer = upstream.getresponse()
            if "watch=" in request.path and answer.status == 200:
                self._stream(request, upstream, answer)
            else:
                self._send(request, answer.status, answer.read(), answer.getheaders())
        except OSError:
            request.close_connection = True
        finally:
            upstream.close()

    def _answer_refusal(self, request, status):
        self.refused[status] += 1
        reason = {429: "TooManyRequests", 409: "Conflict", 403: "Forbidden"}.get(status, "InternalError")
        self._send(request, status, _status(status, reason, "as asked, on a bad day"),
                   [("Content-Type", "application/json")] + ([("Retry-After", "1")] if status == 429 else []))

    @staticmethod
    def _send(request, status, content, headers):
        request.send_response_only(status)
        for key, value in headers:
            if key.lower() not in ("content-length", "transfer-encoding", "connection"):
                request.send_header(key, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def _stream(self, request, upstream, answer):
        """Hands on a watch event by event, until either side or a fault ends it."""
        request.send_response_only(200)
        for key, value in answer.getheaders():
            if key.lower() not in ("content-length", "transfer-encoding", "connection"):
                request.send_header(key, value)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.close_connection = True
        writing = threading.Lock()

        def end(last_words):
            with writing:
                if last_words:
                    request.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(last_words), last_words))
                    request.wfile.flush()
                for connection in (upstream.sock, request.connection):
                    try:
                        connection.shutdown(2)
                    except (OSError, AttributeError):
                        pass
        with self._lock:
            self._watches.add(end)
        try:
            while chunk := answer.read1(1 << 16):  # the server sends an event a chunk
                with writing:
                    request.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                    request.wfile.flush()
            with writing:
                request.wfile.write(b"0\r\n\r\n")
        except (OSError, ValueError, http.client.HTTPException):
            pass
        finally:
            with self._lock:
                self._watches.discard(end)
