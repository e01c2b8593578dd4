#!/usr/bin/env python3
"""How long, with how much CPU and memory, and with which API requests a fleet of Kustomizations is rolled out.

    fleet.py [--apps 100] [--repo-apps M] [--only ours|upstream] [--json FILE]

Each app is a Deployment (replicas 0), a Service, a ServiceAccount and an Ingress, in a folder of one repository of M apps
(as many as Kustomizations, if not given). Ours and upstream's kustomize-controller run in turn, each on a control plane
of its own, both fed by our source-controller, both with concurrency 20, and the client-side limits of upstream raised
out of the way. Four phases:

    roll-out   all Kustomizations are created at once, until all are Ready
    commit     one more commit changes one app, until that one, and then all, are Ready at the new revision
    interval   each Kustomization is reconciled once more, with nothing to do
    idle       20 s of nothing

The floor is the same objects sent by a bare loop of server-side applies over 16 connections, with a Kubernetes that
does nothing else. The requests are those in the API server's audit log under the daemon's own name.
"""
import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from support.cluster import Cluster, Ref  # noqa: E402
from support.conditions import is_ready  # noqa: E402
from support.control_plane import ControlPlane  # noqa: E402
from support.daemons import NAMESPACE, ROOT, our_binary, upstream_binary  # noqa: E402
from support.processes import Skipped, unwind_on_signals  # noqa: E402
from support.stand import KUSTOMIZE, SOURCE, Stand  # noqa: E402

NAME = "kustomize-controller"
SPACE = "fleet"
IDLE = 20
FLAGS = ["--concurrent=20", "--kube-api-qps=500", "--kube-api-burst=1000"]
PLURALS = {"Deployment": "/apis/apps/v1/namespaces/{}/deployments/", "Service": "/api/v1/namespaces/{}/services/",
           "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts/",
           "Ingress": "/apis/networking.k8s.io/v1/namespaces/{}/ingresses/",
           "Kustomization": "/apis/" + KUSTOMIZE + "/namespaces/{}/kustomizations/"}
Phase = collections.namedtuple("Phase", "seconds cpu server_cpu source_cpu memory requests from_push from_artifact")


