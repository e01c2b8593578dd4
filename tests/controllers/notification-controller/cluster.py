#!/usr/bin/env python3
"""notification-controller on a real API server: what arrives at webhooks, also when it is killed or a receiver is ill.

    cluster.py BINARY [STORY...]     exit status 0: all well, 1: not, 77: no control plane to be had

Events are written as client-go's recorder writes them. Receivers are HTTP servers in this process.
"""
import collections
import hashlib
import hmac
import json
import random
import signal
import subprocess
import sys
import threading
import time

from cluster_support import (GROUP, NOTIFICATION, ROOT, Hole, Pulse, Receiver, alert, control_plane, now, provider, run_story, secret,
                             until, within)


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


def story_recoveries(c):
    """A failure that was told is followed by its end, once for each receiver, though its only Event makes a commit status."""
    chat, hook = Receiver(), Receiver()
    c.apply(provider("chat", chat, "slack"), provider("hook", hook), alert("chat", "chat"), alert("hook", "hook"))
    c.apply({"apiVersion": f"{GROUP}/v1", "kind": "Kustomization", "metadata": {"name": "app", "namespace": "default"},
             "spec": {"interval": "1h", "prune": False, "sourceRef": {"kind": "GitRepository", "name": "x"}}})
    uid = c.get("kustomization", "app")["metadata"]["uid"]
    c.start("--event-grace=2s")
    c.await_ready("alert", "chat", "hook")
    time.sleep(1.1)

    def turn(status, reason, message, event):
        ready = {"type": "Ready", "status": status, "reason": reason, "message": message, "lastTransitionTime": now()}
        event["involvedObject"]["uid"] = uid
        c.emit(event)
        c.kubectl("patch", "kustomization", "app", "--subresource=status", "--type=merge", "-p",
                  json.dumps({"status": {"conditions": [ready], "lastAppliedRevision": "main@sha1:abc"}}))

    expected_chat, expected_hook = [], []
    for n in range(2):
        turn("False", "BuildFailed", f"failure {n}", c.event("app", f"failure {n}", type_="Warning"))
        expected_chat += [f"failure {n}", "Applied revision: main@sha1:abc"]
        until("the failure arrived", lambda: chat.messages() == expected_chat[:-1])
        time.sleep(3)  # a state that nobody told of would be told by now
        turn("True", "ReconciliationSucceeded", "Applied revision: main@sha1:abc",
             c.event("app", f"Reconciliation finished in {n}ms", annotations={f"{GROUP}/commit_status": "update"}))
        expected_hook += [f"failure {n}", f"Reconciliation finished in {n}ms"]
        until("its end arrived", lambda: chat.messages() == expected_chat)
    c.stop(signal.SIGKILL)
    c.start("--event-grace=2s")
    time.sleep(6)
    assert chat.messages() == expected_chat, chat.messages()
    assert hook.messages() == expected_hook, hook.messages()
    c.stop()


