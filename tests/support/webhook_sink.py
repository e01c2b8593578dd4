"""A webhook that keeps what it is sent: the far end of Providers of type slack, generic and generic-hmac."""
import collections
import http.server
import json
import threading
import time

Message = collections.namedtuple("Message", "time path headers raw body")


class WebhookSink:
    """Listens on loopback in a thread. `messages` is in the order of arrival; only those answered 2xx are in it."""

    def __init__(self, address="127.0.0.1", port=0):
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status = sink._receive(self.path, dict(self.headers.items()), raw)
                answer = b'{"ok":true}' if status < 300 else b'{"ok":false,"error":"as_asked"}'
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.messages, self.attempts = [], collections.Counter()
        self._faults, self._lock = {}, threading.Lock()
        self._server = http.server.ThreadingHTTPServer((address, port), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # who is killed hangs up
        self.url = "http://%s:%d" % self._server.server_address[:2]
        threading.Thread(target=self._server.serve_forever, daemon=True, name="webhook sink").start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def fail(self, path, status=503, times=-1):
        """Answers requests to the path with that status, so many times, or until heal()."""
        with self._lock:
            self._faults[path] = [status, times]

    def heal(self, path):
        with self._lock:
            self._faults.pop(path, None)

    def received(self, path=None):
        with self._lock:
            return [m for m in self.messages if path in (None, m.path)]

    def _receive(self, path, headers, raw):
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        with self._lock:
            self.attempts[path] += 1
            fault = self._faults.get(path)
            if fault and fault[1] != 0:
                fault[1] -= 1
                return fault[0]
            self.messages.append(Message(time.time(), path, headers, raw, body))
        return 200


def slack_text(body):
    """What a person would read of a message in Slack's format."""
    lines = [body["text"]] if body.get("text") else []
    for attachment in body.get("attachments") or []:
        lines += [attachment[key] for key in ("author_name", "pretext", "title", "text") if attachment.get(key)]
        lines += [f"{field.get('title')}: {field.get('value')}" for field in attachment.get("fields") or []]
    return "\n".join(lines)