def app_objects(name, image="1.0"):
    labels = {"app": name}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels},
         "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {
             "metadata": {"labels": labels},
             "spec": {"serviceAccountName": name, "containers": [{
                 "name": "main", "image": f"registry.example.com/{name}:{image}", "ports": [{"containerPort": 8080}],
                 "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}]}}}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels},
         "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "labels": labels}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name, "labels": labels},
         "spec": {"rules": [{"host": f"{name}.example.com", "http": {"paths": [{
             "path": "/", "pathType": "Prefix",
             "backend": {"service": {"name": name, "port": {"name": "http"}}}}]}}]}},
    ]


def app_name(i):
    return f"app-{i:04d}"


def app_files(i, image="1.0"):
    folder = f"apps/{app_name(i)}"
    objects = app_objects(app_name(i), image)
    names = [f"{thing['kind'].lower()}.yaml" for thing in objects]
    files = {f"{folder}/{name}": json.dumps(thing, indent=2) for name, thing in zip(names, objects)}
    files[f"{folder}/kustomization.yaml"] = json.dumps(
        {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": names})
    return files


def kustomization(i):
    return {"apiVersion": KUSTOMIZE, "kind": "Kustomization", "metadata": {"name": app_name(i), "namespace": NAMESPACE},
            "spec": {"interval": "1h", "retryInterval": "5s", "timeout": "5m", "prune": True, "wait": True,
                     "targetNamespace": SPACE, "path": f"./apps/{app_name(i)}",
                     "sourceRef": {"kind": "GitRepository", "name": "fleet"}}}


class Applier:
    """The bare loop of server-side applies."""

    def __init__(self, plane):
        built = subprocess.run([ROOT / "scripts/tools", "applier"], stdout=subprocess.PIPE, text=True, check=True)
        self.command = [built.stdout.split()[-1] + "/applier", "--server", plane.url, "--token", plane.token,
                        "--ca", str(plane.folder / "certs/apiserver.crt")]

    def send(self, namespace, objects, *flags):
        """Returns the seconds it took."""
        lines = [json.dumps({"path": PLURALS[o["kind"]].format(namespace) + o["metadata"]["name"], "body": o}) for o in objects]
        done = subprocess.run([*self.command, *flags], input="\n".join(lines), capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"applier: {done.stdout} {done.stderr}")
        return json.loads(done.stdout)["seconds"]


class Watcher:
    """Keeps the newest state of all objects of a kind, from one watch.

    It looks at each change once: looking through all of them at each change took more CPU than the daemon under test.
    """

    def __init__(self, cluster, version, kind):
        self.state, self._news, self._changed = {}, set(), threading.Condition()
        self._thread = threading.Thread(target=self._follow, args=(cluster, version, kind), daemon=True)
        self._thread.start()

    def _follow(self, cluster, version, kind):
        failures = 0
        while failures < 20:  # it ends with the control plane
            try:
                # The API server drops watches that are slower than it; a new one begins with all there is.
                for _, thing in cluster.watch(version, kind, NAMESPACE):
                    failures = 0
                    name = thing["metadata"]["name"]
                    with self._changed:
                        self.state[name] = thing
                        self._news.add(name)
                        self._changed.notify_all()
            except Exception:  # noqa: BLE001 - whatever cut it, the answer is another watch
                pass
            failures += 1
            time.sleep(0.1)

    def wait(self, count, check, within=1800):
        """Until that many satisfy the check. Returns the moment."""
        deadline = time.monotonic() + within
        satisfied = set()
        with self._changed:
            self._news = set(self.state)
            while True:
                for name in self._news:
                    (satisfied.add if check(self.state[name]) else satisfied.discard)(name)
                self._news.clear()
                if len(satisfied) >= count:
                    return time.monotonic()
                if time.monotonic() > deadline or not self._thread.is_alive():
                    late = [t for t in self.state.values() if not check(t)][:1]
                    raise RuntimeError(f"not all got there, for instance {json.dumps(late, indent=1)[:3000]}")
                self._changed.wait(1)


class Race:
    def __init__(self, stand, binary, apps, repo_apps):
        self.stand, self.apps = stand, apps
        self.plane, self.applier = stand.plane, Applier(stand.plane)
        stand.cluster.kubectl("create", "namespace", SPACE)
        self.repository = stand.repository("fleet")
        files = {}
        for i in range(repo_apps):
            files.update(app_files(i))
        self.repository.commit(files)
        self.source = stand.git_repository(NAMESPACE, "fleet", self.repository, interval="1h")
        stand.await_ready(self.source, within=120)
        stand.strict = False
        self.daemon = stand.start_daemon(NAME, binary, FLAGS).await_ready(60)
        time.sleep(2)
        self.watcher = Watcher(stand.cluster, KUSTOMIZE, "Kustomization")
        self.sources = Watcher(stand.cluster, SOURCE, "GitRepository")

    def run(self):
        return {"roll-out": self.measured(self.roll_out), "commit": self.measured(self.commit),
                "interval": self.measured(self.interval), "idle": self.measured(lambda: time.sleep(IDLE))}

    def measured(self, phase):
        user = f"{NAMESPACE}/{NAME}"
        source = self.stand.daemons["source-controller"]
        servers = [self.plane.api_server, self.plane.etcd]
        requests, cpu, source_cpu = self.plane.requests_by(user), self.daemon.cpu_seconds(), source.cpu_seconds()
        server_cpu = sum(s.cpu_seconds() for s in servers)
        start = time.monotonic()
        moments = phase() or {}
        seconds = time.monotonic() - start
        time.sleep(1)  # what it still does after that is counted too
        return Phase(seconds, self.daemon.cpu_seconds() - cpu, sum(s.cpu_seconds() for s in servers) - server_cpu,
                     source.cpu_seconds() - source_cpu, self.daemon.peak_memory(),
                     self.plane.requests_by(user) - requests, *(moments.get(name) for name in ("from_push", "from_artifact")))

    def roll_out(self):
        self.applier.send(NAMESPACE, [kustomization(i) for i in range(self.apps)], "--manager=bench")
        self.watcher.wait(self.apps, is_ready)

    def commit(self):
        changed = app_name(self.apps // 2)
        commit = self.repository.commit(app_files(self.apps // 2, image="1.1"))
        pushed = time.monotonic()
        self.stand.reconcile(self.source)

        def there(thing):
            return is_ready(thing) and thing["status"].get("lastAppliedRevision", "").endswith(commit)
        # Both moments are those at which the API server's watch told of it: of the artifact, and that the app is Ready.
        artifact = self.sources.wait(1, lambda thing: (thing.get("status") or {}).get("artifact", {})
                                     .get("revision", "").endswith(commit))
        first = self.watcher.wait(1, lambda thing: thing["metadata"]["name"] == changed and there(thing))
        web = self.stand.cluster.get(Ref("apps/v1", "Deployment", SPACE, changed))
        assert web["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":1.1"), web
        self.watcher.wait(self.apps, there)
        return {"from_push": first - pushed, "from_artifact": first - artifact}

    def interval(self):
        token = os.urandom(4).hex()
        asks = [{"apiVersion": KUSTOMIZE, "kind": "Kustomization",
                 "metadata": {"name": app_name(i), "annotations": {"reconcile.fluxcd.io/requestedAt": token}}}
                for i in range(self.apps)]
        self.applier.send(NAMESPACE, asks, "--manager=asker")
        self.watcher.wait(self.apps, lambda thing: is_ready(thing) and
                          thing["status"].get("lastHandledReconcileAt") == token)


def race(name, binary, apps, repo_apps):
    say(f"{name}: {apps} Kustomizations from a repository of {repo_apps} apps")
    with Stand(daemons=("source-controller",), audit=True, other_source_kinds=True) as stand:
        return Race(stand, binary, apps, repo_apps).run()


def floor(apps):
    say("floor: the same objects, applied by a bare loop")
    objects = [thing for i in range(apps) for thing in app_objects(app_name(i))]
    with ControlPlane(controllers=True) as plane, Cluster(plane.bin / "kubectl", plane.kubeconfig) as cluster:
        cluster.kubectl("create", "namespace", SPACE)
        time.sleep(2)
        applier = Applier(plane)
        return {"dry-run": applier.send(SPACE, objects, "--query=dryRun=All"), "create": applier.send(SPACE, objects),
                "again": applier.send(SPACE, objects)}


def say(text):
    print(text, file=sys.stderr, flush=True)


# The table

def report(results, base, apps, repo_apps):
    names = list(results)
    print(f"\nfleet: {apps} Kustomizations of 4 objects, repository of {repo_apps} apps, {os.cpu_count()} cores\n")
    print(f"{'':<44}" + "".join(f"{name:>12}" for name in names) + (f"{'ratio':>9}" if len(names) > 1 else "") + f"{'floor':>9}")
    rows = Table(results)
    floors = {"roll-out": base["create"], "interval": base["dry-run"]}
    for phase, what in (("roll-out", "created, until all are Ready"), ("commit", "one app changed, until all are at it"),
                        ("interval", "all reconciled again, nothing to do"), ("idle", f"{IDLE} s of nothing")):
        print(f"{phase}: {what}")
        if phase == "commit":
            rows.row("from the push to the changed app, s", phase, lambda p: p.from_push, "{:.2f}")
            rows.row("from the artifact to the changed app, s", phase, lambda p: p.from_artifact, "{:.2f}")
        if phase != "idle":
            rows.row("time, s", phase, lambda p: p.seconds, "{:.2f}", floors.get(phase))
        rows.row("CPU of kustomize-controller, s", phase, lambda p: p.cpu, "{:.2f}")
        rows.row("CPU of kube-apiserver and etcd, s", phase, lambda p: p.server_cpu, "{:.2f}", ratio=False)
        rows.row("CPU of source-controller, s", phase, lambda p: p.source_cpu, "{:.2f}", ratio=False)
        rows.row("peak memory of kustomize-controller, MiB", phase, lambda p: p.memory / 2**20, "{:.1f}")
        rows.row("API requests", phase, lambda p: sum(p.requests.values()), "{:.0f}",
                 {"roll-out": 4 * apps, "interval": 4 * apps}.get(phase))
        verbs = sorted({verb for result in results.values() for verb in result[phase].requests})
        for verb in verbs:
            rows.row(f"  {verb}", phase, lambda p: p.requests[verb], "{:.0f}", ratio=False)  # noqa: B023
    print(f"\nfloor: {4 * apps} server-side applies over 16 connections: dry-run {base['dry-run']:.2f} s, "
          f"creating {base['create']:.2f} s, unchanged {base['again']:.2f} s")
    if "ours" in results:
        ours = results["ours"]["roll-out"]
        extra = ours.requests["patch"] + ours.requests["dry-run patch"]
        print(f"what separates us from it: {ours.seconds - base['create']:.2f} s, in which {ours.requests['dry-run apply']} "
              f"dry-runs, {extra} writes of status and {ours.requests['create']} events or others were made, "
              f"{ours.cpu:.2f} s of our CPU and the Kustomizations themselves beside it on the same cores")


class Table:
    def __init__(self, results):
        self.results = results

    def row(self, title, phase, value, form, base=None, ratio=True):
        values = [value(result[phase]) for result in self.results.values()]
        text = f"  {title:<42}" + "".join(f"{form.format(v):>12}" for v in values)
        if len(values) > 1:
            text += f"{f'{values[1] / values[0]:.1f}x' if ratio and values[0] else '':>9}"
        print(text + (f"{form.format(base):>9}" if base is not None else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apps", type=int, default=100)
    parser.add_argument("--repo-apps", type=int)
    parser.add_argument("--only", choices=("ours", "upstream"))
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    repo_apps = max(options.repo_apps or options.apps, options.apps)
    unwind_on_signals()
    try:
        peers = {"ours": our_binary, "upstream": lambda _: upstream_binary()}
        binaries = {name: find(NAME) for name, find in peers.items() if options.only in (None, name)}
        base = floor(options.apps)
        results = {name: race(name, binary, options.apps, repo_apps) for name, binary in binaries.items()}
    except Skipped as why:
        say(f"SKIPPED: {why}")
        return 77
    report(results, base, options.apps, repo_apps)
    if options.json:
        options.json.write_text(json.dumps(
            {"floor": base, **{name: {phase: p._asdict() for phase, p in result.items()} for name, result in results.items()}},
            indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
