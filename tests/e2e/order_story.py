"""Who waits for whom, and for how long: dependencies, health, and newer input that ends waiting for older."""
from story import Story, config_map
from support.cluster import Ref
from support.conditions import condition

UNHEALTHY = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1 # there is no node, so it never becomes available
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "web:1"}]}
"""


class Dependencies(Story):
    def test_a_dependant_waits_and_wakes_as_soon_as_its_dependency_is_ready(self):
        repository = self.repository({"base/a.yaml": "broken: [", "top/b.yaml": config_map("b")})
        source = self.stand.git_repository(self.namespace, "app", repository)
        base = self.stand.kustomization(self.namespace, "base", source, path="./base")
        # Its own retry would come far too late, so it is the event that wakes it.
        top = self.stand.kustomization(self.namespace, "top", source, path="./top", retryInterval="10m",
                                       dependsOn=[{"name": "base"}])
        self.stand.await_failure(top, "DependencyNotReady", "base")
        self.assertIsNone(self.value("b"))
        self.stand.await_failure(base, "BuildFailed", "a.yaml")
        commit = self.push(repository, source, {"base/a.yaml": config_map("a")})
        self.stand.await_ready(base, commit)
        self.stand.await_ready(top, commit, within=10)

    def test_a_dependency_that_does_not_exist_is_named(self):
        repository, source, app = self.app({"a.yaml": config_map("a")}, dependsOn=[{"name": "nobody"}])
        self.stand.await_failure(app, "DependencyNotReady", "nobody")
        self.assertIsNone(self.value("a"))


class Health(Story):
    def test_ready_waits_for_health_and_a_newer_commit_ends_the_wait(self):
        repository, source, app = self.app({"web.yaml": UNHEALTHY}, wait=True, timeout="10m")
        self.soon("it waits for the Deployment", about=app, check=lambda: "Deployment" in self.waiting(app))
        commit = self.push(repository, source, {"web.yaml": UNHEALTHY.replace("replicas: 1", "replicas: 0")})
        self.stand.await_ready(app, commit, within=10)
        self.assertEqual(condition(self.get(app), "Healthy")["status"], "True")

    def waiting(self, app):
        thing = self.stand.look(app)
        made = self.get(Ref("apps/v1", "Deployment", self.namespace, "web"))
        return made["kind"] if made and condition(thing, "Ready").get("status") == "Unknown" else ""

    def test_an_object_that_does_not_become_healthy_is_named_and_heals(self):
        repository, source, app = self.app({"web.yaml": UNHEALTHY}, timeout="30s", retryInterval="5s", healthChecks=[
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "namespace": self.namespace}])
        self.soon("a long wait says for what", within=25, about=app, check=lambda: (
            f"waiting for: [Deployment/{self.namespace}/web status: 'InProgress'"
            in condition(self.stand.look(app), "Reconciling").get("message", "")))
        self.stand.await_failure(app, "HealthCheckFailed", "Deployment", "web", within=45)
        self.assertNotIn("lastAppliedRevision", self.get(app)["status"])
        commit = self.push(repository, source, {"web.yaml": UNHEALTHY.replace("replicas: 1", "replicas: 0")})
        self.stand.await_ready(app, commit, within=15)

    def test_a_health_check_without_apiVersion_means_apps_as_upstreams_samples_have_it(self):
        check = {"kind": "Deployment", "name": "web", "namespace": self.namespace}
        repository, source, app = self.app({"web.yaml": UNHEALTHY}, healthChecks=[check], timeout="10m")
        self.soon("it waits for the Deployment", about=app, check=lambda: "Deployment" in self.waiting(app))
        commit = self.push(repository, source, {"web.yaml": UNHEALTHY.replace("replicas: 1", "replicas: 0")})
        self.stand.await_ready(app, commit, within=10)
        self.assertEqual(condition(self.get(app), "Healthy")["status"], "True")


    def test_a_health_check_that_does_not_say_where_looks_nowhere(self):
        self.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "namesake", "namespace": self.namespace}})
        _, _, app = self.app({"web.yaml": UNHEALTHY.replace("replicas: 1", "replicas: 0")}, healthChecks=[
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "namesake"}])
        self.stand.await_failure(app, "HealthCheckFailed", "ConfigMap/namesake", "no namespace is given")


class WhatIsNotHonouredYet(Story):
    def test_a_field_that_nobody_honours_stalls_and_keeps_what_is_applied(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a")})
        before = self.snapshot(app)
        self.cluster.patch(app, {"spec": {"decryption": {"provider": "sops"}}})
        self.stand.await_failure(app, "UnsupportedField", "spec.decryption", stalled=True)
        self.assert_untouched(app, before)
        self.cluster.patch(app, {"spec": {"decryption": None}})
        self.stand.await_ready(app)

    def test_a_source_with_one_stalls_and_serves_its_last_artifact(self):
        repository = self.repository({"a.yaml": config_map("a")})
        source = self.stand.git_repository(self.namespace, "app", repository)
        artifact = self.stand.await_ready(source)["status"]["artifact"]
        self.cluster.patch(source, {"spec": {"recurseSubmodules": True}})
        thing = self.stand.await_failure(source, "UnsupportedField", "spec.recurseSubmodules", stalled=True)
        self.assertEqual(thing["status"]["artifact"], artifact)
        self.cluster.patch(source, {"spec": {"recurseSubmodules": None}})
        self.stand.await_ready(source)