def story_last_words(c):
    """The last word in a chat is true in the end, though the Alert is edited, and objects are created anew, meanwhile."""
    chat = Receiver()
    c.apply(provider("chat", chat, "slack"), alert("chat", "chat"))
    names = ("again", "silent", "anew")

    def create(name):
        c.apply({"apiVersion": f"{GROUP}/v1", "kind": "Kustomization", "metadata": {"name": name, "namespace": "default"},
                 "spec": {"interval": "1h", "prune": False, "sourceRef": {"kind": "GitRepository", "name": "x"}}})

    def say(name, is_well, message, event=None):
        ready = {"type": "Ready", "status": str(is_well), "reason": "ReconciliationSucceeded" if is_well else "BuildFailed",
                 "message": message, "lastTransitionTime": now()}
        c.kubectl("patch", "kustomization", name, "--subresource=status", "--type=merge", "-p",
                  json.dumps({"status": {"conditions": [ready], "lastAppliedRevision": "main@sha1:abc"}}))
        event = event or c.event(name, message, type_="Normal" if is_well else "Warning")
        event["involvedObject"]["uid"] = c.get("kustomization", name)["metadata"]["uid"]
        c.emit(event)
        return event

    def say_to_forges_only(name):
        say(name, True, f"{name} applied", c.event(name, "finished", annotations={f"{GROUP}/commit_status": "update"}))

    for name in names:
        create(name)
    c.start("--event-grace=4s", "--rate-limit-interval=15s")
    c.await_ready("alert", "chat")
    time.sleep(1.1)
    failure = [say(name, False, f"{name} broke") for name in names][0]
    until("failures arrived", lambda: len(chat.taken) == 3)
    time.sleep(1.1)
    say("again", True, "again configured")
    until("a recovery arrived", lambda: len(chat.taken) == 4)
    time.sleep(1.1)
    c.kubectl("patch", "event", failure["metadata"]["name"], "--type=merge", "-p",
              json.dumps({"count": 2, "lastTimestamp": now()}))
    c.kubectl("patch", "kustomization", "again", "--subresource=status", "--type=merge", "-p", json.dumps({"status": {
        "conditions": [{"type": "Ready", "status": "False", "reason": "BuildFailed", "message": "again broke",
                        "lastTransitionTime": now()}]}}))
    say_to_forges_only("silent")
    time.sleep(1.1)
    c.kubectl("patch", "alert", "chat", "--type=merge", "-p", '{"spec":{"eventMetadata":{"cluster":"production"}}}')
    c.kubectl("delete", "kustomization", "anew")
    create("anew")
    say_to_forges_only("anew")
    expected = {"again": ["again broke", "again configured", "again broke"],
                "silent": ["silent broke", "silent applied"], "anew": ["anew broke", "anew applied"]}

    def told():
        return {name: [message for message in chat.messages() if message.startswith(name)] for name in names}

    until("the last words arrived", lambda: told() == expected, 60)
    c.stop(signal.SIGKILL)
    c.start("--event-grace=4s", "--rate-limit-interval=15s")
    time.sleep(8)
    assert told() == expected, told()
    c.stop()


def story_flood(c):
    """Thousands of Events that wait for a start: /healthz answers all the while, and memory is bounded."""
    sink = Receiver()
    c.apply(provider("p", sink), alert("a", "p"), alert("b", "p", exclusionList=["nothing"]))
    c.start()
    c.await_ready("alert", "a", "b")
    assert c.stop() == 0
    time.sleep(1.1)
    c.emit_many([c.event("app", f"news {n}") for n in range(6000)])
    time.sleep(2.1)
    c.emit(c.event("last", "the newest"))  # judged after all others, and sent before most
    c.start()
    with Pulse(c) as pulse:
        until("all are judged", lambda: sink.messages().count("the newest") == 2, 240)
    print(f"    6000 Events about one object: /healthz within {pulse.longest * 1000:.0f} ms ({pulse.answers} times), "
          f"{c.peak_memory():.0f} MiB")
    assert pulse.longest < within(1), pulse.longest
    assert c.peak_memory() < 128, c.peak_memory()
    c.stop(signal.SIGKILL)

    c.kubectl("delete", "events", "--all", "--wait=false")
    c.emit_many([c.event(f"app-{n % 300}", f"much {n}", annotations={"event.toolkit.fluxcd.io/x": "x" * 240_000})
                 for n in range(600)])
    time.sleep(2.1)
    c.emit(c.event("last", "the very newest"))
    c.start()
    with Pulse(c) as pulse:
        until("all are judged", lambda: sink.messages().count("the very newest") == 2, 240)
    print(f"    600 Events of 240 kB: /healthz within {pulse.longest * 1000:.0f} ms, {c.peak_memory():.0f} MiB")
    until("some of these arrived", lambda: any(m.startswith("much") for m in sink.messages()))
    much = next(body for body in sink.bodies() if body["message"].startswith("much"))
    assert much["metadata"] == {"revision": "main@sha1:abc", "metadataLeftOut": "1 annotations with 240025 bytes"}, much
    assert c.peak_memory() < 200, c.peak_memory()
    c.stop(signal.SIGKILL)


