"""A commit becomes objects: first sync, roll-out, pruning, and all the ways to name what to check out."""
import hashlib
import io
import tarfile
import time
import urllib.request

from story import Story, config_map
from support.cluster import Ref
from support.conditions import condition
from support.git_servers import git


class CommitReachesTheCluster(Story):
    def test_first_sync_applies_labels_and_records_the_inventory(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a", key="one"), "b.yaml": config_map("b")})
        commit = repository.head()
        thing = self.get(app)
        self.assertEqual(thing["status"]["lastAppliedRevision"], f"main@sha1:{commit}")
        self.assertEqual(thing["status"]["lastAttemptedRevision"], f"main@sha1:{commit}")
        self.assertEqual([e["id"] for e in thing["status"]["inventory"]["entries"]],
                         [f"{self.namespace}_a__ConfigMap", f"{self.namespace}_b__ConfigMap"])
        self.assertEqual(condition(thing, "Ready")["reason"], "ReconciliationSucceeded")
        self.assertIn(commit, condition(thing, "Ready")["message"])
        self.assertEqual(thing["status"]["history"][0]["lastReconciledStatus"], "ReconciliationSucceeded")
        made = self.get(self.config("a"))
        self.assertEqual(made["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"], "app")
        self.assertEqual(made["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/namespace"], self.namespace)
        managers = {(f["manager"], f["operation"]) for f in made["metadata"]["managedFields"]}
        self.assertEqual(managers, {("kustomize-controller", "Apply")})

    def test_the_artifact_is_what_its_status_says(self):
        repository = self.repository({"deploy/a.yaml": config_map("a"), "logo.png": "not wanted", ".gitignore": "x"})
        source = self.stand.git_repository(self.namespace, "app", repository)
        artifact = self.stand.await_ready(source)["status"]["artifact"]
        with urllib.request.urlopen(artifact["url"], timeout=10) as answer:
            content = answer.read()
        self.assertEqual("sha256:" + hashlib.sha256(content).hexdigest(), artifact["digest"])
        self.assertEqual(len(content), artifact["size"])
        self.assertEqual(artifact["path"], f"gitrepository/{self.namespace}/app/{repository.head()}.tar.gz")
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            self.assertEqual([m.name for m in archive if m.isfile()], ["deploy/a.yaml"])

    def test_the_same_tree_has_the_same_digest(self):
        repository = self.repository({"a.yaml": config_map("a")})
        digests = [self.stand.await_ready(self.stand.git_repository(self.namespace, name, repository))
                   ["status"]["artifact"]["digest"] for name in ("one", "two")]
        self.assertEqual(digests[0], digests[1])

    def test_a_pushed_commit_rolls_out_and_a_removed_file_is_pruned(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a", key="one"), "b.yaml": config_map("b")})
        untouched = self.get(self.config("b"))["metadata"]["resourceVersion"]
        self.stand.await_ready(app, self.push(repository, source, {"a.yaml": config_map("a", key="two")}))
        self.assertEqual(self.value("a"), "two")
        self.assertEqual(self.get(self.config("b"))["metadata"]["resourceVersion"], untouched)
        self.stand.await_ready(app, self.push(repository, source, {"a.yaml": None}))
        self.assertIsNone(self.get(self.config("a")))
        self.assertEqual(self.get(self.config("b"))["metadata"]["resourceVersion"], untouched)

    def test_without_prune_removed_objects_stay(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a"), "b.yaml": config_map("b")}, prune=False)
        self.stand.await_ready(app, self.push(repository, source, {"a.yaml": None}))
        self.assertIsNotNone(self.get(self.config("a")))

    def test_an_object_that_forbids_pruning_stays(self):
        keep = config_map("a").replace("  name: a\n", "  name: a\n  annotations:\n"
                                                      "    kustomize.toolkit.fluxcd.io/prune: disabled\n")
        repository, source, app = self.ready_app({"a.yaml": keep, "b.yaml": config_map("b")})
        self.stand.await_ready(app, self.push(repository, source, {"a.yaml": None}))
        self.assertIsNotNone(self.get(self.config("a")))

    def test_kustomize_features_of_the_spec_are_honoured(self):
        repository, source, app = self.ready_app(
            {"k/kustomization.yaml": "resources: [d.yaml]\nnamePrefix: p-\nimages: [{name: app, newTag: v2}]\n"
                                     "configMapGenerator: [{name: settings, literals: [a=b]}]\n",
             "k/d.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 0\n"
                         "  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n"
                         "    spec: {containers: [{name: app, image: app, envFrom: [{configMapRef: {name: settings}}]}]}\n"},
            path="./k", wait=True, commonMetadata={"labels": {"team": "shop"}},
            patches=[{"patch": "- {op: add, path: /spec/minReadySeconds, value: 3}", "target": {"kind": "Deployment"}}])
        web = self.get(Ref("apps/v1", "Deployment", self.namespace, "p-web"))
        self.assertEqual(web["spec"]["minReadySeconds"], 3)
        self.assertEqual(web["metadata"]["labels"]["team"], "shop")
        container = web["spec"]["template"]["spec"]["containers"][0]
        self.assertEqual(container["image"], "app:v2")
        self.assertRegex(container["envFrom"][0]["configMapRef"]["name"], "^p-settings-[a-z0-9]{10}$")
        self.assertIsNotNone(self.get(self.config(container["envFrom"][0]["configMapRef"]["name"])))

    def test_crd_and_its_objects_in_one_commit(self):
        group = f"{self.namespace}.example.com"
        crd = (f"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: gems.{group}}}\n"
               f"spec:\n  group: {group}\n  scope: Namespaced\n  names: {{kind: Gem, plural: gems}}\n  versions:\n"
               "  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: "
               "{type: object, x-kubernetes-preserve-unknown-fields: true}}}\n")
        repository, source, app = self.ready_app(
            {"crd.yaml": crd, "gem.yaml": f"apiVersion: {group}/v1\nkind: Gem\nmetadata: {{name: ruby}}\n"})
        self.assertIsNotNone(self.get(Ref(f"{group}/v1", "Gem", self.namespace, "ruby")))


class UnknownFields(Story):
    """Flux applies objects of Kubernetes' own kinds without the fields that these do not have; so manifests that have some work."""

    DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web, zzz: 1}
top: 1
spec:
  replicas: 0
  replica: 3
  replicaz: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: a, image: x}, {name: c, image: x, resource: {limits: {cpu: 1}}}]}
