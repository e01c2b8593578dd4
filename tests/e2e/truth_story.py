"""Sequences after which an object was wrong for ever while its Kustomization said Ready, and a Job that ran for ever."""
import time

from story import Story, config_map
from support.cluster import Ref

WEB = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "web:1"}]}
"""
JOB = """apiVersion: batch/v1
kind: Job
metadata: {name: once, annotations: {kustomize.toolkit.fluxcd.io/ssa: POLICY}}
spec:
  ttlSecondsAfterFinished: 0
  template: {spec: {restartPolicy: Never, containers: [{name: once, image: "job:TAG"}]}}
"""


class FieldsThatWeDoNotOwn(Story):
    def test_a_field_that_had_the_wanted_value_already_is_kept_at_it(self):
        for value, by_hand in ((10, False), (7, True)):  # the server's default; what another manager has set
            with self.subTest(value=value):
                name = f"web{value}"
                text = WEB.replace("name: web}", f"name: {name}}}", 1)
                web = Ref("apps/v1", "Deployment", self.namespace, name)
                repository, source, app = self.ready_app({"web.yaml": text}) if value == 10 else self.again(text)
                if by_hand:
                    self.patch(web, 7)
                commit = self.push(repository, source, {"web.yaml": text.replace("replicas: 0", f"replicas: 0\n  revisionHistoryLimit: {value}")})
                self.stand.await_ready(app, commit)
                self.patch(web, 3)
                self.soon("it is put back", lambda: self.get(web)["spec"]["revisionHistoryLimit"] == value, about=app)
                self.source = (repository, source, app)

    def again(self, text):
        repository, source, app = self.source
        self.stand.await_ready(app, self.push(repository, source, {"web.yaml": text}))
        return repository, source, app

    def patch(self, web, value):
        self.cluster.kubectl("patch", "deployment", web.name, "-n", web.namespace, "--type=merge", "--field-manager=tuner",
                             "-p", f'{{"spec": {{"revisionHistoryLimit": {value}}}}}')


class JobsThatVanish(Story):
    def end(self, job):
        """As a kubelet does it: the pod of the Job has done its work, and its controllers do the rest."""
        pods = [pod for pod in self.cluster.list("v1", "Pod", namespace=job.namespace, selector="job-name=" + job.name)
                if pod.get("status", {}).get("phase") == "Pending"]
        for pod in pods:
            self.cluster.kubectl("patch", "pod", pod["metadata"]["name"], "-n", job.namespace, "--subresource=status",
                                 "--type=merge", "-p", '{"status": {"phase": "Succeeded"}}')
        return pods

    def tell(self, policy):
        text = JOB.replace("POLICY", policy)
        repository, source, app = self.ready_app({"job.yaml": text.replace("TAG", "1"), "a.yaml": config_map("a")})
        job, seen = Ref("batch/v1", "Job", self.namespace, "once"), set()

        def finish():
            thing = self.soon("there is a Job", lambda: self.get(job), about=app)
            seen.add(thing["metadata"]["uid"])
            self.soon("it is said to be done", lambda: self.end(job), about=app)
            self.soon("its TTL deletes it", lambda: (self.get(job) or {}).get("metadata", {}).get("uid") not in seen, about=app)
        finish()
        # Drift elsewhere, and a commit that is about something else, are no reason to run it again.
        self.cluster.kubectl("patch", "configmap", "a", "-n", self.namespace, "--type=merge", "-p", '{"data": {"key": "x"}}')
        self.soon("drift is corrected", lambda: self.value("a") == "value", about=app)
        commit = self.push(repository, source, {"a.yaml": config_map("a", key="2")})
        self.stand.await_ready(app, commit)
        time.sleep(5)
        self.assertIsNone(self.get(job))
        self.stand.await_ready(app, commit)
        commit = self.push(repository, source, {"job.yaml": text.replace("TAG", "2")})
        self.stand.await_ready(app, commit)
        finish()
        self.assertEqual(len(seen), 2)
        self.stand.reconcile(app)
        self.soon("who asks for it gets it", lambda: self.get(job), about=app)

    def test_a_job_runs_once(self):
        self.tell("Override")

    def test_also_where_it_is_only_to_be_created(self):
        self.tell("IfNotPresent")


class Standing(Story):
    def test_what_stands_with_our_labels_is_known_though_the_first_run_fails(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a"), "b.yaml": config_map("b")}, deletionPolicy="Orphan")
        self.cluster.delete(app, wait=False)
        self.stand.await_gone(app)
        refused = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {key: [no, text]}\n"
        commit = self.push(repository, source, {"c.yaml": refused})
        self.stand.await_ready(source, commit)
        app = self.stand.kustomization(self.namespace, "app", source)
        self.stand.await_failure(app, "ReconciliationFailed", "ConfigMap")
        commit = self.push(repository, source, {"b.yaml": None, "c.yaml": None})
        self.stand.await_ready(app, commit)
        self.soon("what left the folder is pruned", lambda: self.get(self.config("b")) is None, about=app)
