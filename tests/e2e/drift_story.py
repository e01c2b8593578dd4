"""What is in Git stays in the cluster, whoever edits or deletes it there; and goes when the Kustomization goes."""
import time

from story import Story, config_map
from support.cluster import Ref

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "web:1"}]}
"""


class DriftIsPutBack(Story):
    def test_a_hand_edit_is_put_back_at_once(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a", key="git")})
        for attempt in range(3):
            self.cluster.patch(self.config("a"), {"data": {"key": f"by hand {attempt}"}})
            self.soon("the value of Git is back", lambda: self.value("a") == "git", within=5, about=app, every=0.02)

    def test_a_deleted_object_is_recreated(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a", key="git"), "web.yaml": DEPLOYMENT})
        web = Ref("apps/v1", "Deployment", self.namespace, "web")
        for ref in (self.config("a"), web):
            uid = self.get(ref)["metadata"]["uid"]
            self.cluster.delete(ref, wait=False)
            self.soon(f"{ref} is back", lambda: self.get(ref) and self.get(ref)["metadata"]["uid"] != uid,  # noqa: B023
                      within=5, about=app)
        self.stand.await_ready(app)

    def test_a_removed_field_and_label_are_put_back(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a", key="git", other="too")})
        self.cluster.patch(self.config("a"), {"data": {"other": None},
                                              "metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": None}}})
        self.soon("field and label are back", within=5, about=app, check=lambda: self.value("a", "other") == "too" and
                  self.get(self.config("a"))["metadata"]["labels"].get("kustomize.toolkit.fluxcd.io/name") == "app")

    def test_fields_that_git_does_not_set_are_left_to_others(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a", key="git")})
        self.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": self.namespace,
                            "annotations": {"note": "ours"}}, "data": {"extra": "kept"}}, manager="someone")
        self.stand.reconcile(app)
        time.sleep(1.5)
        thing = self.get(self.config("a"))
        self.assertEqual((thing["data"], thing["metadata"]["annotations"]["note"]), ({"key": "git", "extra": "kept"}, "ours"))

    def test_an_object_that_forbids_reconciling_is_left_alone(self):
        text = config_map("a", key="git").replace("  name: a\n", "  name: a\n  annotations:\n"
                                                  "    kustomize.toolkit.fluxcd.io/ssa: IfNotPresent\n")
        repository, source, app = self.ready_app({"a.yaml": text, "b.yaml": config_map("b", key="git")})
        self.cluster.patch(self.config("a"), {"data": {"key": "by hand"}})
        self.cluster.patch(self.config("b"), {"data": {"key": "by hand"}})
        self.soon("b is put back", lambda: self.value("b") == "git", within=5, about=app)
        time.sleep(0.5)
        self.assertEqual(self.value("a"), "by hand")

    def test_an_unchanged_cluster_is_not_written_to(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a"), "web.yaml": DEPLOYMENT})
        self.soon("the deployment has settled", about=app, check=lambda: (self.get(Ref(
            "apps/v1", "Deployment", self.namespace, "web"))["status"].get("observedGeneration") == 1))
        before = self.snapshot(app)
        token = self.stand.reconcile(app)
        self.soon("the request is handled", about=app,
                  check=lambda: self.get(app)["status"].get("lastHandledReconcileAt") == token)
        self.stand.await_ready(app)
        self.assert_untouched(app, before)


class TheEndOfAKustomization(Story):
    def test_deleting_it_prunes_its_objects_and_nothing_else(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a")})
        self.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine", "namespace": self.namespace}})
        self.cluster.delete(app, wait=False)
        self.stand.await_gone(app)
        self.soon("a is gone", lambda: self.get(self.config("a")) is None)
        self.assertIsNotNone(self.get(self.config("mine")))

    def test_orphan_leaves_its_objects(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a")}, deletionPolicy="Orphan")
        self.cluster.delete(app, wait=False)
        self.stand.await_gone(app)
        self.assertIsNotNone(self.get(self.config("a")))

    def test_a_suspended_one_leaves_its_objects(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a")}, suspend=False)
        self.cluster.patch(app, {"spec": {"suspend": True}})
        self.cluster.delete(app, wait=False)
        self.stand.await_gone(app)
        self.assertIsNotNone(self.get(self.config("a")))

    def test_an_object_that_belongs_to_another_by_now_is_not_pruned(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a"), "b.yaml": config_map("b")})
        self.cluster.patch(app, {"spec": {"suspend": True}})
        time.sleep(0.5)
        self.cluster.patch(self.config("a"), {"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "another"}}})
        commit = repository.commit({"a.yaml": None})
        self.stand.reconcile(source)
        self.stand.await_ready(source, commit)
        self.cluster.patch(app, {"spec": {"suspend": False}})
        self.stand.await_ready(app, commit)
        self.assertIsNotNone(self.get(self.config("a")), "it has another owner's label")

    def test_deleting_the_source_keeps_the_objects(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a")})
        self.cluster.delete(source, wait=False)
        self.stand.await_gone(source)
        self.stand.reconcile(app)
        self.fails(app, "ArtifactFailed", "app")
        self.assertIsNotNone(self.get(self.config("a")))
        self.stand.git_repository(self.namespace, "app", repository)
        self.stand.await_ready(app)
