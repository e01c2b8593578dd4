"""scripts/demo, once the packages are there. See its header for what it does."""
import argparse
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts/demo.d")]
from support.cluster import Cluster, KubectlError, Ref  # noqa: E402
from support.conditions import condition, is_ready  # noqa: E402
from support.control_plane import ControlPlane  # noqa: E402
from support.daemons import NAMES, Daemon  # noqa: E402
from support.eventually import eventually  # noqa: E402
from support.git_servers import GitHttpServer, GitRepository, git  # noqa: E402
from support.processes import Process, unwind_on_signals  # noqa: E402
from support.webhook_sink import WebhookSink, slack_text  # noqa: E402
from screen import Screen  # noqa: E402

NAMESPACE = "sluice-demo"
KEPT = ROOT / "build/demo.pid"
LOGS = ROOT / "build/logs"
GROUPS = ("source.toolkit.fluxcd.io", "kustomize.toolkit.fluxcd.io", "notification.toolkit.fluxcd.io")
SOURCE = Ref("source.toolkit.fluxcd.io/v1", "GitRepository", NAMESPACE, "shop")
APP = Ref("kustomize.toolkit.fluxcd.io/v1", "Kustomization", NAMESPACE, "shop")
WEB = Ref("apps/v1", "Deployment", NAMESPACE, "web")
SERVICE = Ref("v1", "Service", NAMESPACE, "web")
PROMOTION = Ref("v1", "ConfigMap", NAMESPACE, "promotion")
SYNC = f"""
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {{name: shop, namespace: {NAMESPACE}}}
spec:
  url: URL
  ref: {{branch: main}}
  interval: 1s
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: shop, namespace: {NAMESPACE}}}
spec:
  sourceRef: {{kind: GitRepository, name: shop}}
  path: ./
  targetNamespace: {NAMESPACE}
  interval: 10m
  retryInterval: 5s
  prune: true
  wait: true
"""
ALERT = f"""
apiVersion: notification.toolkit.fluxcd.io/v1beta3
kind: Provider
metadata: {{name: chat, namespace: {NAMESPACE}}}
spec:
  type: slack
  channel: deployments
  address: URL
---
apiVersion: notification.toolkit.fluxcd.io/v1beta3
kind: Alert
metadata: {{name: chat, namespace: {NAMESPACE}}}
spec:
  providerRef: {{name: chat}}
  eventSeverity: info
  eventSources:
    - {{kind: GitRepository, name: '*'}}
    - {{kind: Kustomization, name: '*'}}
"""


class DemoFailed(Exception):
    pass


class Builds:
    """Gets the control plane and builds the daemons, side by side."""

    def __init__(self, screen, want_plane, want_daemons):
        LOGS.mkdir(parents=True, exist_ok=True)
        self.screen = screen
        self.jobs = []
        if want_plane:
            self.jobs.append(Process("control plane", [ROOT / "scripts/tools", "control-plane"], LOGS / "demo-tools.log"))
        if want_daemons:
            build = "cmake --preset release && exec ninja -C build/release " + " ".join(NAMES)
            self.jobs.append(Process("daemons", ["sh", "-c", build], LOGS / "demo-build.log",
                                     {**os.environ, "NINJA_STATUS": "[%f/%t] "}, ROOT))

    def run(self):
        if not self.jobs:
            return
        with contextlib.ExitStack() as stack:
            for job in self.jobs:
                job.log.unlink(missing_ok=True)
                stack.enter_context(job)
            logs = ", ".join(str(job.log.relative_to(ROOT)) for job in self.jobs)
            with self.screen.step(" and ".join(job.name for job in self.jobs) + " there", self._progress):
                while any(job.is_running for job in self.jobs):
                    failed = [job for job in self.jobs if job.status not in (None, 0)]
                    if failed:
                        break
                    time.sleep(0.1)
                for job in self.jobs:
                    if job.status not in (None, 0):
                        raise DemoFailed(f"building the {job.name} failed; the end of {job.log}:\n{job.log_tail(30)}")
            self.screen.detail(f"logs: {logs}")

    def _progress(self):
        return "  ".join(f"{job.name}: {self._state(job)}" for job in self.jobs)

    def _state(self, job):
        if not job.is_running:
            return "done"
        lines = job.log_tail(5).splitlines()
        count = [m.group(0) for m in (re.match(r"\[\d+/\d+\]", line) for line in lines) if m]
        if count:
            return count[-1]
        building = [line.split(" (once")[0].rpartition(": ")[2] for line in lines if "building" in line]
        return building[-1] if building else "starting"


