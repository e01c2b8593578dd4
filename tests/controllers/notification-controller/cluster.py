#!/usr/bin/env python3
"""notification-controller on a real API server: what arrives at webhooks, also when it is killed or a receiver is ill.

    cluster.py BINARY [STORY...]     exit status 0: all well, 1: not, 77: no control plane to be had

Events are written as client-go's recorder writes them. Receivers are HTTP servers in this process.
"""
import collections
import datetime
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/support"))
import control_plane  # noqa: E402

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


class Cluster:
    def __init__(self, plane, binary, folder):
        self.plane, self.binary, self.folder = plane, binary, folder
        self.daemon, self.sequence, self.starts = None, 0, 0

    def kubectl(self, *args, stdin=None, check=True):
        done = subprocess.run([self.plane.bin / "kubectl", f"--kubeconfig={self.plane.kubeconfig}", *args],
                              input=stdin, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(map(str, args))}: {done.stderr}")
        return done.stdout

    def apply(self, *objects):
        self.kubectl("apply", "--server-side", "-f", "-", stdin="\n---\n".join(json.dumps(o) for o in objects))

    def get(self, kind, name, space="default"):
        return json.loads(self.kubectl("get", kind, name, "-n", space, "-o", "json"))

    def ready(self, kind, name, space="default"):
        conditions = self.get(kind, name, space).get("status", {}).get("conditions", [])
        return {c["type"]: c for c in conditions}

    def await_ready(self, kind, *names):
        for name in names:
            until(f"{kind} {name} is Ready", lambda: self.ready(kind, name).get("Ready", {}).get("status") == "True")

    def start(self, *flags):
        self.starts += 1
        log = open(self.folder / "daemon.log", "ab")
        self.daemon = subprocess.Popen(
            [self.binary, f"--kubeconfig={self.plane.kubeconfig}", "--metrics-addr=0", "--health-addr=0",
             f"--delivery-journal={self.folder}/journal", *flags],
            stdout=log, stderr=log, env={**os.environ, "RUNTIME_NAMESPACE": "default"})

    def stop(self, how=signal.SIGTERM):
        self.daemon.send_signal(how)
        status = self.daemon.wait(60)
        self.daemon = None
        return status

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

    def emit(self, *events):
        self.kubectl("create", "-f", "-", stdin="\n---\n".join(json.dumps(e) for e in events))


def provider(name, receiver, type_="generic", **spec):
    return {"apiVersion": NOTIFICATION, "kind": "Provider", "metadata": {"name": name, "namespace": "default"},
            "spec": {"type": type_, "address": receiver.url + "/hook/s3cr3t", **spec}}


def alert(name, to, sources=None, **spec):
    return {"apiVersion": NOTIFICATION, "kind": "Alert", "metadata": {"name": name, "namespace": "default"},
            "spec": {"providerRef": {"name": to}, "eventSources": sources or [{"kind": "Kustomization", "name": "*"}],
                     **spec}}


def secret(name, **data):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"}, "stringData": data}


def story_types(c):
    """Each type posts what upstream posts, to the Alert's own wishes."""
    generic, signed, hook, bot = Receiver(), Receiver(), Receiver(), Receiver()
    bot.answer = lambda request: (200, b'{"ok":true}')
    c.start()
    c.emit(c.event("old", "history"))
    time.sleep(1.1)  # times in the API are whole seconds
    c.apply(secret("key", token="k3y"), secret("hook", address=hook.url + "/services/T/B/xyz"),
            secret("bot", token="xoxb-1\n"),
            provider("generic", generic), provider("signed", signed, "generic-hmac", secretRef={"name": "key"}),
            {**provider("hook", hook, "slack"), "spec": {"type": "slack", "channel": "ops", "secretRef": {"name": "hook"}}},
            provider("bot", bot, "slack", channel="dev", secretRef={"name": "bot"}))
    c.apply(alert("generic", "generic", eventMetadata={"cluster": "c1", "revision": "mine"}),
            alert("signed", "signed", eventSeverity="error"),
            alert("hook", "hook", exclusionList=["^never"], summary="look here"), alert("bot", "bot"))
    c.await_ready("alert", "generic", "signed", "hook", "bot")
    c.await_ready("provider", "generic", "signed", "hook", "bot")
    time.sleep(1.1)
    c.emit(c.event("apps", "Deployment/x created\nConfigMap/y <!channel>",
                   annotations={"event.toolkit.fluxcd.io/team": "a", f"{GROUP}/digest": "sha256:0"}),
           c.event("apps", "never this"),
           c.event("apps", "it broke", type_="Warning"),
           c.event("git", "trace", kind="GitRepository"),
           c.event("apps", "status only", annotations={f"{GROUP}/commit_status": "update"}))
    until("all arrived", lambda: len(generic.taken) >= 4 and len(hook.taken) >= 2 and len(bot.taken) >= 3 and signed.taken)
    time.sleep(1)
    body = generic.bodies()[0]
    assert body["metadata"] == {"cluster": "c1", "revision": "main@sha1:abc", "team": "a"}, body
    assert body["severity"] == "info" and body["involvedObject"]["name"] == "apps", body
    assert generic.taken[0]["headers"]["Gotk-Component"] == "kustomize-controller"
    assert sorted(generic.messages()) == sorted(["Deployment/x created\nConfigMap/y <!channel>", "never this",
                                                 "it broke", "status only"]), generic.messages()
    assert signed.messages() == ["it broke"]
    digest = hmac.new(b"k3y", signed.taken[0]["body"], hashlib.sha256).hexdigest()
    assert signed.taken[0]["headers"]["X-Signature"] == f"sha256={digest}"
    assert hook.messages() == ["Deployment/x created\nConfigMap/y &lt;!channel&gt;", "it broke"], hook.messages()
    first = hook.bodies()[0]
    assert first["channel"] == "ops" and first["username"] == "kustomize-controller", first
    assert {"title": "summary", "value": "look here", "short": False} in first["attachments"][0]["fields"]
    assert [b["attachments"][0]["color"] for b in hook.bodies()] == ["good", "danger"]
    assert bot.taken[0]["headers"]["Authorization"] == "Bearer xoxb-1"
    assert len(bot.messages()) == 3
    assert c.stop() == 0
    for leak in ("s3cr3t", "xoxb-1", "k3y", "/services/T"):
        assert leak not in c.log(), f"{leak} is in the log"


