"""What the stories of cluster.py stand on: the daemon on a real API server, receivers, and Events as client-go writes them."""
import datetime
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/support"))
import control_plane  # noqa: E402
from processes import free_ports  # noqa: E402

GROUP = "kustomize.toolkit.fluxcd.io"
NOTIFICATION = "notification.toolkit.fluxcd.io/v1beta3"
LIMIT = 60  # seconds that anything may take to come about


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def until(what, is_so, limit=LIMIT):
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if is_so():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {limit} s")


class Receiver:
    """A webhook: remembers what it took; `answer` says what it answers (a status, or seconds to hang)."""

    def __init__(self):
        self.taken, self.refused, self.lock = [], 0, threading.Lock()
        self.answer = lambda request: 200
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65536  # the answer in one segment: the second of two would wait 40 ms for an acknowledgement

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = {"path": self.path, "headers": dict(self.headers), "body": body}
                status = outer.answer(request)
                if status == "hang":
                    time.sleep(600)
                text = b"ok"
                if isinstance(status, tuple):
                    status, text = status
                with outer.lock:
                    if 200 <= status < 300:
                        outer.taken.append(request)
                    else:
                        outer.refused += 1
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", "1")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # who is killed does not take leave
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def bodies(self):
        with self.lock:
            return [json.loads(request["body"]) for request in self.taken]

    def messages(self):
        return [b["message"] if "message" in b else b["attachments"][0]["text"] for b in self.bodies()]