class Place:
    """Where the demo runs: a control plane of its own, or a cluster of the user's."""

    def __init__(self, screen, kubeconfig):
        self.screen, self.given = screen, kubeconfig
        self.made_crds, self.made_namespace = [], False
        self.plane = self.cluster = None

    def enter(self, stack):
        if self.given:
            self.kubeconfig = self.given
            kubectl = shutil.which("kubectl") or self._built_kubectl()
        else:
            with self.screen.step("etcd and kube-apiserver started") as step:
                self.plane = stack.enter_context(ControlPlane(controllers=True))
                step.result = self.plane.url
            self.kubeconfig, kubectl = self.plane.kubeconfig, self.plane.bin / "kubectl"
        self.cluster = stack.enter_context(Cluster(kubectl, self.kubeconfig))
        if self.given:
            stack.callback(self.clean_up)
        with self.screen.step("CRDs and a namespace installed"):
            self._install()
        return self.cluster

    def _built_kubectl(self):
        built = subprocess.run([ROOT / "scripts/tools", "control-plane"], stdout=subprocess.PIPE, text=True, check=True)
        return pathlib.Path(built.stdout.split()[-1]) / "kubectl"

    def _install(self):
        namespaces = self.cluster.kubectl("get", "namespaces", "-o", "name")
        if f"namespace/{NAMESPACE}\n" in namespaces:
            raise DemoFailed(f"the cluster has a namespace {NAMESPACE} already: another demo? Delete it first.")
        if self.given:
            self._refuse_company()
        there = self.cluster.kubectl("get", "crds", "-o", "name")
        files = {".".join(reversed(file.stem.split("_"))): file for file in sorted((ROOT / "crds").glob("*.yaml"))}
        # Those of an installed Flux are left as they are.
        self.made_crds = [name for name in files if f"/{name}\n" not in there]
        if self.made_crds:
            self.cluster.apply("---\n".join(files[name].read_text() for name in self.made_crds))
        self.made_namespace = True
        self.cluster.kubectl("create", "namespace", NAMESPACE)
        self.cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")

    def _refuse_company(self):
        running = [f"{d['metadata']['namespace']}/{d['metadata']['name']}" for d in self.cluster.list("apps/v1", "Deployment")
                   if d["metadata"]["name"] in NAMES]
        if running:
            raise DemoFailed(f"the cluster runs {', '.join(running)}, which would take the demo's objects for its own. "
                             "Try without --kubeconfig.")

    def clean_up(self):
        """Takes all out of the user's cluster that the demo has put there; the second call does nothing."""
        if not self.given or not (self.made_namespace or self.made_crds):
            return
        targets = [["namespace", NAMESPACE]] if self.made_namespace else []
        targets += [["crd", *self.made_crds]] if self.made_crds else []
        self.made_namespace, self.made_crds = False, []
        try:
            with self.screen.step("namespace and CRDs taken out of your cluster again"):
                for target in targets:
                    self.cluster.kubectl("delete", *target, "--ignore-not-found", timeout=180)
        except (subprocess.TimeoutExpired, KubectlError) as error:
            why = str(error) if isinstance(error, KubectlError) else "not done after 3 minutes"
            by_hand = "\n".join(f"    kubectl delete {' '.join(target)}" for target in targets)
            raise DemoFailed(f"your cluster was not cleaned up: {why}. Finish by hand:\n{by_hand}") from None


