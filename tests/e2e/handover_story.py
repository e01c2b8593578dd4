"""What moves from one Kustomization to another in one commit lives through it, and nothing is deleted that was there before."""
import time

from story import LABEL, Story, config_map
from support.cluster import Ref
from support.stand import KUSTOMIZE

KINDS = {
    "Namespace": "v1", "PersistentVolumeClaim": "v1", "ConfigMap": "v1", "Secret": "v1", "Service": "v1",
    "ServiceAccount": "v1", "Deployment": "apps/v1", "Role": "rbac.authorization.k8s.io/v1"}
BODIES = {
    "PersistentVolumeClaim": "spec:\n  accessModes: [ReadWriteOnce]\n  storageClassName: none\n"
                             "  resources: {requests: {storage: 1Gi}}\n",
    "ConfigMap": "data: {key: value}\n", "Secret": "stringData: {key: value}\n",
    "Service": "spec:\n  ports: [{port: 80}]\n",
    "Deployment": "spec:\n  replicas: 0\n  selector: {matchLabels: {app: web}}\n  template:\n"
                  "    metadata: {labels: {app: web}}\n    spec: {containers: [{name: web, image: 'web:1'}]}\n",
    "Role": "rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]\n"}


class Handover(Story):
    def things(self):
        self.other_space = f"{self.namespace}-moved"
        self.addCleanup(self.cluster.kubectl, "delete", "namespace", self.other_space, "--wait=false", "--ignore-not-found")
        self.addCleanup(self.unprotect)
        self.addCleanup(self.cluster.kubectl, "delete", "kustomizations", "--all", "-n", self.namespace, "--timeout=20s")
        files = {}
        for kind, version in KINDS.items():
            place = f"{{name: {self.other_space}, labels: {{{LABEL}: ''}}}}" if kind == "Namespace" \
                else f"{{name: moved, namespace: {self.namespace}}}"
            files[f"{kind.lower()}.yaml"] = f"apiVersion: {version}\nkind: {kind}\nmetadata: {place}\n{BODIES.get(kind, '')}"
        return files

    def unprotect(self):
        """As the controller of claims does it, which does not run here."""
        claim = next(ref for ref in self.refs() if ref.kind == "PersistentVolumeClaim")
        if self.get(claim):
            self.cluster.patch(claim, {"metadata": {"finalizers": None}})

    def refs(self):
        return [Ref(version, kind, "" if kind == "Namespace" else self.namespace,
                    self.other_space if kind == "Namespace" else "moved") for kind, version in KINDS.items()]

    def uids(self):
        return {ref.kind: (thing := self.get(ref)) and (thing["metadata"]["uid"], "deletionTimestamp" in thing["metadata"])
                for ref in self.refs()}

    def kustomize(self, name, source, **spec):
        self.cluster.apply({"apiVersion": KUSTOMIZE, "kind": "Kustomization",
                            "metadata": {"name": name, "namespace": self.namespace},
                            "spec": {"interval": "10m", "retryInterval": "1s", "prune": True, "path": f"./{name}",
                                     "sourceRef": {"kind": source.kind, "name": source.name}, **spec}})
        return Ref(KUSTOMIZE, "Kustomization", self.namespace, name)

    def owners(self):
        return {self.get(ref)["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] for ref in self.refs()}

    def inventory(self, app):
        return {entry["id"] for entry in self.get(app)["status"].get("inventory", {}).get("entries", [])}

    def stay(self, name):
        return {f"{name}/stays.yaml": config_map(f"stays-{name}").replace("metadata:", f"metadata:\n  namespace: {self.namespace}")}

    def move(self, repository, source, origin, to, files):
        changes = {}
        for file, text in files.items():
            changes[f"{origin}/{file}"], changes[f"{to}/{file}"] = None, text
        return self.push(repository, source, changes)

    def tell(self, **second):
        files = self.things()
        repository = self.repository({**{f"one/{file}": text for file, text in files.items()}, **self.stay("one"), **self.stay("two")})
        source = self.stand.git_repository(self.namespace, "app", repository)
        one = self.kustomize("one", source)
        two = self.kustomize("two", source, **second)
        for app in (one, two):
            self.stand.await_ready(app, repository.head())
        before = self.uids()
        self.assertNotIn(None, before.values())
        for origin, to, app in (("one", "two", one), ("two", "one", two), ("one", "two", one)):
            commit = self.move(repository, source, origin, to, files)
            for each in (one, two):
                self.stand.await_ready(each, commit, within=40)
            self.assertEqual(self.uids(), before)
            self.assertEqual(self.owners(), {to})
            self.soon("the former owner forgets what it gave away", lambda: len(self.inventory(app)) == 1, about=app)
        commit = self.push(repository, source, {f"two/{file}": None for file in files})
        self.stand.await_ready(two, commit, within=40)
        for ref in self.refs():
            if ref.kind not in ("Namespace", "PersistentVolumeClaim"):  # those take their time to end
                self.soon(f"{ref} is pruned where nobody builds it", lambda ref=ref: self.get(ref) is None, about=two)
        for kind in ("Namespace", "PersistentVolumeClaim"):
            thing = self.uids()[kind]
            self.assertTrue(thing is None or thing[1], f"{kind} is not being deleted")

    def test_eight_objects_keep_their_identity_to_and_fro(self):
        self.tell()

    def test_also_where_one_waits_for_the_other(self):
        self.tell(dependsOn=[{"name": "one"}])

    def test_a_sibling_that_does_not_build_yet_gets_its_volume_when_it_does(self):
        files = self.things()
        repository = self.repository({**{f"one/{file}": text for file, text in files.items()}, **self.stay("one"), **self.stay("two")})
        source = self.stand.git_repository(self.namespace, "app", repository)
        one, two = self.kustomize("one", source), self.kustomize("two", source)
        for app in (one, two):
            self.stand.await_ready(app, repository.head())
        before = self.uids()
        changes = {f"one/{file}": None for file in files} | {f"two/{file}": text for file, text in files.items()}
        commit = self.push(repository, source, {**changes, "two/broken.yaml": "broken: [\n"})
        self.stand.await_failure(two, "BuildFailed", "broken.yaml")
        self.stand.await_ready(one, commit)
        self.assertEqual(self.uids(), before)
        commit = self.push(repository, source, {"two/broken.yaml": None})
        self.stand.await_ready(two, commit, within=40)
        self.assertEqual(self.uids(), before)
        self.soon("the former owner forgets them", lambda: len(self.inventory(one)) == 1, about=one)

    def test_one_is_renamed_into_another_in_one_commit_of_their_parent(self):
        files = self.things()

        def child(name):
            return (f"apiVersion: {KUSTOMIZE}\nkind: Kustomization\nmetadata: {{name: {name}, namespace: {self.namespace}}}\n"
                    "spec:\n  interval: 10m\n  retryInterval: 1s\n  prune: true\n  path: ./things\n"
                    "  sourceRef: {kind: GitRepository, name: app}\n")
        repository = self.repository({**{f"things/{file}": text for file, text in files.items()}, "parent/child.yaml": child("old")})
        source = self.stand.git_repository(self.namespace, "app", repository)
        parent = self.kustomize("parent", source)
        self.stand.await_ready(parent, repository.head())
        self.stand.await_ready(Ref(KUSTOMIZE, "Kustomization", self.namespace, "old"), repository.head())
        before = self.uids()
        commit = self.push(repository, source, {"parent/child.yaml": child("new")})
        self.stand.await_ready(parent, commit)
        self.stand.await_gone(Ref(KUSTOMIZE, "Kustomization", self.namespace, "old"))
        self.stand.await_ready(Ref(KUSTOMIZE, "Kustomization", self.namespace, "new"), commit)
        self.assertEqual(self.uids(), before)
        self.assertEqual(self.owners(), {"new"})


class WhatWasThereBefore(Story):
    def test_a_namespace_that_was_there_before_outlives_the_kustomization_that_renames_one_to_it(self):
        target = f"{self.namespace}-target"
        self.create_namespace(target)
        files = {"space.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: staging}\n", "a.yaml": config_map("a")}
        repository, source, app = self.app(files, targetNamespace=target)
        self.stand.await_ready(app, repository.head())
        space, inner = Ref("v1", "Namespace", "", target), Ref("v1", "ConfigMap", target, "a")
        uid = self.get(space)["metadata"]["uid"]
        self.assertIsNone(self.get(Ref("v1", "Namespace", "", "staging")))
        self.assertIn(f"_{target}__Namespace", {e["id"] for e in self.get(app)["status"]["inventory"]["entries"]})
        self.cluster.delete(app, wait=False)
        self.stand.await_gone(app)
        self.assertIsNone(self.get(inner))
        thing = self.get(space)
        self.assertEqual(thing["metadata"]["uid"], uid)
        self.assertNotIn("deletionTimestamp", thing["metadata"])
        events = [e["message"] for e in self.cluster.events(app)]
        self.assertTrue(any(f"Namespace/{target} left" in text for text in events), events)


class WhatOthersList(Story):
    def test_an_inventory_written_by_hand_in_another_namespace_holds_up_neither_pruning_nor_the_end(self):
        repository, source, app = self.app({"a.yaml": config_map("a"), "b.yaml": config_map("b")})
        self.stand.await_ready(app, repository.head())
        forger = f"{self.namespace}-forger"
        self.create_namespace(forger)
        forged = Ref(KUSTOMIZE, "Kustomization", forger, "forged")
        self.cluster.apply({"apiVersion": KUSTOMIZE, "kind": "Kustomization", "metadata": {"name": forged.name, "namespace": forger},
                            "spec": {"interval": "10m", "prune": False, "sourceRef": {"kind": "GitRepository", "name": "none"}}})
        self.addCleanup(self.cluster.kubectl, "delete", "kustomizations", "--all", "-n", forger, "--timeout=20s")
        self.stand.await_failure(forged, "ArtifactFailed", "not found")
        self.cluster.patch(forged, {"status": {"inventory": self.get(app)["status"]["inventory"]}}, subresource="status")
        commit = self.push(repository, source, {"b.yaml": None})
        self.stand.await_ready(app, commit)
        self.soon("b is pruned", lambda: self.get(Ref("v1", "ConfigMap", self.namespace, "b")) is None, about=app)
        self.cluster.delete(app, wait=False)
        self.stand.await_gone(app)
        self.assertIsNone(self.get(Ref("v1", "ConfigMap", self.namespace, "a")))


class WhatIsInside(Story):
    """A Namespace takes with it what is in it, so it goes last, and not while something is to stay."""

    def setUp(self):
        super().setUp()
        self.inner = f"{self.namespace}-inner"
        self.addCleanup(self.cluster.kubectl, "delete", "namespace", self.inner, "--wait=false", "--ignore-not-found")
        self.addCleanup(self.cluster.kubectl, "delete", "kustomizations", "--all", "-n", self.namespace, "--timeout=20s")
        self.space = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {self.inner}, labels: {{{LABEL}: ''}}}}\n"
        self.map = config_map("moved").replace("metadata:", f"metadata:\n  namespace: {self.inner}")
        self.ref = Ref("v1", "ConfigMap", self.inner, "moved")

    def kustomize(self, name, source):
        self.cluster.apply({"apiVersion": KUSTOMIZE, "kind": "Kustomization",
                            "metadata": {"name": name, "namespace": self.namespace},
                            "spec": {"interval": "10m", "retryInterval": "1s", "prune": True, "path": f"./{name}",
                                     "sourceRef": {"kind": source.kind, "name": source.name}}})
        return Ref(KUSTOMIZE, "Kustomization", self.namespace, name)

    def ends(self, namespace):
        thing = self.get(Ref("v1", "Namespace", "", namespace))
        return thing is None or "deletionTimestamp" in thing["metadata"]

    def stays(self, uid, during=3.0):
        end = time.monotonic() + during
        while time.monotonic() < end:
            self.assertFalse(self.ends(self.inner), "the Namespace is being deleted")
            self.assertEqual(self.get(self.ref)["metadata"]["uid"], uid)
            time.sleep(0.2)

    def message(self, app):
        return next(c["message"] for c in self.get(app)["status"]["conditions"] if c["type"] == "Ready")

    def told(self, app, text):
        return [e["message"] for e in self.cluster.events(app) if text in e["message"]]

    def test_a_commit_that_drops_a_namespace_and_hands_over_what_is_in_it_deletes_neither(self):
        repository = self.repository({"one/space.yaml": self.space, "one/moved.yaml": self.map,
                                      "two/space.yaml": config_map("other").replace("metadata:", f"metadata:\n  namespace: {self.namespace}")})
        source = self.stand.git_repository(self.namespace, "app", repository)
        one, two = self.kustomize("one", source), self.kustomize("two", source)
        for app in (one, two):
            self.stand.await_ready(app, repository.head())
        uid = self.get(self.ref)["metadata"]["uid"]
        commit = self.push(repository, source, {"one/space.yaml": None, "one/moved.yaml": None, "two/moved.yaml": self.map,
                                                "one/stays.yaml": config_map("stays").replace("metadata:", f"metadata:\n  namespace: {self.namespace}")})
        for app in (one, two):
            self.stand.await_ready(app, commit, within=40)
        self.soon("it is told", lambda: self.told(one, f"Namespace/{self.inner} left: "), about=one)
        self.assertIn(f"; not deleted yet: Namespace/{self.inner}: Kustomization/{self.namespace}/two builds ",
                      self.message(one))
        self.stays(uid)
        commit = self.push(repository, source, {"two/moved.yaml": None})
        for app in (one, two):
            self.stand.await_ready(app, commit, within=40)
        self.soon("nothing is in it any more, so it goes", lambda: self.ends(self.inner), within=45, about=one)

    def test_a_commit_that_drops_a_definition_leaves_it_while_a_sibling_builds_of_its_kind(self):
        group = f"{self.namespace}.example.com"
        crd = (f"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: gems.{group}}}\n"
               f"spec:\n  group: {group}\n  scope: Namespaced\n  names: {{kind: Gem, plural: gems}}\n  versions:\n"
               "  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: "
               "{type: object, x-kubernetes-preserve-unknown-fields: true}}}\n")
        stays = config_map("stays").replace("metadata:", f"metadata:\n  namespace: {self.namespace}")
        gem = f"apiVersion: {group}/v1\nkind: Gem\nmetadata: {{name: ruby, namespace: {self.namespace}}}\n"
        repository = self.repository({"one/crd.yaml": crd, "one/stays.yaml": stays, "two/gem.yaml": gem})
        source = self.stand.git_repository(self.namespace, "app", repository)
        one, two = self.kustomize("one", source), self.kustomize("two", source)
        for app in (one, two):
            self.stand.await_ready(app, repository.head(), within=30)
        definition = Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", f"gems.{group}")
        commit = self.push(repository, source, {"one/crd.yaml": None})
        for app in (one, two):
            self.stand.await_ready(app, commit, within=40)
        self.assertIn(f"; not deleted yet: CustomResourceDefinition/gems.{group}: Kustomization/{self.namespace}/two builds Gem/",
                      self.message(one))
        self.assertNotIn("deletionTimestamp", self.get(definition)["metadata"])
        commit = self.push(repository, source, {"two/gem.yaml": None, "two/other.yaml": stays.replace("name: stays", "name: other")})
        for app in (one, two):
            self.stand.await_ready(app, commit, within=40)
        self.soon("nothing is of its kind any more, so it goes", lambda: self.get(definition) is None, within=60, about=one)

    def test_what_is_not_to_be_pruned_keeps_its_namespace(self):
        keep = self.map.replace("name: moved", "name: moved\n  annotations: {kustomize.toolkit.fluxcd.io/prune: disabled}")
        stays = config_map("stays").replace("metadata:", f"metadata:\n  namespace: {self.namespace}")
        repository = self.repository({"one/space.yaml": self.space, "one/moved.yaml": keep, "one/stays.yaml": stays})
        source = self.stand.git_repository(self.namespace, "app", repository)
        one = self.kustomize("one", source)
        self.stand.await_ready(one, repository.head())
        uid = self.get(self.ref)["metadata"]["uid"]
        commit = self.push(repository, source, {"one/space.yaml": None, "one/moved.yaml": None})
        self.stand.await_ready(one, commit)
        self.stays(uid, 1)
        self.stand.await_ready(one, self.push(repository, source, {"one/stays.yaml": stays + "  more: x\n"}))  # and the next time
        self.stays(uid)
        self.cluster.delete(one, wait=False)
        self.stand.await_gone(one)
        self.stays(uid)
        self.assertTrue(self.told(one, f"Namespace/{self.inner} left: it would take ConfigMap/{self.inner}/moved with it"))


