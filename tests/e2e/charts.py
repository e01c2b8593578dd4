#!/usr/bin/env python3
"""The charts, installed by the real helm on a real API server, and the daemons started as their Deployments say.

No kubelet runs here, so the pods' processes are started by hand: with the rendered arguments, the mounted folders and the
rights of the chart's service account. Exit status 77: skipped.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest
import urllib.request

import yaml

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from support.cluster import Cluster, KubectlError, Ref  # noqa: E402
from support.control_plane import ControlPlane  # noqa: E402
from support.daemons import NAMES, ROOT, our_binary  # noqa: E402
from support.eventually import eventually  # noqa: E402
from support.processes import Process, Skipped, free_ports, unwind_on_signals  # noqa: E402

SPACE = "gitops"  # not the one that the manifests name
REGISTRY = "registry.example.com/sluice"
HELMS_OWN = {"enabled", "global", "daemon"}  # keys that the umbrella and Helm add to what a daemon's chart has
GLOBAL = f"global.image.registry={REGISTRY}"


def helm_binary():
    """$SLUICE_HELM or `scripts/tools helm`, which builds it once."""
    if os.environ.get("SLUICE_HELM"):
        return os.environ["SLUICE_HELM"]
    built = subprocess.run([ROOT / "scripts/tools", "helm"], stdout=subprocess.PIPE, text=True)
    if built.returncode != 0:
        raise Skipped("scripts/tools helm failed")
    return pathlib.Path(built.stdout.strip().splitlines()[-1]) / "helm"


def deployment(name):
    return Ref("apps/v1", "Deployment", SPACE, name)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


class Charts(unittest.TestCase):
    """The tests follow each other, as their names say: each goes on where the one before has ended."""

    plane = cluster = helm_path = None

    def helm(self, *arguments, fails=False):
        folder = self.plane.folder / "helm"
        environment = {**os.environ, "KUBECONFIG": str(self.plane.kubeconfig), "HOME": str(folder),
                       **{f"HELM_{kind}_HOME": str(folder / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}}
        done = subprocess.run([self.helm_path, *arguments, f"--namespace={SPACE}"], cwd=ROOT, env=environment, text=True,
                              capture_output=True, timeout=120)
        self.assertEqual(done.returncode != 0, fails, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def container(self, name):
        return self.cluster.get(deployment(name))["spec"]["template"]["spec"]["containers"][0]

    def test_1_without_a_registry_nothing_is_installed_and_the_value_is_named(self):
        self.assertIn("image.registry", self.helm("install", "sluice", "charts/sluice", "--create-namespace", fails=True))
        for name in NAMES:
            self.assertIsNone(self.cluster.get(deployment(name)))

    def test_2_each_chart_passes_lint(self):
        for name in (*NAMES, "sluice"):
            with self.subTest(name):
                self.helm("lint", "--strict", f"charts/{name}", f"--set={GLOBAL}")

    def refused(self, chart, *settings):
        """What helm says; it must refuse."""
        return self.helm("template", "x", f"charts/{chart}", f"--set={GLOBAL}", "--kube-version=1.31.0", *settings, fails=True)

    def test_2b_a_value_that_is_not_there_or_has_another_type_is_refused_and_named(self):
        for chart, setting, named in (
                ("sluice", "kustomize-controller.rbac.clusteradmin=false", "'clusteradmin'"),
                ("sluice", "kustomizeController.rbac.clusterAdmin=false", "'kustomizeController'"),
                ("sluice", "kustomizecontroller.enabled=false", "'kustomizecontroller'"),
                ("sluice", "kustomize-controller.enable=false", "'enable'"),
                ("sluice", "kustomize-controller.enabled=nope", "/kustomize-controller/enabled"),
                ("sluice", "kustomize-controller.noCrossNamespaceRef=true", "'noCrossNamespaceRef'"),
                ("sluice", "notification-controller.admission.enable=false", "'enable'"),
                ("sluice", "source-controller.logLevel=verbose", "/logLevel"),
                ("sluice", "global.imag.tag=v9", "global.imag:"),
                ("sluice", "global.image.tog=v9", "global.image.tog:"),
                ("kustomize-controller", "rbac.clusterAdmin=nope", "/rbac/clusterAdmin"),
                ("kustomize-controller", "rbac.clusterAdmin=null", "'clusterAdmin'"),
                ("kustomize-controller", "watchAllNamespaces=null", "'watchAllNamespaces'"),
                ("kustomize-controller", "enabled=false", "enabled:"),
                ("kustomize-controller", "global.imag.tag=v9", "global.imag:"),
                ("notification-controller", "replicas=two", "/replicas"),
                ("source-controller", "storage.claim=data", "'claim'")):
            with self.subTest(setting, chart=chart):
                self.assertIn(named, self.refused(chart, f"--set={setting}"))
        self.assertIn("/rbac/clusterAdmin", self.refused("kustomize-controller", "--set-string=rbac.clusterAdmin=false"))

    def test_2c_the_schemas_and_the_templates_know_the_values_that_are_documented_and_no_others(self):
        def compare(values, schema, where, own=frozenset()):
            self.assertEqual(set(values), set(schema["properties"]) - own, where)
            self.assertIs(schema["additionalProperties"], False, where)
            for key, value in values.items():
                inner = schema["properties"][key]
                if isinstance(value, dict) and value and "properties" in inner:
                    compare(value, inner, f"{where}.{key}")

        for name in NAMES:
            with self.subTest(name):
                values = yaml.safe_load((ROOT / f"charts/{name}/values.yaml").read_text())
                compare(values, json.loads((ROOT / f"charts/{name}/values.schema.json").read_text()), name, HELMS_OWN)
                texts = "".join(path.read_text() for folder in (name, "daemon")
                                for path in (ROOT / f"charts/{folder}/templates").iterdir())
                used = set(re.findall(r"(?:\.Values|\$values|\$\.Values)\.(\w+)", texts)) - HELMS_OWN
                self.assertEqual(used, set(values))
        values = yaml.safe_load((ROOT / "charts/sluice/values.yaml").read_text())
        schema = json.loads((ROOT / "charts/sluice/values.schema.json").read_text())
        self.assertEqual(set(values), set(schema["properties"]) - {"daemon"})
        self.assertIs(schema["additionalProperties"], False)
        for name in NAMES:
            self.assertEqual(set(values[name]), set(schema["properties"][name]["properties"]))

    def test_2d_the_readme_installs_with_flags_that_there_are_and_applies_in_one_way(self):
        for path in ("README.md", "charts/README.md", "crds/README.md"):
            with self.subTest(path):
                forms = re.findall(r"kubectl apply .*", (ROOT / path).read_text())
                self.assertTrue(forms)
                self.assertEqual([form for form in forms if "apply --server-side -f" not in form], [])
        text = (ROOT / "README.md").read_text().replace("\\\n", " ")
        commands = re.findall(r"^(\w+-controller) (--.*)&$", text, re.M)
        self.assertGreaterEqual(len(commands), 2)
        for name, arguments in commands:
            help_text = subprocess.run([our_binary(name), "--help"], capture_output=True, text=True, check=True).stdout
            for flag in re.findall(r"--[\w-]+", arguments):
                self.assertRegex(help_text, rf"(?m)^\s+{flag}\s", f"{name} of the README")

    def test_3_the_umbrella_installs_all(self):
        self.cluster.apply(ROOT / "crds")
        notes = self.helm("install", "sluice", "charts/sluice", "--create-namespace", f"--set={GLOBAL}")
        self.assertIn("kustomize-controller IS bound to cluster-admin", notes)
        for name in NAMES:
            self.assertEqual(self.container(name)["image"], f"{REGISTRY}/{name}:0.1.0")
            spec = self.cluster.get(deployment(name))["spec"]["template"]["spec"]
            self.assertIsNotNone(self.cluster.get(Ref("v1", "ServiceAccount", SPACE, spec["serviceAccountName"])))
        self.assertIsNotNone(self.cluster.get(Ref("v1", "Service", SPACE, "source-controller")))

    def test_4_the_daemons_start_as_the_deployments_say_with_the_rights_of_the_chart(self):
        for name in NAMES:
            with self.subTest(name):
                self.run_pod(name)

    def leases_of(self, pod):
        return [each for each in self.cluster.list("coordination.k8s.io/v1", "Lease")
                if each["metadata"]["namespace"] == SPACE and (each["spec"].get("holderIdentity") or "").startswith(pod)]

    def run_pod(self, name):
        container, pod = self.container(name), self.cluster.get(deployment(name))["spec"]["template"]["spec"]
        ports = {port["name"]: free for port, free in zip(container["ports"], free_ports(len(container["ports"])))}
        folders = {mount["mountPath"]: self.plane.folder / f"{name}-{mount['name']}" for mount in container["volumeMounts"]}
        for folder in folders.values():
            folder.mkdir(exist_ok=True)
        token = self.cluster.kubectl("create", "token", pod["serviceAccountName"], "-n", SPACE).strip()
        kubeconfig = self.plane.folder / f"{name}.pod.kubeconfig"
        kubeconfig.write_text(re.sub(r"token: .*", f"token: {token}", self.plane.kubeconfig.read_text()))
        self.assertIn(token, kubeconfig.read_text())
        # What the kubelet does: fields of the pod, and $(NAME) in arguments.
        environment = {"RUNTIME_NAMESPACE": SPACE, "POD_NAME": f"{name}-0"}
        self.assertEqual({each["name"] for each in container["env"]}, set(environment))
        arguments = [argument.replace("$(RUNTIME_NAMESPACE)", SPACE) for argument in container["args"]]
        for path, folder in folders.items():
            arguments = [argument.replace(f"={path}", f"={folder}") for argument in arguments]
        arguments += [f"--metrics-addr=127.0.0.1:{ports['http-prom']}", f"--health-addr=127.0.0.1:{ports['healthz']}"]
        arguments += [f"--storage-addr=127.0.0.1:{ports['http']}"] if "http" in ports else []
        arguments += [f"--delivery-journal={folders['/tmp']}/journal"] if name == "notification-controller" else []
        daemon = Process(name, [our_binary(name), *arguments], self.plane.folder / f"{name}.log",
                         {**os.environ, **environment, "KUBECONFIG": str(kubeconfig), "TMPDIR": str(folders["/tmp"])})
        daemon.start()
        self.addCleanup(daemon.kill)
        ready = f"http://127.0.0.1:{ports['healthz']}{container['readinessProbe']['httpGet']['path']}"
        eventually(lambda: daemon.status is not None or answers(ready), 30, what=f"{name} is ready", context=daemon.log_tail)
        # It is ready once its caches are, and leads a moment later.
        eventually(lambda: len(self.leases_of(f"{name}-0")) == 1, 10, what=f"{name} leads", context=daemon.log_tail)
        self.assertEqual(daemon.stop(within=30), 0, daemon.log_tail())
        self.assertNotIn("forbidden", (self.plane.folder / f"{name}.log").read_text())

    def test_5_values_reach_the_arguments_and_daemons_can_be_left_out(self):
        notes = self.helm("upgrade", "sluice", "charts/sluice", f"--set={GLOBAL}", "--set=global.image.tag=v9",
                          "--set=kustomize-controller.concurrent=7", "--set=kustomize-controller.logLevel=debug",
                          "--set=kustomize-controller.extraArgs={--watch-label-selector=sharding.fluxcd.io/key=a}",
                          "--set=kustomize-controller.rbac.clusterAdmin=false", "--set=notification-controller.enabled=false")
        self.assertIn("kustomize-controller is NOT bound to cluster-admin", notes)
        self.assertIn("no defaultServiceAccount is set", notes)
        arguments = self.container("kustomize-controller")["args"]
        for wanted in ("--concurrent=7", "--log-level=debug", "--watch-label-selector=sharding.fluxcd.io/key=a"):
            self.assertIn(wanted, arguments)
        self.assertEqual(self.container("source-controller")["image"], f"{REGISTRY}/source-controller:v9")
        self.assertIsNone(self.cluster.get(deployment("notification-controller")))
        bindings = self.cluster.list("rbac.authorization.k8s.io/v1", "ClusterRoleBinding")
        admins = [each["metadata"]["name"] for each in bindings if each["roleRef"]["name"] == "cluster-admin"
                  and any(subject.get("namespace") == SPACE for subject in each.get("subjects") or [])]
        self.assertEqual(admins, [])

    def test_5b_kustomize_controller_may_impersonate_accounts_and_nobody_else(self):
        account = f"system:serviceaccount:{SPACE}:kustomize-controller"
        self.cluster.kubectl("auth", "can-i", "impersonate", "serviceaccounts", f"--as={account}")
        for what in ("groups", "users"):
            with self.subTest(what), self.assertRaises(KubectlError):  # exit status 1 is "no"
                self.cluster.kubectl("auth", "can-i", "impersonate", what, f"--as={account}")

    def test_5c_the_flux_cli_finds_the_daemons_and_their_kinds(self):
        wanted = "app.kubernetes.io/part-of=flux"  # what `flux check`, `flux version` and `flux logs` list by
        for kind in ("deployments", "crds"):
            found = self.cluster.kubectl("get", kind, "-n", SPACE, "-l", wanted, "-o", "name").split()
            self.assertGreaterEqual(len(found), 2, kind)
        labels = self.cluster.get(deployment("source-controller"))["spec"]["template"]["metadata"]["labels"]
        self.assertEqual(labels["app"], "source-controller")

    def test_5d_the_daemons_of_a_shared_cluster_and_of_a_shard_start_and_lead(self):
        self.run_pod("kustomize-controller")
        for value in ("sharding.fluxcd.io/key=a", "!sharding.fluxcd.io/key"):
            with self.subTest(value):
                self.helm("upgrade", "sluice", "charts/sluice", f"--set={GLOBAL}",
                          f"--set=source-controller.watchLabelSelector={value}")
                self.assertIn(f"--watch-label-selector={value}", self.container("source-controller")["args"])
                self.run_pod("source-controller")

    def binding(self, plural):
        return self.cluster.get(Ref("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", "",
                                    f"sluice-notification-controller-{plural}"))

    def test_5e_what_is_not_served_is_refused_where_the_daemon_watches_and_only_there(self):
        settings = ["upgrade", "sluice", "charts/sluice", f"--set={GLOBAL}"]
        shard = "--set=notification-controller.extraArgs={--watch-label-selector=sharding.fluxcd.io/key=a}"
        self.helm(*settings)
        for plural in ("providers", "alerts"):
            self.assertEqual(self.binding(plural)["spec"]["validationActions"], ["Deny"])
            self.assertFalse(self.binding(plural)["spec"].get("matchResources", {}).get("objectSelector"))
        value = "--set=notification-controller.watchLabelSelector=sharding.fluxcd.io/key=a"
        words = "--set=notification-controller.extraArgs={--watch-label-selector,sharding.fluxcd.io/key=a}"
        for each in (shard, value, words):
            with self.subTest(each):
                self.assertIn("admission.objectSelector", self.helm(*settings, each, fails=True))
        self.helm(*settings, shard, "--set=notification-controller.watchAllNamespaces=false",
                  "--set=notification-controller.admission.actions={Warn,Audit}",
                  "--set=notification-controller.admission.objectSelector.matchLabels.sharding\\.fluxcd\\.io/key=a")
        spec = self.binding("providers")["spec"]
        self.assertEqual(spec["validationActions"], ["Warn", "Audit"])
        self.assertEqual(spec["matchResources"]["objectSelector"]["matchLabels"], {"sharding.fluxcd.io/key": "a"})
        self.assertEqual(spec["matchResources"]["namespaceSelector"]["matchLabels"], {"kubernetes.io/metadata.name": SPACE})
        self.helm(*settings, shard, "--set=notification-controller.admission.enabled=false")
        self.assertIsNone(self.binding("alerts"))

    def test_6_uninstalling_leaves_the_custom_resources_alone(self):
        self.cluster.apply({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
                            "metadata": {"name": "kept", "namespace": SPACE},
                            "spec": {"url": "https://git.example.com/kept.git", "interval": "1h"}})
        self.helm("uninstall", "sluice")
        self.assertIsNotNone(self.cluster.get(Ref("source.toolkit.fluxcd.io/v1", "GitRepository", SPACE, "kept")))
        for name in NAMES:
            self.assertIsNone(self.cluster.get(deployment(name)))

    def test_7_one_daemon_alone(self):
        self.helm("install", "source", "charts/source-controller", f"--set=image.registry={REGISTRY}")
        self.assertIsNotNone(self.cluster.get(deployment("source-controller")))
        self.assertIsNone(self.cluster.get(deployment("kustomize-controller")))
        notes = self.helm("install", "kustomize", "charts/kustomize-controller", f"--set=image.registry={REGISTRY}",
                          "--set=rbac.clusterAdmin=false,defaultServiceAccount=tenant,noCrossNamespaceRefs=true")
        for words in ("NOT bound to cluster-admin", 'service account "tenant"', "may not use sources of other namespaces"):
            self.assertIn(words, notes)
        notes = self.helm("upgrade", "kustomize", "charts/kustomize-controller", f"--set=image.registry={REGISTRY}",
                          "--set=extraArgs={--default-service-account=tenant,--no-cross-namespace-refs}")
        for words in ("IS bound to cluster-admin", 'service account\n"tenant"', "may not use sources of other namespaces"):
            self.assertIn(words, notes)


def main():
    unwind_on_signals()
    try:
        for name in NAMES:
            our_binary(name)
        Charts.helm_path = helm_binary()
        with ControlPlane() as plane, Cluster(plane.bin / "kubectl", plane.kubeconfig) as cluster:
            Charts.plane, Charts.cluster = plane, cluster
            suite = unittest.defaultTestLoader.loadTestsFromTestCase(Charts)
            # Each test stands on the one before.
            return 0 if unittest.TextTestRunner(sys.stdout, verbosity=2, failfast=True).run(suite).wasSuccessful() else 1
    except Skipped as why:
        print(f"SKIPPED: {why}", file=sys.stderr)
        return 77


if __name__ == "__main__":
    sys.exit(main())