class Demo:
    """The loop, a method per step. Each leaves the cluster as the next expects it."""

    def __init__(self, screen, cluster, folder, git_server, repository, sink):
        self.screen, self.cluster, self.sink = screen, cluster, sink
        self.url = f"{git_server.url}/{repository.name}.git"
        self.work = folder / "work"
        self.number = 0
        git("clone", "--quiet", self.url, self.work)

    @contextlib.contextmanager
    def step(self, text):
        self.number += 1
        with self.screen.step(f"{self.number}. {text}") as step:
            yield step

    def run(self):
        self.first_sync()
        self.pushed_commit()
        self.hand_edit()
        self.deleted_object()
        self.removed_file()
        self.broken_commit()
        self.alert()
        self.mended_commit()

    def first_sync(self):
        with self.step("First sync, from kubectl apply to Ready"):
            self.cluster.apply(SYNC.replace("URL", self.url))
            thing = self.await_ready(self.head())
        ids = [entry["id"].split("_") for entry in thing["status"]["inventory"]["entries"]]
        self.screen.detail(f"{thing['status']['lastAppliedRevision']} became "
                           + ", ".join(f"{kind} {name}" for _, name, _, kind in ids))

    def pushed_commit(self):
        before = image(self.get(WEB))
        self.change("kustomization.yaml", '"1.0"', '"1.1"')
        self.change("settings.properties", "hello", "good day")
        with self.step("A pushed commit rolls out"):
            revision = self.push("Release web 1.1 with a politer greeting")
            self.await_ready(revision)
        self.screen.detail(f"Deployment web: {before} is now {image(self.get(WEB))}; the settings got a new hash, and "
                           "the old ones are gone")
        settings = [c for c in self.cluster.list("v1", "ConfigMap", NAMESPACE)
                    if c["metadata"]["name"].startswith("settings-")]
        self.expect(len(settings) == 1 and "good day" in str(settings[0]["data"]), "one ConfigMap with the new settings")

    def hand_edit(self):
        seen = Seen(self.cluster, SERVICE)
        with self.step("A hand edit is put back") as step:
            self.cluster.patch(SERVICE, {"spec": {"selector": {"app": "elsewhere"}}})
            step.seconds = self.soon("Service web selects app=web again", lambda: seen.between(
                lambda kind, service: service["spec"]["selector"] == {"app": "elsewhere"},
                lambda kind, service: service["spec"]["selector"] == {"app": "web"}))
        self.screen.detail("kubectl patch service web sent its traffic elsewhere; now it goes to app=web again")

    def deleted_object(self):
        seen = Seen(self.cluster, WEB)
        with self.step("A deleted object is recreated") as step:
            self.cluster.delete(WEB, wait=False)
            step.seconds = self.soon("Deployment web is there again", lambda: seen.between(
                lambda kind, _: kind == "DELETED", lambda kind, _: kind == "ADDED"))
        self.screen.detail("kubectl delete deployment web, and it is back")

    def removed_file(self):
        (self.work / "promotion.yaml").unlink()
        self.change("kustomization.yaml", "  - promotion.yaml\n", "")
        with self.step("A file removed from Git is pruned"):
            revision = self.push("End the promotion")
            self.await_ready(revision)
        self.expect(self.get(PROMOTION) is None, "ConfigMap promotion is gone")
        self.screen.detail("ConfigMap promotion is gone from the cluster, nothing else is")

    def broken_commit(self):
        before = self.versions()
        self.change("deployment.yaml", "    spec:\n", "   spec:\n")
        with self.step("A broken commit is reported, and changes nothing"):
            revision = self.push("Break the indentation")
            def refused():
                thing = self.get(APP)
                ready = condition(thing, "Ready")
                return (ready.get("status") == "False" and thing["status"].get("lastAttemptedRevision", "").endswith(revision)
                        and "deployment.yaml" in ready["message"] and ready)
            ready = self.soon("the Kustomization is not ready, and says that deployment.yaml is to blame", refused)
        self.expect(self.versions() == before, "no object of the cluster has changed")
        self.screen.detail(f"{ready['reason']}: {ready['message']}\nAll {len(before)} objects are as they were.")

    def alert(self):
        with self.step("The alert arrived at the webhook, in Slack's format"):
            message = self.soon("an alert about deployment.yaml arrives",
                                lambda: [m for m in self.sink.received() if "deployment.yaml" in str(m.body)])[-1]
        self.screen.detail(slack_text(message.body), "    | ")
        self.screen.detail(f"{len(self.sink.received())} messages so far")

    def mended_commit(self):
        self.change("deployment.yaml", "   spec:\n", "    spec:\n")
        with self.step("The next good commit heals it"):
            self.await_ready(self.push("Mend the indentation"))

    # What the steps are made of

    def change(self, file, old, new):
        path = self.work / file
        text = path.read_text()
        self.expect(old in text, f"{file} contains {old!r}")
        path.write_text(text.replace(old, new, 1))

    def push(self, message):
        git("commit", "--quiet", "--all", "--message", message, folder=self.work)
        git("push", "--quiet", "origin", "HEAD:main", folder=self.work)
        return self.head()

    def head(self):
        return git("rev-parse", "HEAD", folder=self.work)

    def get(self, ref):
        return self.cluster.get(ref)

    def await_ready(self, revision):
        def ready():
            thing = self.get(APP)
            return is_ready(thing) and thing["status"].get("lastAppliedRevision", "").endswith(revision) and thing
        return self.soon(f"Kustomization shop is ready at {revision[:12]}", ready)

    def soon(self, what, check):
        return eventually(check, 60, 0.02, what, lambda: "\n".join(self.cluster.yaml(ref) for ref in (SOURCE, APP)))

    def versions(self):
        entries = self.get(APP)["status"]["inventory"]["entries"]
        found = {}
        for entry in entries:
            namespace, name, group, kind = entry["id"].split("_")
            thing = self.get(Ref(f"{group}/{entry['v']}" if group else entry["v"], kind, namespace, name))
            found[entry["id"]] = thing and thing["metadata"]["resourceVersion"]
        return found

    @staticmethod
    def expect(true, what):
        if not true:
            raise AssertionError(f"expected: {what}")