def story_repetition(c):
    """A count that grows is sent again only when the interval has passed; edits and restarts send nothing again."""
    sink = Receiver()
    c.apply(provider("p", sink), alert("a", "p"))
    c.start("--rate-limit-interval=5s")
    c.await_ready("alert", "a")
    time.sleep(1.1)
    event = c.event("apps", "health check failed", type_="Warning")
    c.emit(event)
    until("the first arrived", lambda: len(sink.taken) == 1)

    def bump(count):
        c.kubectl("patch", "event", event["metadata"]["name"], "--type=merge", "-p",
                  json.dumps({"count": count, "lastTimestamp": now()}))

    bump(2)
    time.sleep(2)
    assert len(sink.taken) == 1, "a repetition within the interval was sent"
    c.kubectl("patch", "alert", "a", "--type=merge", "-p", '{"spec":{"eventMetadata":{"x":"y"}}}')
    assert c.stop() == 0
    c.start("--rate-limit-interval=5s")
    time.sleep(4)
    assert len(sink.taken) == 1, "an edit or a restart sent it again"
    bump(3)
    until("the repetition after the interval arrived", lambda: len(sink.taken) == 2)
    ids = {request["headers"]["Idempotency-Key"] for request in sink.taken}
    assert len(ids) == 2
    time.sleep(1.1)  # times in the API are whole seconds
    c.apply(alert("late", "p"))
    c.await_ready("alert", "late")
    time.sleep(2)
    assert len(sink.taken) == 2, "a new Alert sent history"
    c.stop()


def story_kill(c):
    """Killed again and again while 200 events come: each is delivered, in order, and hardly any twice.

    A receiver may have taken a message whose answer the killed process never saw: one for each kill at most, told by its id.
    """
    sink = Receiver()
    c.apply(provider("p", sink), alert("a", "p"))
    c.start()
    c.await_ready("alert", "a")
    time.sleep(1.1)
    stop, kills = threading.Event(), [0]

    def killer():  # always while it is sending
        while not stop.is_set():
            before, deadline = len(sink.taken), time.monotonic() + 10
            while len(sink.taken) == before and time.monotonic() < deadline and not stop.wait(0.002):
                pass
            stop.wait(random.uniform(0, 0.5))
            c.stop(signal.SIGKILL)
            kills[0] += 1
            c.start()

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        for first in range(0, 200, 5):
            c.emit(*[c.event(f"app-{n % 10}", f"news {n}") for n in range(first, first + 5)])
        until("all 200 arrived", lambda: len(set(sink.messages())) == 200, 120)
    finally:
        stop.set()
        thread.join()
    time.sleep(2)
    copies = collections.Counter(sink.messages())
    by_id = {request["headers"]["Idempotency-Key"] for request in sink.taken}
    doubles = sum(copies.values()) - 200
    print(f"    {kills[0]} kills, {len(copies)} of 200 arrived, {doubles} sent twice, {len(by_id)} ids")
    assert len(copies) == 200 and len(by_id) == 200
    # One delivery at a time may be in doubt when the process dies.
    assert doubles <= kills[0], copies.most_common(3)
    for i in range(10):
        order = list(dict.fromkeys(int(m.split()[1]) for m in sink.messages() if int(m.split()[1]) % 10 == i))
        assert order == sorted(order), f"out of order: {order}"
    c.stop()