"""

    def test_they_are_left_out_and_told_and_what_is_around_them_is_applied(self):
        repository, source, app = self.ready_app({"web.yaml": self.DEPLOYMENT, "a.yaml": config_map("a", key="1")})
        web = self.get(Ref("apps/v1", "Deployment", self.namespace, "web"))
        self.assertEqual(web["spec"]["template"]["spec"]["containers"][1].get("resources"), {})

        def told():
            return [e["message"] for e in self.cluster.events(app) if "applied without what its kind does not have" in e["message"]]
        self.soon("the fields are told", told, about=app)
        for field in (".metadata.zzz", ".top", ".spec.replica,", ".spec.replicaz", '.spec.template.spec.containers[name="c"].resource', "web.yaml:1"):
            self.assertIn(field, told()[0])
        version = web["metadata"]["resourceVersion"]
        commit = self.push(repository, source, {"a.yaml": config_map("a", key="2")})
        self.stand.await_ready(app, commit)
        self.stand.reconcile(app)
        self.soon("the next run", lambda: self.get(app)["status"].get("lastHandledReconcileAt"), about=app)
        self.stand.await_ready(app, commit)
        self.assertEqual(self.get(Ref("apps/v1", "Deployment", self.namespace, "web"))["metadata"]["resourceVersion"], version)
        # Drift of it is seen as of any other.
        self.cluster.kubectl("patch", "deployment", "web", "-n", self.namespace, "--type=merge", "-p", '{"spec": {"paused": true, "replicas": 1}}')
        self.soon("it is put back", lambda: self.get(Ref("apps/v1", "Deployment", self.namespace, "web"))["spec"]["replicas"] == 0, about=app)

    def test_a_value_of_the_wrong_type_is_refused_for_all_that(self):
        _, _, app = self.app({"web.yaml": self.DEPLOYMENT.replace("replicas: 0", "replicas: [1]")})
        self.stand.await_failure(app, "ReconciliationFailed", "web.yaml:1", ".spec.replicas: expected numeric")


class WhatToCheckOut(Story):
    def setUp(self):
        super().setUp()
        self.repo = self.repository({"a.yaml": config_map("a", key="first")})
        self.first = self.repo.head()
        for version in ("v1.0.0", "v1.2.0", "v2.0.0"):
            self.repo.commit({"a.yaml": config_map("a", key=version)})
            self.repo.tag(version)
        self.repo.commit({"a.yaml": config_map("a", key="side")}, branch="side")

    def revision(self, source_name, **ref):
        source = self.stand.git_repository(self.namespace, source_name, self.repo, ref=ref)
        return self.stand.await_ready(source)["status"]["artifact"]["revision"]

    def commit_of(self, tag):
        return git("rev-parse", f"{tag}^{{commit}}", folder=self.repo.path)

    def test_branch_tag_semver_name_and_commit(self):
        self.assertEqual(self.revision("branch", branch="side"), f"side@sha1:{self.repo.head('side')}")
        self.assertEqual(self.revision("tag", tag="v1.0.0"), f"v1.0.0@sha1:{self.commit_of('v1.0.0')}")
        self.assertEqual(self.revision("semver", semver=">=1.0.0 <2.0.0"), f"v1.2.0@sha1:{self.commit_of('v1.2.0')}")
        self.assertEqual(self.revision("full-name", name="refs/heads/side"), f"refs/heads/side@sha1:{self.repo.head('side')}")
        self.assertEqual(self.revision("commit", branch="main", commit=self.first), f"main@sha1:{self.first}")

    def test_a_new_tag_in_the_range_is_followed(self):
        source = self.stand.git_repository(self.namespace, "app", self.repo, ref={"semver": "1.x"})
        self.stand.await_ready(source, self.commit_of("v1.2.0"))
        self.repo.commit({"a.yaml": config_map("a", key="v1.3.0")})
        self.repo.tag("v1.3.0")
        self.stand.reconcile(source)
        self.stand.await_ready(source, self.commit_of("v1.3.0"))

    def test_nothing_is_fetched_while_the_ref_has_not_moved(self):
        source = self.stand.git_repository(self.namespace, "app", self.repo)
        before = self.stand.await_ready(source)["status"]["artifact"]
        packs = self.packs()
        for _ in range(2):
            token = self.stand.reconcile(source)
            self.soon("the request is handled", about=source,
                      check=lambda: self.get(source)["status"].get("lastHandledReconcileAt") == token)
        self.assertEqual(self.stand.await_ready(source)["status"]["artifact"], before)
        self.assertEqual(self.packs(), packs)

    def packs(self):
        """How many packs this repository was asked for."""
        return sum(line.startswith(f"POST /{self.repo.name}.git/git-upload-pack") for line in self.stand.git.requests())


class Suspension(Story):
    def test_a_suspended_kustomization_leaves_the_cluster_alone_until_resumed(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a", key="one")})
        self.cluster.patch(app, {"spec": {"suspend": True}})
        commit = self.push(repository, source, {"a.yaml": config_map("a", key="two")})
        self.stand.await_ready(source, commit)
        self.cluster.patch(self.config("a"), {"data": {"key": "by hand"}})
        time.sleep(1.5)
        self.assertEqual(self.value("a"), "by hand")
        self.cluster.patch(app, {"spec": {"suspend": False}})
        self.stand.await_ready(app, commit)
        self.assertEqual(self.value("a"), "two")