class Seen:
    """What a watch sees of one object, and when: kubectl is slower than the daemons, so its clock would not do."""

    def __init__(self, cluster, ref):
        self.events = []
        self._ref = ref
        threading.Thread(target=self._follow, args=(cluster,), daemon=True).start()
        eventually(lambda: self.events, 10, 0.01, f"a watch of {ref} begins")

    def between(self, first, second):
        """Seconds from the first event of the one sort to the next of the other; None until both were seen."""
        start = None
        for when, kind, thing in list(self.events):
            if start is None and first(kind, thing):
                start = when
            elif start is not None and second(kind, thing):
                return when - start
        return None

    def _follow(self, cluster):
        with contextlib.suppress(Exception):  # it ends with the control plane
            for kind, thing in cluster.watch(self._ref.api_version, self._ref.kind, self._ref.namespace, 120):
                if thing["metadata"]["name"] == self._ref.name:
                    self.events.append((time.monotonic(), kind, thing))


def image(deployment):
    return deployment["spec"]["template"]["spec"]["containers"][0]["image"]


def start_daemons(screen, stack, binaries, kubeconfig, folder):
    found = []
    with screen.step("three daemons ready") as step:
        for name in NAMES:
            arguments = ["--watch-all-namespaces=false"]
            found.append(stack.enter_context(Daemon(name, binaries / name, kubeconfig, folder, arguments, NAMESPACE)))
        for daemon in found:
            daemon.await_ready()
        step.result = ", ".join(NAMES)
    return found


def serve_shop(stack, folder):
    repository = GitRepository(folder / "git", "shop")
    repository.commit({path.name: path.read_bytes() for path in (ROOT / "scripts/demo.d/shop").iterdir()}, "Open the shop")
    git("config", "http.receivepack", "true", folder=repository.path)
    return stack.enter_context(GitHttpServer(folder / "git", folder, push=True)), repository


