#!/usr/bin/env python3
"""Upstream's kustomize-controller v1.9.5 on our source-controller, and the two taking over from each other.

Its manifests are unchanged: the same objects, the same account and rights, the same flags. Exit status 77: skipped.
"""
import pathlib
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from story import config_map  # noqa: E402
from support.cluster import Ref  # noqa: E402
from support.daemons import NAMESPACE, our_binary, upstream_binary  # noqa: E402
from support.flaky_api import FlakyApi  # noqa: E402
from support.processes import Skipped, unwind_on_signals  # noqa: E402
from support.stand import Stand  # noqa: E402
from support.webhook_sink import slack_text  # noqa: E402

NAME = "kustomize-controller"
SPACE = "interop"
FILES = {
    "kustomization.yaml": "resources: [web.yaml, workloads.yaml, service.yaml, account.yaml]\nconfigMapGenerator:\n"
                          "  - {name: settings, literals: [color=blue]}\n",
    "web.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 0\n"
                "  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n"
                "      containers: [{name: web, image: 'web:1', envFrom: [{configMapRef: {name: settings}}]}]\n",
    "workloads.yaml": "---\n".join(
        f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: other}}\nspec:\n{spec}" for version, kind, spec in (
            ("apps/v1", "StatefulSet", "  replicas: 0\n  serviceName: web\n  selector: {matchLabels: {app: s}}\n  template: "
             "{metadata: {labels: {app: s}}, spec: {initContainers: [{name: i, image: i}], containers: [{name: c, image: c}]}}\n"),
            ("apps/v1", "DaemonSet", "  selector: {matchLabels: {app: d}}\n  template: {metadata: {labels: {app: d}}, "
             "spec: {containers: [{name: c, image: c, ports: [{containerPort: 80}]}]}}\n"),
            ("batch/v1", "Job", "  suspend: true\n  template: {spec: {restartPolicy: Never, containers: [{name: c, image: c}]}}\n"),
            ("batch/v1", "CronJob", "  schedule: '0 0 1 1 *'\n  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, "
             "containers: [{name: c, image: c}]}}}}\n"))),
    "service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  selector: {app: web}\n"
                    "  ports: [{port: 80}]\n",
    "account.yaml": "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n",
}