def story_crowd(c):
    """Hundreds of Alerts of one namespace, and a thousand Events there: another namespace's news comes as if alone."""
    crowd, sink = Receiver(), Receiver()
    c.kubectl("create", "namespace", "crowd")

    def of_crowd(manifest):
        return {**manifest, "metadata": {**manifest["metadata"], "namespace": "crowd"}}
    c.apply(of_crowd(provider("p", crowd)), provider("p", sink), alert("a", "p"))
    c.start()
    c.await_ready("alert", "a")
    with Pulse(c) as pulse:
        c.create_many_alerts([of_crowd(alert(f"a-{n}", "p", exclusionList=[f"^never {n} .*x"])) for n in range(300)])
        until("all are looked after", lambda: c.listening("crowd") == 300)
        time.sleep(1.1)
        c.emit_many([c.event(f"app-{n % 50}", f"much {n}", space="crowd") for n in range(1000)])
        took = []
        for n in range(5):
            began = time.monotonic()
            c.emit(c.event("mine", f"news {n}"))
            until("the other's news is there", lambda: f"news {n}" in sink.messages())
            took.append(time.monotonic() - began)
            time.sleep(2)
        until("it is said that too many wait", lambda: "NotificationsDropped" in c.kubectl("get", "events", "-n", "crowd"))
    print(f"    300 Alerts, 1000 Events: the other's news after at most {max(took):.1f} s, {len(crowd.messages())} of the crowd's "
          f"meanwhile; /healthz within {pulse.longest * 1000:.0f} ms ({pulse.answers} times), {c.peak_memory():.0f} MiB")
    assert max(took) < within(5), took
    assert pulse.longest < within(0.25), pulse.longest
    assert c.peak_memory() < 96, c.peak_memory()
    assert c.log().count("notifications dropped") < 10
    c.stop(signal.SIGKILL)


def story_expressions(c):
    """Expressions that remember all they see, and words about failures that take long to judge: memory and /healthz are bounded."""
    crowd, sink, chance = Receiver(), Receiver(), random.Random(1)
    for space in ("crowd", "many"):
        c.kubectl("create", "namespace", space)

    def of(space, manifest):
        return {**manifest, "metadata": {**manifest["metadata"], "namespace": space}}

    def digits(length):
        return "".join(chance.choice("01") for _ in range(length))
    c.apply(of("crowd", provider("p", crowd)), of("many", provider("p", crowd)), provider("p", sink), alert("a", "p"))
    c.start()
    c.await_ready("alert", "a")
    c.create_many_alerts([of("crowd", alert(f"a-{n}", "p", exclusionList=["1[01]{17}A", "never mind"])) for n in range(3)])
    until("these are looked after", lambda: c.listening("crowd") == 3)
    time.sleep(1.1)
    # Failures that were not told: which of them a receiver heard of is asked when a word about a recovery comes.
    c.emit_many([c.event("app", f"{digits(20_000)} never mind {n}", type_="Warning", space="crowd") for n in range(200)])
    c.emit(c.event("mine", "all are there"))
    until("news comes meanwhile", lambda: "all are there" in sink.messages())
    time.sleep(1.1)
    with Pulse(c) as pulse:
        c.emit_many([c.event("app", f"ready {n}", space="crowd", source={"component": "notification-controller"},
                             annotations={"notification.toolkit.fluxcd.io/ready-since": now()}) for n in range(3)])
        began = time.monotonic()
        c.emit(c.event("mine", "news"))
        until("the other's news is there", lambda: "news" in sink.messages())
        took = time.monotonic() - began
        time.sleep(5)
    print(f"    3 words about 200 failures: the other's news after {took:.1f} s; /healthz within {pulse.longest * 1000:.0f} ms "
          f"({pulse.answers} times), {c.peak_memory():.0f} MiB")
    assert took < within(5), took
    assert pulse.longest < within(0.25), pulse.longest
    c.create_many_alerts([of("many", alert(f"a-{n}", "p", exclusionList=[f"1[01]{{17}}A{n}-{m}" for m in range(64)],
                                           inclusionList=[f"0[01]{{17}}A{n}-{m}" for m in range(63)] + ["^m"]))
                          for n in range(40)])
    until("all are looked after", lambda: c.listening("many") == 40)
    time.sleep(1.1)
    c.emit_many([c.event(f"app-{n}", "m" + digits(190), space="many") for n in range(20)])
    until("some of the many arrived", lambda: any(m.startswith("m") for m in crowd.messages()))
    time.sleep(3)
    print(f"    40 Alerts with 127 expressions each: {c.peak_memory():.0f} MiB")
    assert c.peak_memory() < 96, c.peak_memory()
    c.stop(signal.SIGKILL)


