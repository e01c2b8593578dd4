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
from support.daemons import our_binary, upstream_binary  # noqa: E402
from support.processes import Skipped, unwind_on_signals  # noqa: E402
from support.stand import Stand  # noqa: E402

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

    def test_6_ours_prunes_all_when_the_kustomization_is_deleted(self):
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
