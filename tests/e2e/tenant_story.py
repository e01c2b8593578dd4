"""No tenant may hurt another: what one has that is slow, and much of it, costs the next one nothing that shows."""
import socket
import threading
import time

from story import Story, config_map

ADMISSION = "admissionregistration.k8s.io/v1"


class BlackHole:
    """A server that takes connections and never says a word."""

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.callers = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _accept(self):
        while True:
            try:
                self.callers.append(self._listener.accept()[0])
            except OSError:
                return

    def __exit__(self, *_):
        self._listener.close()
        for caller in self.callers:
            caller.close()


class Pulse:
    """Asks the daemon for its health all the while; what it was silent for is in `silences`."""

    def __init__(self, daemon, patience=2.0):
        self._daemon, self._patience, self._stop = daemon, patience, threading.Event()
        self.silences, self.asked = [], 0

    def __enter__(self):
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()
        return self

    def _ask(self):
        while not self._stop.wait(0.1):
            asked = time.monotonic()
            if not self._daemon.is_healthy() or time.monotonic() - asked > self._patience:
                self.silences.append(time.monotonic() - asked)
            self.asked += 1

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


class Tenants(Story):
    ALONE = True  # it measures how long things take

    def setUp(self):
        super().setUp()
        self.slow = f"{self.namespace}-slow"
        self.create_namespace(self.slow)

    def block(self, hole):
        """Every write of a ConfigMap in the slow tenant's namespace takes half a minute, and then fails."""
        name = f"{self.namespace}.example.com"
        self.addCleanup(self.cluster.kubectl, "delete", "validatingwebhookconfiguration", self.namespace,
                        "--ignore-not-found")
        self.cluster.apply({
            "apiVersion": ADMISSION, "kind": "ValidatingWebhookConfiguration", "metadata": {"name": self.namespace},
            "webhooks": [{"name": name, "clientConfig": {"url": f"https://127.0.0.1:{hole.port}/"}, "timeoutSeconds": 30,
                          "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
                          "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.slow}},
                          "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"],
                                     "resources": ["configmaps"]}]}]})

    def test_applies_of_one_that_hang_behind_a_webhook_hold_up_no_other(self):
        files = {f"{i}.yaml": config_map(f"object-{i}") for i in range(20)}
        repository = self.repository(files)
        source = self.stand.git_repository(self.namespace, "app", repository)
        app = self.stand.kustomization(self.namespace, "app", source)
        self.stand.await_ready(app, repository.head())
        slow_source = self.stand.git_repository(self.slow, "app", repository)
        self.stand.await_ready(slow_source)
        with BlackHole() as hole, Pulse(self.stand.daemons["kustomize-controller"]) as pulse:
            self.block(hole)
            for i in range(12):
                self.stand.kustomization(self.slow, f"slow-{i}", slow_source)
            # More than all workers and connections of one tenant.
            self.soon("the slow tenant's applies hang", check=lambda: len(hole.callers) >= 32, within=30)
            for i in range(3):
                commit = self.push(repository, source, {"0.yaml": config_map("object-0", turn=str(i))})
                self.stand.await_ready(app, commit, within=10)
                self.assertEqual(self.value("object-0", "turn"), str(i))
            new = self.stand.kustomization(self.namespace, "new", source, namePrefix="new-")
            self.stand.await_ready(new, within=10)
        self.assertGreater(pulse.asked, 10)
        self.assertEqual(pulse.silences, [])

    def test_substitutions_without_end_freeze_nobody_and_not_the_end_of_the_process(self):
        daemon = self.stand.daemons["kustomize-controller"]
        # For each of its places in the value another look at the rest of it: quadratic, were it not bounded.
        self.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "data": {"x": "a" * 900_000},
                             "metadata": {"name": "long", "namespace": self.slow}})
        hostile = self.stand.repository(self.slow)
        hostile.commit({"a.yaml": config_map("a", key="${x##*b*c}")})
        slow_source = self.stand.git_repository(self.slow, "app", hostile)
        self.stand.await_ready(slow_source)
        with Pulse(daemon) as pulse:
            for i in range(6):
                self.stand.kustomization(self.slow, f"long-{i}", slow_source, timeout="20s", postBuild={
                    "substituteFrom": [{"kind": "ConfigMap", "name": "long"}]})
            repository, source, app = self.ready_app({"n.yaml": config_map("n", key="1")})
            for value in ("2", "3"):
                commit = self.push(repository, source, {"n.yaml": config_map("n", key=value)})
                self.stand.await_ready(app, commit, within=10)
        self.assertEqual(pulse.silences, [])
        started = time.monotonic()
        self.assertEqual(daemon.stop(within=40), 0)
        self.assertLess(time.monotonic() - started, 35)
        daemon.start().await_ready()

    def test_hundreds_of_megabytes_of_objects_leave_drift_of_their_kind_corrected(self):
        daemon = self.stand.daemons["kustomize-controller"]
        for i in range(120):
            self.cluster.create({
                "apiVersion": "v1", "kind": "ConfigMap", "data": {"x": "v" * 900_000},
                "metadata": {"name": f"large-{i}", "namespace": self.slow,
                             "labels": {"kustomize.toolkit.fluxcd.io/name": "none",
                                        "kustomize.toolkit.fluxcd.io/namespace": self.slow}}})
        daemon.stop()
        daemon.start().await_ready()  # who starts lists them all
        app = self.ready_app({"n.yaml": config_map("n", key="1")})[2]
        for value in ("by hand", "again"):
            self.cluster.patch(self.config("n"), {"data": {"key": value}})
            self.soon("drift is put back", lambda: self.value("n") == "1", within=60, about=app)
        self.assertLess(daemon.memory(), 128 << 20)
        self.assertLess(daemon.peak_memory(), 192 << 20)

    def test_git_servers_of_one_that_never_answer_hold_up_no_other(self):
        repository = self.repository({"a.yaml": config_map("a")})
        with BlackHole() as hole, Pulse(self.stand.daemons["source-controller"]) as pulse:
            silent = [self.stand.git_repository(self.slow, f"silent-{i}", url=f"http://127.0.0.1:{hole.port}/{i}.git",
                                                timeout="10m") for i in range(12)]
            self.soon("the slow tenant's sources wait", check=lambda: hole.callers, within=30)
            # A listing that both ask for must not wait for the one who asked first.
            self.stand.git_repository(self.slow, "shared", repository)
            for i in range(3):
                source = self.stand.git_repository(self.namespace, f"app-{i}", repository)
                self.stand.await_ready(source, repository.head(), within=10)
            for source in silent:
                self.cluster.delete(source, wait=False)
        self.assertEqual(pulse.silences, [])