def run(options, screen, kept):
    """Returns the exit status. kept(): called when all is shown and should be kept running; returns when it should end."""
    screen.say("Sluice: a commit reaches a real cluster, and stays there")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-demo-"))
    started = time.monotonic()
    failed = None
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: failed or shutil.rmtree(folder, ignore_errors=True))
        try:
            screen.heading("Preparing")
            Builds(screen, not options.kubeconfig, not options.bin).run()
            place = Place(screen, options.kubeconfig)
            cluster = place.enter(stack)
            (folder / "git").mkdir()
            server, repository = serve_shop(stack, folder)
            sink = stack.enter_context(WebhookSink())
            running = start_daemons(screen, stack, options.bin or ROOT / "build/release/bin", place.kubeconfig, folder)
            stack.callback(place.clean_up)  # while the daemons still run, for their finalizers
            cluster.apply(ALERT.replace("URL", sink.url + "/slack"))
            screen.heading("The loop")
            demo = Demo(screen, cluster, folder, server, repository, sink)
            demo.run()
            cost(screen, running, time.monotonic() - started)
            if options.keep:
                tell_kept(screen, place.kubeconfig, demo, sink, folder)
                kept()
        except (AssertionError, DemoFailed, KubectlError, RuntimeError) as error:
            failed = str(error)
            screen.say(f"\nFAILED: {failed}\n\nThe daemons' logs are in {folder}")
    return 1 if failed else 0


def cost(screen, running, seconds):
    screen.heading("What it cost")
    for daemon in running:
        screen.say(f"    {daemon.name:<26} {daemon.cpu_seconds():5.2f} s of CPU   {daemon.peak_memory() / 2**20:5.1f} MiB at most")
    screen.say(f"    all of it took {seconds:.0f} s")


def tell_kept(screen, kubeconfig, demo, sink, folder):
    screen.heading("Left running")
    screen.say(f"    export KUBECONFIG={kubeconfig}\n"
               f"    kubectl get -n {NAMESPACE} gitrepositories,kustomizations,all\n"
               f"    git clone {demo.url}      # commit, push, and watch\n"
               f"    alerts go to {sink.url}/slack, logs to {folder}\n"
               "    scripts/demo --stop       # ends it all")


def keep_in_background(options):
    """Runs the demo in a process that lives on, shows its output here, and returns its exit status once all is shown."""
    if KEPT.exists():
        print("scripts/demo: one is being kept already; scripts/demo --stop ends it", file=sys.stderr)
        return 2
    ours, theirs = os.pipe()
    keeper = os.fork()
    if keeper == 0:
        os.close(ours)
        os.setsid()
        os._exit(_keeper(options, theirs))
    os.close(theirs)
    try:
        told = os.read(ours, 1)
    except BaseException:
        os.kill(keeper, signal.SIGTERM)
        os.waitpid(keeper, 0)
        raise
    return 0 if told == b"k" else os.waitstatus_to_exitcode(os.waitpid(keeper, 0)[1])


def _keeper(options, pipe):
    def kept():
        KEPT.write_text(str(os.getpid()))
        os.write(pipe, b"k")
        null = os.open(os.devnull, os.O_RDWR)
        sys.stdout.flush()
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        signal.pause()

    try:
        unwind_on_signals()
        return run(options, Screen(), kept)
    except (SystemExit, KeyboardInterrupt):
        return 1
    finally:
        if KEPT.exists() and KEPT.read_text() == str(os.getpid()):
            KEPT.unlink()
        sys.stdout.flush()


def stop_kept():
    try:
        keeper = int(KEPT.read_text())
        if b"--keep" not in pathlib.Path(f"/proc/{keeper}/cmdline").read_bytes():
            raise ProcessLookupError
        os.kill(keeper, signal.SIGTERM)
    except (OSError, ValueError):
        print("scripts/demo: none is being kept", file=sys.stderr)
        KEPT.unlink(missing_ok=True)
        return 1
    eventually(lambda: not KEPT.exists() and not pathlib.Path(f"/proc/{keeper}").exists(), 120, what="the demo ends")
    print("scripts/demo: ended")
    return 0


def main():
    parser = argparse.ArgumentParser(prog="scripts/demo")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--stop", action="store_true")
    parser.add_argument("--kubeconfig", type=lambda file: pathlib.Path(file).resolve(strict=True))
    parser.add_argument("--bin", type=lambda folder: pathlib.Path(folder).resolve(strict=True))
    options = parser.parse_args()
    if options.stop:
        return stop_kept()
    if options.keep:
        return keep_in_background(options)
    unwind_on_signals()
    try:
        return run(options, Screen(), lambda: None)
    except DemoFailed as error:  # while cleaning up
        print(f"\nFAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nscripts/demo: interrupted; all processes ended", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
