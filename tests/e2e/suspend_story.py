"""Suspending in the middle of things: the status says what was done, and nothing that is not so."""
import re
import time

from story import Story, config_map
from support.cluster import Ref
from support.conditions import condition

OBJECTS = 600


def many(count):
    return "---\n".join(config_map(f"c{i}") for i in range(count))


class SuspendedMidway(Story):
    def applied(self):
        return [c for c in self.cluster.list("v1", "ConfigMap", self.namespace) if c["metadata"]["name"] != "kube-root-ca.crt"]

    def test_a_roll_out_that_is_suspended_says_what_it_has_applied(self):
        # Before there is a source, the status says so; that must not stand when it has long been overcome.
        source = Ref("source.toolkit.fluxcd.io/v1", "GitRepository", self.namespace, "app")
        app = self.stand.kustomization(self.namespace, "app", source, retryInterval="2s")
        self.soon("it says that there is no source", about=app,
                  check=lambda: "not found" in condition(self.stand.look(app), "Ready").get("message", ""))
        repository = self.repository({"all.yaml": many(OBJECTS)})
        self.assertEqual(self.stand.git_repository(self.namespace, "app", repository), source)
        self.soon("some of it is applied", within=60, every=0.02, about=app, check=lambda: len(self.applied()) > 50)
        self.cluster.patch(app, {"spec": {"suspend": True}})

        def settled():
            ready = condition(self.get(app), "Ready")
            return ready["status"] != "False" and not condition(self.get(app), "Reconciling") and ready
        ready = self.soon("the run that was on has ended", within=60, check=settled, about=app)
        status = self.get(app)["status"]
        self.assertEqual(len(self.applied()), OBJECTS)
        self.assertEqual(len(status["inventory"]["entries"]), OBJECTS)
        self.assertNotIn("not found", ready["message"])
        self.assertEqual(ready["status"], "True", ready)
        self.assertIn(repository.head(), status["lastAppliedRevision"])
        # And so it stays.
        before = self.get(app)["metadata"]["resourceVersion"]
        self.assert_untouched(app, self.snapshot(app), during=2)
        self.assertEqual(self.get(app)["metadata"]["resourceVersion"], before)
        self.cluster.patch(app, {"spec": {"suspend": None}})
        self.stand.await_ready(app, repository.head())

    def test_suspended_while_it_waits_for_health_an_object_is_neither_ready_nor_failed(self):
        deployment = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: "web:1"}]}}
"""
        repository, source, app = self.app({"web.yaml": deployment}, wait=True, timeout="10m")
        self.soon("it waits for the Deployment", about=app, within=30,
                  check=lambda: "health checks" in condition(self.stand.look(app), "Reconciling").get("message", ""))
        self.cluster.patch(app, {"spec": {"suspend": True}})
        ready = self.soon("it says that it was suspended", about=app, check=lambda: self.suspended(app))
        self.assertEqual(ready["status"], "Unknown")
        self.assertIn("Running health checks", ready["message"])
        self.assertNotIn("lastAppliedRevision", self.get(app)["status"])

    def suspended(self, app):
        ready = condition(self.get(app), "Ready")
        return ready["reason"] == "Suspended" and ready


class Intervals(Story):
    def test_an_interval_of_nothing_is_no_hot_loop(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a")}, interval="0s")
        before = self.runs()
        time.sleep(5)
        self.assertLess(self.runs() - before, 10)

    def runs(self):
        series = re.escape(f'gotk_reconcile_duration_seconds_count{{kind="Kustomization",name="app",'
                           f'namespace="{self.namespace}"}}')
        return int(re.search(series + r" (\d+)", self.stand.daemons["kustomize-controller"].metrics())[1])