def story_hanging(c):
    """Hundreds of receivers of one namespace that never answer: another one's news comes as if alone, and sockets are few."""
    hole, sink, many = Hole(), Receiver(), 600
    c.kubectl("create", "namespace", "crowd")

    def of_crowd(manifest):
        return {**manifest, "metadata": {**manifest["metadata"], "namespace": "crowd"}}
    c.apply(provider("p", sink), alert("a", "p"), of_crowd(secret("s", token="x")))
    c.start()
    c.await_ready("alert", "a")
    with Pulse(c) as pulse:
        c.create_many([of_crowd(provider(f"p-{n}", hole, timeout="60s", secretRef={"name": "s"})) for n in range(many)],
                      f"/apis/{NOTIFICATION}", "providers")
        c.create_many_alerts([of_crowd(alert(f"a-{n}", f"p-{n}")) for n in range(many)])
        until("all are looked after", lambda: c.listening("crowd") == many, 180)
        time.sleep(1.1)  # times in the API are whole seconds
        before = c.open_files()
        c.emit(*[c.event(f"app-{n}", "much", space="crowd") for n in range(3)])
        until("they hang", lambda: c.open_files() >= before + 60)
        took, files = [], 0
        for n in range(5):
            began = time.monotonic()
            c.emit(c.event("mine", f"news {n}"))
            until("the other's news is there", lambda: f"news {n}" in sink.messages())
            took.append(time.monotonic() - began)
            files = max(files, c.open_files())
            time.sleep(1)
    print(f"    {many} hang: the other's news after at most {max(took):.1f} s; {files} files, {before} before; /healthz within "
          f"{pulse.longest * 1000:.0f} ms ({pulse.answers} times), {c.peak_memory():.0f} MiB")
    assert max(took) < within(5), took
    assert files < 200, files
    assert pulse.longest < within(0.25), pulse.longest
    assert c.peak_memory() < 96, c.peak_memory()
    c.stop(signal.SIGKILL)