class Hole:
    """A receiver that takes every connection and answers nothing."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(4096)  # what is never accepted is connected all the same
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"


class Cluster:
    def __init__(self, plane, binary, folder):
        self.plane, self.binary, self.folder = plane, binary, folder
        self.daemon, self.sequence, self.starts = None, 0, 0

    def kubectl(self, *args, stdin=None, check=True, errors=False):
        done = subprocess.run([self.plane.bin / "kubectl", f"--kubeconfig={self.plane.kubeconfig}", *args],
                              input=stdin, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(map(str, args))}: {done.stderr}")
        return done.stdout + done.stderr if errors else done.stdout

    def apply(self, *objects):
        self.kubectl("apply", "--server-side", "-f", "-", stdin="\n---\n".join(json.dumps(o) for o in objects))

    def get(self, kind, name, space="default"):
        return json.loads(self.kubectl("get", kind, name, "-n", space, "-o", "json"))

    def ready(self, kind, name, space="default"):
        conditions = self.get(kind, name, space).get("status", {}).get("conditions", [])
        return {c["type"]: c for c in conditions}

    def listening(self, space):
        """So many Alerts of that namespace are looked after."""
        alerts = json.loads(self.kubectl("get", "alerts", "-n", space, "-o", "json"))["items"]
        return sum(any(x["type"] == "Listening" for x in a.get("status", {}).get("conditions", [])) for a in alerts)

    def await_ready(self, kind, *names):
        for name in names:
            until(f"{kind} {name} is Ready", lambda: self.ready(kind, name).get("Ready", {}).get("status") == "True")

    def start(self, *flags):
        self.starts += 1
        log = open(self.folder / "daemon.log", "ab")
        self.health = f"127.0.0.1:{free_ports(1)[0]}"
        self.daemon = subprocess.Popen(
            [self.binary, f"--kubeconfig={self.plane.kubeconfig}", "--metrics-addr=0", f"--health-addr={self.health}",
             f"--delivery-journal={self.folder}/journal", *flags],
            stdout=log, stderr=log, env={**os.environ, "RUNTIME_NAMESPACE": "default"})

    def stop(self, how=signal.SIGTERM):
        self.daemon.send_signal(how)
        status = self.daemon.wait(60)
        self.daemon = None
        return status

    def open_files(self):
        """Of the daemon: how many, sockets included."""
        return len(os.listdir(f"/proc/{self.daemon.pid}/fd"))

    def peak_memory(self):
        """Of the daemon, in MiB."""
        for line in pathlib.Path(f"/proc/{self.daemon.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return 0

    def create_many_alerts(self, alerts):
        self.create_many(alerts, f"/apis/{NOTIFICATION}", "alerts")

    def log(self):
        return (self.folder / "daemon.log").read_text(errors="replace")

    def event(self, name, message, kind="Kustomization", type_="Normal", space="default", annotations=None, **more):
        """The manifest of an Event as client-go's recorder would create it."""
        self.sequence += 1
        at = now()
        group, version = {"GitRepository": ("source.toolkit.fluxcd.io", "v1")}.get(kind, (GROUP, "v1"))
        controller = {"GitRepository": "source-controller"}.get(kind, "kustomize-controller")
        return {"apiVersion": "v1", "kind": "Event",
                "metadata": {"name": f"{name}.{time.time_ns():x}{self.sequence:x}", "namespace": space,
                             "annotations": {f"{group}/revision": "main@sha1:abc", **(annotations or {})}},
                "involvedObject": {"apiVersion": f"{group}/{version}", "kind": kind, "name": name, "namespace": space,
                                   "uid": hashlib.md5(name.encode()).hexdigest(), "resourceVersion": "1"},
                "type": type_, "reason": "ReconciliationSucceeded", "message": message, "count": 1,
                "source": {"component": controller}, "reportingComponent": controller,
                "firstTimestamp": at, "lastTimestamp": at, **more}

    def create_many(self, objects, api, plural, senders=4):
        """Faster than kubectl by far. `api` as in "/api/v1"."""
        address, waiting, lock, wrong = self.plane.url.split("//")[1], list(objects), threading.Lock(), []

        def send():
            connection = http.client.HTTPSConnection(address, context=ssl._create_unverified_context())
            while True:
                with lock:
                    if not waiting or wrong:
                        return
                    one = waiting.pop()
                connection.request("POST", f"{api}/namespaces/{one['metadata']['namespace']}/{plural}", json.dumps(one),
                                   {"Authorization": f"Bearer {self.plane.token}", "Content-Type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != 201:
                    wrong.append(text)

        threads = [threading.Thread(target=send) for _ in range(senders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong, wrong

    def emit_many(self, events):
        self.create_many(events, "/api/v1", "events")

    def emit(self, *events):
        self.kubectl("create", "-f", "-", stdin="\n---\n".join(json.dumps(e) for e in events))


def within(seconds):
    """The same on a machine that others use as well."""
    return seconds * max(1.0, os.getloadavg()[0] / os.cpu_count())


class Pulse:
    """Asks /healthz again and again; `longest` is how long an answer took at most, in seconds."""

    def __init__(self, cluster):
        self.cluster, self.longest, self.answers, self.stop = cluster, 0.0, 0, threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        until("the daemon answers", self._ask)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def _ask(self):
        try:
            with urllib.request.urlopen(f"http://{self.cluster.health}/healthz", timeout=300) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _run(self):
        while not self.stop.is_set():
            began = time.monotonic()
            assert self._ask()
            self.longest = max(self.longest, time.monotonic() - began)
            self.answers += 1
            time.sleep(0.02)


def provider(name, receiver, type_="generic", **spec):
    return {"apiVersion": NOTIFICATION, "kind": "Provider", "metadata": {"name": name, "namespace": "default"},
            "spec": {"type": type_, "address": receiver.url + "/hook/s3cr3t", **spec}}


def alert(name, to, sources=None, **spec):
    return {"apiVersion": NOTIFICATION, "kind": "Alert", "metadata": {"name": name, "namespace": "default"},
            "spec": {"providerRef": {"name": to}, "eventSources": sources or [{"kind": "Kustomization", "name": "*"}],
                     **spec}}


def secret(name, **data):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"}, "stringData": data}


def run_story(story, binary):
    with control_plane.ControlPlane() as plane, tempfile.TemporaryDirectory() as folder:
        c = Cluster(plane, binary, pathlib.Path(folder))
        c.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        c.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        try:
            story(c)
        except BaseException:
            print(c.log()[-40000:], file=sys.stderr)
            raise
        finally:
            if c.daemon:
                c.daemon.kill()
                c.daemon.wait()
