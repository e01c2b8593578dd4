"""What the API server refuses: named, nothing half done, and retried until it fits."""
import json
import time

from story import Story, config_map
from support.cluster import KubectlError, Ref
from support.conditions import condition

REFUSED = "ReconciliationFailed"


def service(cluster_ip):
    return ("apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  clusterIP: %s\n"
            "  selector: {app: web}\n  ports: [{port: 80}]\n" % cluster_ip)


def job(image, **annotations):
    notes = "".join(f"    {key}: {value}\n" for key, value in annotations.items())
    return ("apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: once\n" + (f"  annotations:\n{notes}" if notes else "")
            + "spec:\n  suspend: true\n  template:\n    spec:\n      restartPolicy: Never\n"
            f"      containers: [{{name: main, image: {image}}}]\n")


class Refused(Story):
    def refused(self, change, *fragments, **spec):
        """A commit that changes a good object and adds a refused one: neither may reach the cluster."""
        repository, source, app = self.ready_app({"a.yaml": config_map("a", key="one"), "gone.yaml": config_map("gone")},
                                                 **spec)
        self.push(repository, source, {"a.yaml": config_map("a", key="two"), "gone.yaml": None, **change})
        self.fails(app, REFUSED, *fragments)
        self.assertEqual(self.value("a"), "one")
        return repository, source, app

    def test_a_kind_that_the_cluster_does_not_know_yet(self):
        group = f"{self.namespace}.example.com"
        repository, source, app = self.refused(
            {"gem.yaml": f"apiVersion: {group}/v1\nkind: Gem\nmetadata: {{name: ruby}}\n"}, "Gem", "ruby")
        crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
               "metadata": {"name": f"gems.{group}"},
               "spec": {"group": group, "scope": "Namespaced", "names": {"kind": "Gem", "plural": "gems"},
                        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                            "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}}
        self.cluster.apply(crd)
        self.addCleanup(self.cluster.kubectl, "delete", "crd", f"gems.{group}", "--wait=false")
        # Its CRD has come by another way; the retry finds it without a restart.
        self.stand.await_ready(app, repository.head())
        self.assertEqual(self.value("a"), "two")

    def test_admission_policy(self):
        name = f"{self.namespace}-no-b"
        self.cluster.apply(
            {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
             "spec": {"failurePolicy": "Fail",
                      "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
                                                              "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}]},
                      "validations": [{"expression": "object.metadata.name != 'b'", "message": "no b in this house"}]}},
            {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
             "metadata": {"name": name},
             "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": {
                 "matchLabels": {"kubernetes.io/metadata.name": self.namespace}}}}})
        policy, binding = (f"validatingadmissionpolicy{end}/{name}" for end in ("", "binding"))
        self.addCleanup(self.cluster.kubectl, "delete", binding, policy, "--ignore-not-found")
        probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "namespace": self.namespace}}
        self.soon("the policy is in force", lambda: self.is_denied(probe))
        repository, source, app = self.refused({"b.yaml": config_map("b")}, "b", "no b in this house")
        self.cluster.kubectl("delete", binding, policy)
        self.stand.await_ready(app, repository.head())
        self.assertIsNotNone(self.value("b"))

    def is_denied(self, thing):
        try:
            self.cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(thing))
            return False
        except KubectlError as error:
            return "no b in this house" in str(error)

    def test_rbac_of_the_service_account(self):
        self.role(["configmaps"])
        repository, source, app = self.refused(
            {"s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: b}\n"},
            "secrets", "forbidden", serviceAccountName="deployer")
        self.role(["configmaps", "secrets"])
        self.stand.await_ready(app, repository.head())
        self.assertIsNotNone(self.get(Ref("v1", "Secret", self.namespace, "s")))

    def role(self, resources):
        meta = {"name": "deployer", "namespace": self.namespace}
        self.cluster.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta,
             "rules": [{"apiGroups": [""], "resources": resources, "verbs": ["*"]}]},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta,
             "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
             "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": self.namespace}]})

    def test_a_value_that_the_schema_forbids(self):
        repository, source, app = self.refused({"web.yaml": service("not-an-address")}, "Service", "web", "not-an-address")
        self.stand.await_ready(app, self.push(repository, source, {"web.yaml": None}))

    def test_a_namespace_that_does_not_exist(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a")})
        self.cluster.patch(app, {"spec": {"targetNamespace": f"{self.namespace}-x"}})
        self.fails(app, REFUSED, f"{self.namespace}-x")
        self.create_namespace(f"{self.namespace}-x")
        self.stand.await_ready(app)
        self.assertIsNone(self.get(self.config("a")), "it has moved")


class ImmutableFields(Story):
    def test_without_force_it_fails_and_the_old_object_stays(self):
        repository, source, app = self.ready_app({"job.yaml": job("one")})
        self.push(repository, source, {"job.yaml": job("two")})
        self.fails(app, REFUSED, "Job", "once", "immutable")
        self.stand.await_ready(app, self.push(repository, source, {"job.yaml": job("one")}))

    def test_with_force_it_is_recreated(self):
        repository, source, app = self.ready_app({"job.yaml": job("one")}, force=True)
        before = self.job()["metadata"]["uid"]
        self.stand.await_ready(app, self.push(repository, source, {"job.yaml": job("two")}))
        self.assertNotEqual(self.job()["metadata"]["uid"], before)
        self.assertEqual(self.job()["spec"]["template"]["spec"]["containers"][0]["image"], "two")

    def test_with_the_annotation_only_that_object_is_recreated(self):
        force = {"kustomize.toolkit.fluxcd.io/force": "enabled"}
        repository, source, app = self.ready_app({"job.yaml": job("one", **force), "a.yaml": config_map("a")})
        kept, replaced = self.get(self.config("a"))["metadata"]["uid"], self.job()["metadata"]["uid"]
        self.stand.await_ready(app, self.push(repository, source, {"job.yaml": job("two", **force)}))
        self.assertNotEqual(self.job()["metadata"]["uid"], replaced)
        self.assertEqual(self.get(self.config("a"))["metadata"]["uid"], kept)

    def job(self):
        return self.get(Ref("batch/v1", "Job", self.namespace, "once"))


class OtherManagers(Story):
    def test_a_field_that_another_manager_has_applied_is_taken_over(self):
        self.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": self.namespace},
                            "data": {"key": "theirs", "extra": "theirs"}}, manager="someone")
        repository, source, app = self.ready_app({"a.yaml": config_map("a", key="git")})
        self.assertEqual((self.value("a"), self.value("a", "extra")), ("git", "theirs"))

    def test_two_kustomizations_that_want_the_same_object_do_not_fight_in_silence(self):
        first, second = self.repository({"a.yaml": config_map("a", key="first")}, "-1"), self.repository(
            {"a.yaml": config_map("a", key="second")}, "-2")
        sources = [self.stand.git_repository(self.namespace, name, repo) for name, repo in (("one", first), ("two", second))]
        one = self.stand.kustomization(self.namespace, "one", sources[0])
        self.stand.await_ready(one)
        two = self.stand.kustomization(self.namespace, "two", sources[1], interval="10m")
        self.soon("the second has done what it can", about=two,
                  check=lambda: condition(self.stand.look(two), "Ready").get("status") in ("True", "False"))
        version = self.settled_version("a")
        writes = int(self.get(self.config("a"))["metadata"]["resourceVersion"]) - version
        self.assertEqual(writes, 0, "the object is still being written to in turns")

    def settled_version(self, name):
        time.sleep(2)
        version = int(self.get(self.config(name))["metadata"]["resourceVersion"])
        time.sleep(2)
        return version