def story_unmarked(c):
    """Events that take no note, as they are too large or a webhook is dead: another tenant's news is told within seconds, and nothing twice."""
    sink = Receiver()
    for space in ("evil", "good"):
        c.kubectl("create", "namespace", space)

    def event_of(size, name):
        event = c.event("huge", "m" * size, space="evil", type_="Warning")
        return {**event, "metadata": {**event["metadata"], "name": name}}

    def is_taken(size):
        try:
            c.emit_many([event_of(size, f"huge.{size:08x}")])
        except AssertionError as why:
            assert "request is too large" in str(why), why
            return False
        return True
    fits, too_large = 1_400_000, 1_600_000
    while too_large - fits > 8:  # a mark has a hundred bytes
        size = (fits + too_large) // 2
        fits, too_large = (size, too_large) if is_taken(size) else (fits, size)
    sources = [{"kind": "Kustomization", "name": "*", "namespace": space} for space in ("evil", "good")]
    time.sleep(1.1)
    c.apply(provider("p", sink), alert("a", "p", sources))
    c.start()
    c.await_ready("alert", "a")
    time.sleep(1.1)

    def tell(what):
        began = time.monotonic()
        c.emit(c.event(what, what, space="good"))
        until(f"{what} is told", lambda: what in sink.messages(), 30)
        return time.monotonic() - began
    c.emit_many([event_of(fits, "huge.last")])
    until("the huge one is told", lambda: len(sink.taken) == 1)
    took = [tell("beside an Event that is too large")]
    until("it is said on the Provider", lambda: "NotificationsNotNoted" in c.kubectl("get", "events", "-n", "default"))

    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["events"]}
    dead = {"name": "dead.example.com", "clientConfig": {"url": "https://127.0.0.1:1/"}, "timeoutSeconds": 1, "rules": [rule],
            "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "evil"}}}
    c.apply({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
             "metadata": {"name": "dead"}, "webhooks": [dead]})

    def is_refused():
        name = f"probe-{time.time_ns()}"
        c.emit({**c.event("x", "x", kind="Pod", space="evil"), "metadata": {"name": name, "namespace": "evil"}})
        return "dead.example.com" in c.kubectl("annotate", "event", name, "-n", "evil", "x=y", check=False, errors=True)
    until("the webhook is in force", is_refused)
    c.emit(*[c.event(f"app-{n}", f"unmarked {n}", space="evil") for n in range(3)])
    until("the first one is told", lambda: any(m.startswith("unmarked") for m in sink.messages()))
    took.append(tell("beside a webhook that is dead"))
    until("all are told", lambda: len(sink.taken) == 6)
    c.stop(signal.SIGKILL)
    c.start()
    took.append(tell("after a kill"))
    time.sleep(2)
    copies = collections.Counter(sink.messages())
    assert len(copies) == 7 and set(copies.values()) == {1}, [(m[:40], n) for m, n in copies.items()]
    c.kubectl("delete", "validatingwebhookconfiguration", "dead")
    marked = "jsonpath={range .items[*]}{.metadata.annotations}{.message}{'\\n'}{end}"

    def marks():
        lines = c.kubectl("get", "events", "-n", "evil", "-o", marked).splitlines()
        return sum("unmarked" in line and "delivery.notification" in line for line in lines)
    until("the marks are made up for", lambda: marks() == 3)
    assert len(sink.taken) == 7
    print(f"    the other's news after {', '.join(f'{t:.1f}' for t in took)} s; {fits} bytes of message fit")
    assert max(took) < within(10), took
    assert c.stop() == 0


def story_answers(c):
    """What a receiver answers is in nothing that the author of a Provider can read."""
    page, slack = Receiver(), Receiver()
    page.answer = lambda request: (500, b"internal page with hunter2")
    slack.answer = lambda request: (200, b'{"ok":false,"error":"hunter2"}')
    c.apply(provider("page", page), provider("slack", slack, "slack"), alert("page", "page"), alert("slack", "slack"))
    c.start("--log-level=debug")
    c.await_ready("alert", "page", "slack")
    time.sleep(1.1)
    c.emit(c.event("apps", "news"))

    def warnings(about):
        return [e for e in json.loads(c.kubectl("get", "events", "-o", "json"))["items"]
                if e["involvedObject"]["kind"] == about and e["reason"] == "NotificationDispatchFailed"]
    for name, text in (("page", "answered 500"), ("slack", "answered 200 with an error")):
        until(f"Ready of {name} tells of it", lambda: text in c.ready("provider", name).get("Ready", {}).get("message", ""))
    for kind in ("Provider", "Alert"):
        until(f"Events on the {kind}s tell of it", lambda: len(warnings(kind)) >= 2)
        assert all(e["type"] == "Warning" for e in warnings(kind)), warnings(kind)
    readable = c.kubectl("get", "events,alerts,providers", "-o", "json")
    assert "hunter2" not in readable
    assert "hunter2" in c.log()  # for who runs the daemon
    c.stop()


def story_sources(c):
    """An Alert that can never send, or not all that it says, is not Ready, and the rest of it is served."""
    sink = Receiver()
    c.apply(provider("p", sink))
    c.start()
    wrong = {"anywhere": [{"kind": "Kustomization", "name": "*", "namespace": "*"}],
             "prefix": [{"kind": "Kustomization", "name": "app-*"}],
             "none": [],
             "partly": [{"kind": "Kustomization", "name": "app-*"}, {"kind": "Kustomization", "name": "app-1"}]}
    for name, sources in wrong.items():
        manifest = alert(name, "p")
        manifest["spec"]["eventSources"] = sources
        c.apply(manifest)
    for name in wrong:
        until(f"{name} says so", lambda: c.ready("alert", name).get("Stalled", {}).get("status") == "True")
        ready = c.ready("alert", name)["Ready"]
        assert ready["status"] == "False" and ready["reason"] == "InvalidSpec", ready
        assert ready["message"].startswith("spec.eventSources"), ready
    c.apply(alert("other-version", "p", [{"kind": "Kustomization", "name": "app-1", "apiVersion": "v1"}]))
    c.await_ready("alert", "other-version")
    time.sleep(1.1)
    c.emit(c.event("app-1", "news"))
    until("two have sent it", lambda: sink.messages() == ["news", "news"])
    c.stop()


def story_admission(c):
    """The policies of the chart refuse what this daemon does not serve, and nothing else."""
    sink = Receiver()
    crd = json.loads(c.kubectl("get", "crd", "providers.notification.toolkit.fluxcd.io", "-o", "json"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    types = schema["type"]["enum"]
    variants = {"plain": {}, "proxy": {"proxy": "http://proxy:3128"}, "proxy-secret": {"proxySecretRef": {"name": "x"}},
                "account": {"serviceAccountName": "x"}}
    wanted = {f"type-{n}": provider(f"type-{n}", sink, type_) for n, type_ in enumerate(types)}
    wanted |= {name: provider(name, sink, **spec) for name, spec in variants.items()}
    wanted["status"] = provider("status", sink, "github", commitStatusExpr="'x'")
    c.start()
    c.apply(*wanted.values())
    until("all are looked at", lambda: all(c.ready("provider", name).get("Ready") for name in wanted))
    unserved = {name for name in wanted if c.ready("provider", name)["Ready"]["reason"] == "UnsupportedField"}
    assert len(unserved) == len(wanted) - 4, sorted(set(wanted) - unserved)

    c.kubectl("apply", "-f", str(ROOT / "charts/admission/"))
    probe = alert("probe", "p", [{"kind": "Kustomization", "name": "a-*"}])

    def refusal(manifest, verb="create"):
        done = subprocess.run([c.plane.bin / "kubectl", f"--kubeconfig={c.plane.kubeconfig}", verb, "--dry-run=server", "-f", "-"],
                              input=json.dumps(manifest), capture_output=True, text=True)
        return done.stderr if done.returncode else ""
    until("the policies are in force", lambda: "spec.eventSources" in refusal(probe))
    until("both", lambda: refusal(provider("probe", sink, "msteams")))

    for name, manifest in wanted.items():
        renamed = {**manifest, "metadata": {**manifest["metadata"], "name": f"new-{name}"}}
        said = refusal(renamed)
        assert bool(said) == (name in unserved), (name, said)
        assert not said or "spec." in said and "is not served" in said.replace("are not served", "is not served"), said
        # What was there before can be edited.
        c.kubectl("label", "provider", name, "a=b")
        c.kubectl("patch", "provider", name, "--type=merge", "-p", '{"spec":{"suspend":true,"channel":"x"}}')
    bad = c.kubectl("patch", "provider", "plain", "--type=merge", "-p", '{"spec":{"type":"msteams"}}', check=False)
    assert bad == "" and c.get("provider", "plain")["spec"]["type"] == "generic"
    assert refusal({"apiVersion": NOTIFICATION, "kind": "Provider", "metadata": {"name": "x", "namespace": "default"}}) == ""

    for sources, is_refused in (([], True), ([{"kind": "Kustomization", "name": "app-*"}], True),
                                ([{"kind": "Kustomization", "name": "*", "namespace": "*"}], True),
                                ([{"kind": "Kustomization", "name": "*", "namespace": "apps"}], False),
                                ([{"kind": "GitRepository", "name": "a.b-c", "matchLabels": {"a": "b"}}], False)):
        manifest = alert("new", "p")
        manifest["spec"]["eventSources"] = sources
        said = refusal(manifest)
        assert bool(said) == is_refused and ("spec.eventSources" in said) == is_refused, (sources, said)
    c.kubectl("delete", "provider", "--all")
    c.stop()


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