class Interop(unittest.TestCase):
    """The tests follow each other, as their names say: each goes on where the one before has ended."""

    stand = None
    maxDiff = None

    def setUp(self):
        self.cluster = self.stand.cluster
        self.app = Ref("kustomize.toolkit.fluxcd.io/v1", "Kustomization", SPACE, "app")

    def run_daemon(self, binary):
        if NAME in self.stand.daemons:
            self.assertEqual(self.stand.stop_daemon(NAME), 0)
        self.stand.strict = binary == our_binary(NAME)
        self.stand.start_daemon(NAME, binary).await_ready(60)

    def objects(self):
        """Everything applied, whole, but for what the API server counts on the side."""
        found = {}
        for entry in self.cluster.get(self.app)["status"]["inventory"]["entries"]:
            namespace, name, group, kind = entry["id"].split("_")
            found[entry["id"]] = self.cluster.get(Ref(f"{group}/{entry['v']}" if group else entry["v"], kind, namespace, name))
        return found

    def inventory(self):
        """Without its order, which means nothing to either."""
        return sorted((e["id"], e["v"]) for e in self.cluster.get(self.app)["status"]["inventory"]["entries"])

    def push_and_await(self, changes, daemon):
        commit = type(self).repository.commit(changes)
        self.stand.reconcile(self.source)
        self.stand.await_ready(self.app, commit, within=60)
        return commit

    def take_over(self, binary):
        """The other daemon reconciles everything, and not one object is written to."""
        before, inventory = self.objects(), self.inventory()
        self.run_daemon(binary)
        token = self.stand.reconcile(self.app)
        self.stand.await_ready(self.app, within=60)
        deadline = time.monotonic() + 30
        while self.cluster.get(self.app)["status"].get("lastHandledReconcileAt") != token:
            self.assertLess(time.monotonic(), deadline, self.stand.describe(self.app))
            time.sleep(0.1)
        time.sleep(1.5)
        after = self.objects()
        touched = [key for key in before if after[key] != before[key]]
        for key in touched:
            with self.subTest(key):
                self.assertEqual(after[key], before[key], "it was touched")
        self.assertEqual(self.inventory(), inventory)

    def test_1_upstream_reconciles_what_our_source_controller_serves(self):
        self.cluster.kubectl("create", "namespace", SPACE)
        cls = type(self)
        cls.repository = self.stand.repository("interop")
        cls.repository.commit(FILES)
        cls.source = self.stand.git_repository(SPACE, "app", cls.repository)
        self.run_daemon(upstream_binary())
        self.stand.kustomization(SPACE, "app", cls.source)
        thing = self.stand.await_ready(self.app, cls.repository.head(), within=60)
        self.assertEqual(len(thing["status"]["inventory"]["entries"]), 8)
        self.push_and_await({"service.yaml": FILES["service.yaml"].replace("80", "81")}, NAME)

    def test_2_ours_takes_over_and_touches_nothing(self):
        self.take_over(our_binary(NAME))

    def test_3_ours_goes_on_where_upstream_stopped(self):
        changed = FILES["kustomization.yaml"].replace("blue", "green").replace(", account.yaml", "")
        self.push_and_await({"kustomization.yaml": changed, "account.yaml": None}, NAME)
        self.assertIsNone(self.cluster.get(Ref("v1", "ServiceAccount", SPACE, "web")))

    def test_4_upstream_takes_over_again_and_touches_nothing(self):
        self.take_over(upstream_binary())

    def test_5_upstream_goes_on_where_ours_stopped(self):
        self.push_and_await({"extra.yaml": config_map("extra"),
                             "kustomization.yaml": "resources: [web.yaml, workloads.yaml, service.yaml, extra.yaml]\n"}, NAME)

    def test_6_what_upstream_could_not_say_in_an_event_is_told_from_its_status(self):
        api = FlakyApi(self.stand.plane)
        self.addCleanup(api.stop)
        api.refuse_events = True
        self.stand.start_daemon("notification-controller", arguments=["--event-grace=5s"]).await_ready(60)
        time.sleep(1.1)  # an Alert listens from the second on in which it began to
        self.stand.alert(SPACE, "chat", [self.app], "/interop")
        self.stand.await_ready(Ref("notification.toolkit.fluxcd.io/v1beta3", "Alert", SPACE, "chat"))
        daemon = self.stand.daemons[NAME]
        daemon.stop()
        direct = self.stand.plane.kubeconfig_for(f"{NAMESPACE}/{NAME}")
        daemon.environment["KUBECONFIG"] = str(api.kubeconfig(direct, self.stand.folder / f"{NAME}.flaky.kubeconfig"))
        daemon.start()
        daemon.await_ready(60)

        def told():
            return [slack_text(m.body) for m in self.stand.sink.received("/interop")]

        def await_told(count, fragment):
            deadline = time.monotonic() + 60
            while len(told()) < count:
                self.assertLess(time.monotonic(), deadline, self.stand.describe(self.app))
                time.sleep(0.2)
            time.sleep(12)  # it is reconciled and refused again meanwhile
            self.assertEqual(len(told()), count, told())
            self.assertIn(fragment, told()[-1])

        commit = type(self).repository.commit({"extra.yaml": "broken: [\n"})
        self.stand.reconcile(self.source)
        await_told(1, "extra.yaml")
        self.assertIn(commit, told()[0])
        self.assertGreater(api.refused[403], 0)
        commit = type(self).repository.commit({"extra.yaml": config_map("extra", key="2")})
        self.stand.reconcile(self.source)
        await_told(2, commit)

    def test_7_ours_prunes_all_when_the_kustomization_is_deleted(self):
        self.run_daemon(our_binary(NAME))
        before = self.objects()
        self.cluster.delete(self.app, wait=False)
        self.stand.await_gone(self.app)
        for key in before:
            namespace, name, group, kind = key.split("_")
            version = before[key]["apiVersion"]
            self.stand.await_gone(Ref(version, kind, namespace, name))


def main():
    unwind_on_signals()
    try:
        upstream_binary(), our_binary(NAME)
        with Stand(daemons=("source-controller",), other_source_kinds=True) as stand:
            Interop.stand = stand
            suite = unittest.defaultTestLoader.loadTestsFromTestCase(Interop)
            # Each test stands on the one before.
            return 0 if unittest.TextTestRunner(sys.stdout, verbosity=2, failfast=True).run(suite).wasSuccessful() else 1
    except Skipped as why:
        print(f"SKIPPED: {why}", file=sys.stderr)
        return 77


if __name__ == "__main__":
    sys.exit(main())
