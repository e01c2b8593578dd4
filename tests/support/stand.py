"""Everything at once: a control plane with our CRDs and roles, our daemons, Git servers and a webhook, on loopback.

    with Stand() as stand:
        stand.cluster.apply(...)
        stand.await_ready(ref)

Each daemon runs with its own service account's rights, as the charts install it.
"""
import os
import pathlib
import shutil
import tempfile

from support import daemons
from support.cluster import Cluster, KubectlError, Ref
from support.conditions import complaints, condition, is_ready
from support.control_plane import ControlPlane
from support.daemons import NAMESPACE, NAMES, ROOT, Daemon
from support.eventually import eventually
from support.git_servers import GitHttpServer, GitRepository
from support.webhook_sink import WebhookSink

DATA = ROOT / "tests/e2e/data"
SOURCE = "source.toolkit.fluxcd.io/v1"
KUSTOMIZE = "kustomize.toolkit.fluxcd.io/v1"
NOTIFICATION = "notification.toolkit.fluxcd.io/v1beta3"
SANITIZER_REPORTS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")


class Stand:
    """daemons: which of ours to start. arguments: name -> further flags. audit: count each daemon's API requests.

    shared: as a cluster of several tenants has it, that is without cluster-admin for kustomize-controller: it applies in
    the name of the account APPLIER of each namespace, which has rights only where create_applier() was called.
    """

    APPLIER = "applier"

    # Whether conditions must make sense at every look. Upstream writes them in two goes, so with its daemons they do not.
    strict = True

    def __init__(self, daemons=NAMES, arguments=None, audit=False, controllers=True, other_source_kinds=False,
                 shared=False):
        self._names, self._arguments = daemons, {name: list(flags) for name, flags in (arguments or {}).items()}
        self.shared = shared
        if shared:
            self._arguments.setdefault("kustomize-controller", []).append(f"--default-service-account={self.APPLIER}")
        self._other_source_kinds = other_source_kinds
        accounts = [f"{NAMESPACE}/{name}" for name in NAMES]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-stand-"))
        self.plane = ControlPlane(controllers, accounts, accounts if audit else ())
        self.daemons = {}
        self.cluster = self.git = self.sink = None
        self._parts = []

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind, *_):
        self.stop()

    def _start(self):
        for name in self._names:
            daemons.our_binary(name)  # skipped before anything is started
        self.sink = self._enter(WebhookSink())
        (self.folder / "git").mkdir()
        self.git = self._enter(GitHttpServer(self.folder / "git", self.folder))
        self._enter(self.plane)
        self.cluster = self._enter(Cluster(self.plane.bin / "kubectl", self.plane.kubeconfig))
        self.cluster.kubectl("create", "namespace", NAMESPACE)
        rights = [file for file in sorted((ROOT / "charts/rbac").glob("*.yaml"))
                  if not (self.shared and file.stem.endswith("-cluster-admin"))]
        self.cluster.apply(ROOT / "crds", *rights)
        if self._other_source_kinds:
            self.cluster.apply(DATA / "source-kinds.yaml")
        self.cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        for name in self._names:
            self.start_daemon(name)
        for daemon in self.daemons.values():
            daemon.await_ready()

    def _enter(self, part):
        part.__enter__()
        self._parts.append(part)
        return part

    def start_daemon(self, name, binary=None, arguments=()):
        """Ours, or another binary under the same name and account. See Daemon.await_ready()."""
        daemon = Daemon(name, binary or daemons.our_binary(name), self.plane.kubeconfig_for(f"{NAMESPACE}/{name}"),
                        self.folder, [*self._arguments.get(name, ()), *arguments])
        self.daemons[name] = daemon
        return daemon.start()

    def stop_daemon(self, name):
        """Ends it as Kubernetes does; returns its exit status."""
        return self.daemons.pop(name).stop(within=30)

    def stop(self):
        for daemon in self.daemons.values():
            daemon.stop(within=5)
        self.keep_logs()
        for part in reversed(self._parts):
            part.__exit__(None, None, None)
        self._parts = []
        shutil.rmtree(self.folder, ignore_errors=True)

    def keep_logs(self):
        """Copies the daemons' logs to $SLUICE_E2E_LOGS, if that is set."""
        target = os.environ.get("SLUICE_E2E_LOGS")
        if target:
            os.makedirs(target, exist_ok=True)
            for log in [*self.folder.glob("*.log"), *self.plane.folder.glob("*.log")]:
                shutil.copy(log, target)

    def sanitizer_reports(self):
        """Lines of the daemons' logs in which a sanitizer speaks."""
        return [line for log in self.folder.glob("*-controller.log")
                for line in log.read_text(errors="replace").splitlines() if any(s in line for s in SANITIZER_REPORTS)]

    # Objects

    def create_applier(self, namespace):
        """The account in whose name Kustomizations of the namespace are applied, with the right to do anything."""
        account = {"kind": "ServiceAccount", "name": self.APPLIER, "namespace": namespace}
        self.cluster.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": self.APPLIER, "namespace": namespace}},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
             "metadata": {"name": f"{self.APPLIER}-{namespace}"}, "subjects": [account],
             "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}})

    def repository(self, name):
        """A bare Git repository, served at stand.git.url/NAME.git."""
        return GitRepository(self.folder / "git", name)

    def git_repository(self, namespace, name, repository=None, **spec):
        url = f"{self.git.url}/{repository.name}.git" if repository else None
        self.cluster.apply({"apiVersion": SOURCE, "kind": "GitRepository",
                            "metadata": {"name": name, "namespace": namespace},
                            "spec": {"url": url, "interval": "1m", "ref": {"branch": "main"}, **spec}})
        return Ref(SOURCE, "GitRepository", namespace, name)

    def kustomization(self, namespace, name, source, annotations=None, **spec):
        """source: a Ref of the same namespace. Failures are retried after a second, or tests would be slow."""
        self.cluster.apply({"apiVersion": KUSTOMIZE, "kind": "Kustomization",
                            "metadata": {"name": name, "namespace": namespace, "annotations": annotations or {}},
                            "spec": {"interval": "10m", "retryInterval": "1s", "prune": True, "path": "./",
                                     "targetNamespace": namespace,
                                     "sourceRef": {"kind": source.kind, "name": source.name}, **spec}})
        return Ref(KUSTOMIZE, "Kustomization", namespace, name)

    def alert(self, namespace, name, sources, path, type="slack", **spec):
        """A Provider and an Alert of that name, which deliver to stand.sink under the path."""
        self.cluster.apply(
            {"apiVersion": NOTIFICATION, "kind": "Provider", "metadata": {"name": name, "namespace": namespace},
             "spec": {"type": type, "channel": "general", "address": self.sink.url + path}},
            {"apiVersion": NOTIFICATION, "kind": "Alert", "metadata": {"name": name, "namespace": namespace},
             "spec": {"providerRef": {"name": name}, "eventSeverity": "info",
                      "eventSources": [{"kind": source.kind, "name": source.name} for source in sources], **spec}})

    def reconcile(self, ref):
        """Asks for a reconciliation now, as `flux reconcile` does. Returns the token to look for."""
        token = os.urandom(4).hex()
        self.cluster.annotate(ref, "reconcile.fluxcd.io/requestedAt", token)
        return token

    # Waiting

    def await_ready(self, ref, revision=None, within=20):
        """Until the object is Ready for its newest spec (and that revision). Returns it, checked for sanity."""
        def ready():
            thing = self.look(ref)
            assert is_ready(thing), f"Ready is {condition(thing, 'Ready')}"
            got = revision_of(thing)
            assert revision is None or (got or "").endswith(revision), f"at {got}, not {revision}"
            return thing
        return eventually(ready, within, what=f"{ref} is ready{' at ' + revision if revision else ''}",
                          context=lambda: self.describe(ref))

    def await_failure(self, ref, reason, *fragments, within=20, stalled=False, kind="Ready"):
        """Until Ready=False with one of the reasons and all the fragments in its message. Returns the object."""
        reasons = (reason,) if isinstance(reason, str) else reason

        def failed():
            thing = self.look(ref)
            ready = condition(thing, kind)
            assert ready.get("status") == ("False" if kind == "Ready" else "True"), f"{kind} is {ready}"
            assert ready.get("reason") in reasons, f"reason is {ready.get('reason')}: {ready.get('message')}"
            missing = [part for part in fragments if part.lower() not in ready.get("message", "").lower()]
            assert not missing, f"message lacks {missing}: {ready.get('message')}"
            assert bool(condition(thing, "Stalled")) == stalled, f"Stalled is {condition(thing, 'Stalled')}"
            return thing
        return eventually(failed, within, what=f"{ref} fails with {reason} naming {list(fragments)}",
                          context=lambda: self.describe(ref))

    def look(self, ref):
        """The object as it is now; whatever its state, its conditions must make sense."""
        thing = self.cluster.get(ref)
        assert thing is not None, f"{ref} does not exist"
        wrong = complaints(thing) if self.strict else []
        if wrong:
            raise Senseless(f"conditions of {ref} make no sense: {'; '.join(wrong)}\n{self.cluster.yaml(ref)}")
        return thing

    def await_gone(self, ref, within=20):
        eventually(lambda: self.cluster.get(ref) is None, within, what=f"{ref} is gone",
                   context=lambda: self.describe(ref))

    def describe(self, ref):
        logs = [f"--- log of {name}: last lines about {ref}, then last of all\n{_about(daemon, ref)}"
                for name, daemon in self.daemons.items()]
        return "\n".join([f"--- {ref}", self.cluster.yaml(ref), f"--- Events about {ref}", self._events(ref), *logs])

    def _events(self, ref):
        try:
            found = self.cluster.events(ref)
        except (KubectlError, OSError) as error:
            return f"({error})"
        return "\n".join(f"{e['metadata']['creationTimestamp']} {e.get('type')} {e.get('reason')} x{e.get('count', 1)} "
                         f"{e.get('source', {}).get('component') or e.get('reportingComponent')}: {e.get('message', '')[:300]} "
                         f"{e['metadata'].get('annotations', {})}" for e in found)


class Senseless(Exception):
    """Not an AssertionError, so that no wait goes on in the hope that it passes."""


def revision_of(thing):
    status = thing.get("status", {})
    return status.get("artifact", {}).get("revision") if "artifact" in status else status.get("lastAppliedRevision")


def _about(daemon, ref, lines=5):
    state = "" if daemon.is_running else f"(ended with status {daemon.status})\n"
    text = [line[:600] for line in daemon.log_tail(3000).splitlines()]
    about = [line for line in text if f'"{ref.name}"' in line and ref.namespace in line]
    return state + "\n".join(about[-lines:] + ["..."] + text[-2:])
