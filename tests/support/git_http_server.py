#!/usr/bin/env python3
"""Serves bare Git repositories over smart HTTP, as a hosting service does.

    git_http_server.py --root DIR [--port 0] [--user U --password P] [--bearer T]
                       [--cert FILE --key FILE [--client-ca FILE]] [--log FILE] [--push]

Prints `listening http://127.0.0.1:PORT` once it accepts connections, and
serves DIR/<name>.git as http://127.0.0.1:PORT/<name>.git by running
`git http-backend` (gitprotocol-http(5)). Only fetching is offered, unless
--push. With --log each request becomes one line: METHOD PATH STATUS.

Tests reach failures through the path:
    /redirect/HOST:PORT/<name>.git   answers 302 to the same scheme at HOST:PORT
    /downgrade/HOST:PORT/<name>.git  answers 302 to http://HOST:PORT
    /stall/<name>.git                lists references, then never sends the pack
    /truncate/<name>.git             sends the first half of the pack
    /status/CODE/<name>.git          answers CODE
    /stall-refs/<name>.git           accepts and never answers
"""
import argparse
import base64
import gzip
import http.server
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    options = None
    log_lock = threading.Lock()

    def do_GET(self):
        self.serve(b"")

    def do_POST(self):
        try:
            body = self.read_body()
        except ValueError as error:
            self.answer(400, str(error).encode())
            return
        self.serve(body)

    def read_body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            chunks = []
            while True:
                size = int(self.rfile.readline().split(b";")[0].strip() or b"0", 16)
                chunk = self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    break
                chunks.append(chunk)
            body = b"".join(chunks)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") in ("gzip", "x-gzip"):
            body = gzip.decompress(body)
        return body

    def serve(self, body):
        path, _, query = self.path.partition("?")
        parts = path.split("/")
        fault = parts[1] if len(parts) > 2 else ""
        if fault == "status" and parts[2].isdigit():
            self.answer(int(parts[2]), b"as asked\n", [("Retry-After", "7")])
        elif fault in ("redirect", "downgrade"):
            scheme = "http" if fault == "downgrade" else self.options.scheme
            target = "%s://%s/%s?%s" % (scheme, parts[2], "/".join(parts[3:]), query)
            self.answer(302, b"", [("Location", target)])
        elif not self.authorized():
            self.answer(401, b"credentials, please\n", [("WWW-Authenticate", 'Basic realm="git"')])
        elif fault == "stall-refs" or (fault == "stall" and self.command == "POST"):
            self.log_line(0)
            time.sleep(600)
        else:
            if fault in ("stall", "truncate"):
                path = "/" + "/".join(parts[2:])
            self.run_backend(path, query, body, half=fault == "truncate" and self.command == "POST")

    def authorized(self):
        options = self.options
        given = self.headers.get("Authorization", "")
        if options.bearer:
            return given == "Bearer " + options.bearer
        if options.user:
            pair = "%s:%s" % (options.user, options.password)
            return given == "Basic " + base64.b64encode(pair.encode()).decode()
        return True

    def run_backend(self, path, query, body, half):
        path = urllib.parse.unquote(path)
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": "1",  # the repositories may belong to another user
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "GIT_PROJECT_ROOT": self.options.root,
            "GIT_HTTP_EXPORT_ALL": "1",
            "GATEWAY_INTERFACE": "CGI/1.1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": self.client_address[0],
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        if self.options.push:
            environment["REMOTE_USER"] = self.options.user or "pusher"
        elif "git-receive-pack" in path + query:
            self.answer(403, b"this server is for reading\n")
            return
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        status, headers = 200 if head else 500, []
        for line in head.decode("latin-1").splitlines():
            key, _, value = line.partition(":")
            if key.lower() == "status":
                status = int(value.split()[0])
            else:
                headers.append((key, value.strip()))
        if half and status == 200:
            self.answer(status, content[: len(content) // 2], headers, len(content))
            self.close_connection = True
        else:
            self.answer(status, content, headers)

    def answer(self, status, content, headers=(), length=None):
        self.log_line(status)
        try:
            self.send_response(status)
            for key, value in headers:
                if key.lower() != "content-length":
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(content) if length is None else length))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_line(self, status):
        if not self.options.log:
            return
        with self.log_lock, open(self.options.log, "a", encoding="utf-8") as out:
            user = "authorized" if self.headers.get("Authorization") else "anonymous"
            out.write("%s %s %d %s\n" % (self.command, self.path, status, user))

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    # The handshake is made on the connection's own thread, so that a client
    # that never speaks delays nobody.
    def finish_request(self, request, client_address):
        context = Handler.options.context
        if context:
            request.settimeout(30)
            request = context.wrap_socket(request, server_side=True)
            request.settimeout(None)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError, OSError)):
            super().handle_error(request, client_address)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--root", required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--bearer", default="")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--client-ca")
    parser.add_argument("--log")
    parser.add_argument("--push", action="store_true")
    options = parser.parse_args()
    options.root = os.path.abspath(options.root)
    options.context = None
    if options.cert:
        options.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        options.context.load_cert_chain(options.cert, options.key)
        if options.client_ca:
            options.context.verify_mode = ssl.CERT_REQUIRED
            options.context.load_verify_locations(options.client_ca)
    options.scheme = "https" if options.context else "http"
    Handler.options = options
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server = Server((options.address, options.port), Handler)
    print("listening %s://%s:%d" % (options.scheme, options.address, server.server_address[1]), flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