def story_ill(c):
    """Receivers that answer 500, 429 or nothing at all delay no other; all arrives when they are well again."""
    good, broken, busy, hung = Receiver(), Receiver(), Receiver(), Receiver()
    broken.answer, busy.answer, hung.answer = (lambda r: 500), (lambda r: 429), (lambda r: "hang")
    c.apply(provider("good", good), provider("broken", broken), provider("busy", busy),
            provider("hung", hung, timeout="2s"))
    c.apply(*[alert(name, name) for name in ("good", "broken", "busy", "hung")])
    c.start()
    c.await_ready("alert", "good", "broken", "busy", "hung")
    time.sleep(1.1)
    c.emit(*[c.event(f"app-{i}", f"news {i}") for i in range(20)])
    until("the good one has all", lambda: len(good.taken) == 20, 20)
    until("the others were tried", lambda: broken.refused > 1 and busy.refused > 1)
    until("Ready tells of it", lambda: c.ready("provider", "broken")["Ready"]["status"] == "False")
    assert "500" in c.ready("provider", "broken")["Ready"]["message"]
    assert "s3cr3t" not in json.dumps(c.get("provider", "broken")["status"])
    c.stop(signal.SIGKILL)
    c.kubectl("patch", "alert", "broken", "--type=merge", "-p", '{"spec":{"eventMetadata":{"edited":"while down"}}}')
    broken.answer = busy.answer = hung.answer = lambda r: 200
    c.start()
    for receiver in (broken, busy, hung):
        until("it has all", lambda: len(receiver.taken) == 20)
    time.sleep(1)
    for receiver in (good, broken, busy, hung):
        assert sorted(receiver.messages()) == sorted(f"news {i}" for i in range(20)), receiver.messages()
    until("Ready tells of that too", lambda: c.ready("provider", "broken")["Ready"]["status"] == "True")
    warnings = c.kubectl("get", "events", "-o", "json")
    assert "NotificationDispatchFailed" in warnings and "s3cr3t" not in warnings.replace("/hook/s3cr3t\\\"", "")
    c.stop()


def story_wrong(c):
    """What is wrong is said in a condition, and mended by an edit."""
    sink = Receiver()
    c.start()
    c.apply(alert("regexp", "p", inclusionList=["("]), alert("orphan", "p"),
            provider("teams", sink, "msteams"), provider("nosecret", sink, secretRef={"name": "absent"}),
            provider("noaddress", sink, address=""), provider("proxied", sink, proxy="http://proxy:3128"))

    def says(kind, name, reason, text, stalled):
        def check():
            found = c.ready(kind, name)
            ready = found.get("Ready", {})
            return (ready.get("status") == "False" and ready.get("reason") == reason and text in ready["message"]
                    and ("Stalled" in found) == stalled)
        until(f"{kind} {name} says {reason} {text}", check)

    says("alert", "regexp", "InvalidSpec", "spec.inclusionList[0]", True)
    says("alert", "orphan", "DependencyNotReady", "default/p", False)
    says("provider", "teams", "UnsupportedField", "type", True)
    says("provider", "nosecret", "ValidationFailed", "absent", False)
    says("provider", "noaddress", "InvalidSpec", "spec.address", True)
    says("provider", "proxied", "UnsupportedField", "proxy", True)
    time.sleep(1.1)
    c.emit(c.event("apps", "before there was a provider"))
    time.sleep(1)
    c.apply(provider("p", sink))
    until("what waited arrives", lambda: sink.messages() == ["before there was a provider"])
    c.apply(alert("regexp", "p", inclusionList=["ok$"]))
    c.await_ready("alert", "regexp", "orphan")
    c.stop()