class WhoClaimsWhat(Story):
    def test_a_manifest_that_is_there_to_be_skipped_holds_back_nobodys_deletion(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a"), "b.yaml": config_map("b")})
        other = f"{self.namespace}-tenant"
        self.create_namespace(other)
        theirs = self.stand.repository(other)
        theirs.commit({"a.yaml": config_map("a").replace(
            "metadata:", "metadata:\n  annotations: {kustomize.toolkit.fluxcd.io/ssa: Ignore}")})
        claim = self.stand.kustomization(other, "claim", self.stand.git_repository(other, "app", theirs),
                                         targetNamespace=self.namespace, serviceAccountName="nobody-at-all")
        self.stand.await_ready(claim, theirs.head())
        commit = self.push(repository, source, {"a.yaml": None})
        self.stand.await_ready(app, commit)
        self.soon("it is pruned", lambda: self.get(self.config("a")) is None, about=app)


class WithoutPruning(Story):
    def test_what_leaves_the_folder_stays_in_the_cluster(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a"), "b.yaml": config_map("b")}, prune=False)
        uid = self.get(self.config("b"))["metadata"]["uid"]
        commit = self.push(repository, source, {"b.yaml": None})
        self.stand.await_ready(app, commit)
        self.stand.reconcile(app)
        self.stand.await_ready(app, commit)
        self.assertEqual(self.get(self.config("b"))["metadata"]["uid"], uid)
        self.cluster.delete(app, wait=False)
        self.stand.await_gone(app)
        self.assertEqual(self.get(self.config("b"))["metadata"]["uid"], uid)
        self.assertEqual(self.value("a"), "value")