def story_labels(c):
    """matchLabels look at the live object; other namespaces are listened to unless that is forbidden."""
    sink, walled = Receiver(), Receiver()
    c.kubectl("create", "namespace", "team", check=False)

    def kustomization(name, team, space="default"):
        return {"apiVersion": f"{GROUP}/v1", "kind": "Kustomization",
                "metadata": {"name": name, "namespace": space, "labels": {"team": team}},
                "spec": {"interval": "1h", "prune": False, "sourceRef": {"kind": "GitRepository", "name": "x"}}}

    c.apply(kustomization("ours", "shop"), kustomization("theirs", "bank"), provider("p", sink))
    c.apply(alert("labels", "p", [{"kind": "Kustomization", "name": "*", "matchLabels": {"team": "shop"}}]),
            alert("far", "p", [{"kind": "Kustomization", "name": "app", "namespace": "team"}]))
    c.start()
    c.await_ready("alert", "labels", "far")
    time.sleep(1.1)
    c.emit(c.event("ours", "yes"), c.event("theirs", "no"), c.event("unborn", "no"), c.event("app", "far", space="team"))
    until("two arrived", lambda: sorted(sink.messages()) == ["far", "yes"])
    c.stop()
    c.start("--no-cross-namespace-refs")
    until("the wall is told of", lambda: c.ready("alert", "far").get("Ready", {}).get("reason") == "AccessDenied")
    c.emit(c.event("ours", "still"), c.event("app", "walled", space="team"))
    until("ours arrived", lambda: "still" in sink.messages())
    time.sleep(1)
    assert "walled" not in sink.messages()
    c.stop()


def story_states(c):
    """What a status says and no Event tells is sent once, also through kills; an Event that comes too late is not."""
    sink = Receiver()
    names = [f"app-{n}" for n in range(20)]
    c.apply(provider("p", sink), alert("a", "p"))
    c.apply(*[{"apiVersion": f"{GROUP}/v1", "kind": "Kustomization", "metadata": {"name": name, "namespace": "default"},
               "spec": {"interval": "1h", "prune": False, "sourceRef": {"kind": "GitRepository", "name": "x"}}}
              for name in names + ["told", "waits"]])
    c.start("--event-grace=3s")
    c.await_ready("alert", "a")
    time.sleep(1.1)

    def set_ready(name, status, reason, message):
        at = now()
        ready = {"type": "Ready", "status": status, "reason": reason, "message": message, "lastTransitionTime": at}
        c.kubectl("patch", "kustomization", name, "--subresource=status", "--type=merge", "-p",
                  json.dumps({"status": {"conditions": [ready], "lastAttemptedRevision": "main@sha1:abc"}}))
        return at

    def event_at(name, message, at):
        uid = c.get("kustomization", name)["metadata"]["uid"]
        event = c.event(name, message, type_="Warning", firstTimestamp=at, lastTimestamp=at)
        event["involvedObject"]["uid"] = uid
        return event

    set_ready("waits", "False", "DependencyNotReady", "waits for another")
    told = set_ready("told", "False", "BuildFailed", "told: no such file")
    c.emit(event_at("told", "told by an Event", told))
    since = {name: set_ready(name, "False", "BuildFailed", f"{name}: no such file") for name in names}
    for _ in range(4):  # at some instant before, while and after it looks, writes and sends
        c.stop(signal.SIGKILL)
        c.start("--event-grace=3s")
        time.sleep(random.uniform(3, 4.5))
    expected = collections.Counter(["told by an Event"] + [f"{name}: no such file" for name in names])
    until("all arrived", lambda: set(sink.messages()) == set(expected))
    time.sleep(5)
    by_id = {request["headers"]["Idempotency-Key"] for request in sink.taken}
    doubles = len(sink.taken) - len(expected)
    assert set(sink.messages()) == set(expected) and len(by_id) == len(expected), sink.messages()
    assert doubles <= 4, sink.messages()  # one for each kill may be in doubt
    print(f"    4 kills, {len(by_id)} states told, {doubles} sent twice")
    words = [e for e in json.loads(c.kubectl("get", "events", "-o", "json"))["items"]
             if "notification.toolkit.fluxcd.io/ready-since" in e["metadata"].get("annotations", {})]
    assert len(words) == len(names) and all(e["type"] == "Warning" for e in words), words

    sent = len(sink.taken)
    c.emit(*[event_at(name, f"{name}, too late", since[name]) for name in names])
    set_ready("app-0", "True", "ReconciliationSucceeded", "Applied revision: main@sha1:abc")
    until("the recovery arrived", lambda: len(sink.taken) > sent)
    time.sleep(5)
    assert sink.messages()[sent:] == ["Applied revision: main@sha1:abc"], sink.messages()[sent:]
    assert sink.bodies()[-1]["severity"] == "info" and sink.bodies()[-1]["involvedObject"]["name"] == "app-0"
    c.stop()


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


def main():
    binary = sys.argv[1]
    stories = {name[6:]: story for name, story in globals().items() if name.startswith("story_")}
    failed = []
    for name in sys.argv[2:] or stories:
        print(f"{name}: {stories[name].__doc__.splitlines()[0]}", flush=True)
        try:
            run_story(stories[name], binary)
        except control_plane.Skipped as why:
            print(f"SKIPPED: no control plane to test against: {why}", file=sys.stderr)
            return 77
        except Exception as why:  # the next story is told all the same
            print(f"    FAILED: {why!r}", flush=True)
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all well")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
