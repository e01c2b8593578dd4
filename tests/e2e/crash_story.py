"""Daemons that are killed, and an API server that goes away: the end state is exact, and all is told."""
import collections
import random
import re
import time

import story
from story import Story, config_map
from support.cluster import Ref
from support.daemons import NAMES

APPS = 50


class Rollout(Story):
    ALONE = True
    kills = collections.Counter()  # by daemon

    def files(self, value):
        return {f"apps/{i:02d}/{part}.yaml": config_map(f"{part}-{i:02d}", key=value)
                for i in range(APPS) for part in ("a", "b")}

    def test_killing_daemons_at_random_during_a_rollout_of_fifty_apps(self):
        seed = random.randrange(1 << 30)
        self.kills = collections.Counter()
        print(f"          seed of the kills: {seed}", flush=True)
        dice = random.Random(seed)
        path = f"/{self.namespace}"
        self.stand.alert(self.namespace, "hook", [Ref("", "Kustomization", "", "*")], path, type="generic")
        repository = self.repository(self.files("1"))
        source = self.stand.git_repository(self.namespace, "fleet", repository, interval="2s")
        apps = [self.stand.kustomization(self.namespace, f"app-{i:02d}", source, path=f"./apps/{i:02d}") for i in range(APPS)]
        for app in apps:
            self.stand.await_ready(app, repository.head(), within=60)
        commits = [repository.head()]
        for value in ("2", "3"):
            changes = self.files(value)
            if value == "3":
                changes.update({f"apps/{i:02d}/b.yaml": None for i in range(APPS)})
            commits.append(repository.commit(changes))
            self.stand.reconcile(source)
            for _ in range(5):
                time.sleep(dice.uniform(0.02, 0.5))
                name = dice.choice(NAMES)
                self.kills[name] += 1
                self.stand.daemons[name].restart()
            for daemon in self.stand.daemons.values():
                daemon.await_ready()
            for app in apps:
                self.stand.await_ready(app, commits[-1], within=90)
        self.check_exact()
        self.check_alerts(path, commits[-1])

    def check_exact(self):
        found = {c["metadata"]["name"]: c["data"]["key"] for c in self.cluster.list("v1", "ConfigMap", self.namespace)
                 if c["metadata"]["name"] != "kube-root-ca.crt"}
        self.assertEqual(found, {f"a-{i:02d}": "3" for i in range(APPS)})

    def check_alerts(self, path, last):
        """All was told, and nothing twice."""
        def finished():
            return collections.Counter(body["involvedObject"]["name"] for body in self.bodies(path)
                                       if body["reason"] == "ReconciliationSucceeded" and last in str(body.get("metadata")))

        def all_told():
            missing = sorted({f"app-{i:02d}" for i in range(APPS)} - set(finished()))
            assert not missing, "not told: " + "; ".join(f"{name} ({self.recorded(name, last)} Events)" for name in missing)
            return True
        self.soon("every app's last commit is told", all_told, 60)
        time.sleep(6)  # a state without an Event is told after three seconds here
        again = {name for name, count in finished().items() if count > 1}
        self.assertEqual([(b["involvedObject"]["name"], b["timestamp"], b["message"], b["metadata"]) for b in self.bodies(path)
                          if b["involvedObject"]["name"] in again and b["reason"] == "ReconciliationSucceeded"], [], "told again")
        told = collections.Counter((body["involvedObject"]["name"], re.sub(r"in [\d.]+[µm]?s", "in a while", body["message"]),
                                    str(body.get("metadata"))) for body in self.bodies(path))
        self.assertEqual({thing: count for thing, count in told.items() if count > 1}, {}, "told again")

    def recorded(self, name, commit):
        """How many Events say that the commit was reconciled; a daemon killed in between may have left none."""
        app = Ref("kustomize.toolkit.fluxcd.io/v1", "Kustomization", self.namespace, name)
        return sum(e["reason"] == "ReconciliationSucceeded" and commit in str(e["metadata"].get("annotations"))
                   for e in self.cluster.events(app))

    def bodies(self, path):
        """What a receiver knows that honours the Idempotency-Key: no one can know what a killed sender has sent."""
        messages = {message.headers["Idempotency-Key"]: message.body for message in self.stand.sink.received(path)}
        doubles = len(self.stand.sink.received(path)) - len(messages)
        self.assertLessEqual(doubles, self.kills["notification-controller"],
                             "more was sent twice than was in doubt when the sender was killed")
        return list(messages.values())


class Outages(Story):
    ALONE = True

    def test_the_api_server_goes_away_and_comes_back(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a", key="1")}, source={"interval": "2s"})
        pids = {name: daemon.pid for name, daemon in self.stand.daemons.items()}
        cpu = {name: daemon.cpu_seconds() for name, daemon in self.stand.daemons.items()}
        self.stand.plane.kill_api_server()
        commit = repository.commit({"a.yaml": config_map("a", key="2")})
        time.sleep(12)
        for name, daemon in self.stand.daemons.items():
            self.assertLess(daemon.cpu_seconds() - cpu[name], 2.0, f"{name} spins while the API server is away")
        self.stand.plane.restart_api_server()
        self.stand.await_ready(app, commit, within=60)
        self.cluster.patch(self.config("a"), {"data": {"key": "by hand"}})
        self.soon("drift is seen again", lambda: self.value("a") == "2", within=20, about=app)
        self.assertEqual({name: daemon.pid for name, daemon in self.stand.daemons.items() if daemon.is_running}, pids)

    def test_a_starting_api_server_that_knows_no_kinds_yet_makes_no_object_seem_gone(self):
        """For up to half a second it answers without any group of a CRD: what is to be deleted then is not gone."""
        group = f"{self.namespace}.example.com"
        gem = f"apiVersion: {group}/v1\nkind: Gem\nmetadata: {{name: %s}}\n"
        self.cluster.apply(
            {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"gems.{group}"},
             "spec": {"group": group, "scope": "Namespaced", "names": {"kind": "Gem", "plural": "gems"}, "versions": [
                 {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                     "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}})
        self.cluster.kubectl("wait", "--for=condition=Established", f"crd/gems.{group}", "--timeout=30s")
        names = [f"{what}-{i}" for what in ("pruned", "deleted") for i in range(6)]
        repository = self.repository({f"{name}/gem.yaml": gem % name for name in names}
                                     | {f"{name}/a.yaml": config_map(name) for name in names})
        source = self.stand.git_repository(self.namespace, "app", repository)
        apps = {name: self.stand.kustomization(self.namespace, name, source, path=f"./{name}") for name in names}
        for app in apps.values():
            self.stand.await_ready(app, repository.head())
        commit = self.push(repository, source, {f"{name}/gem.yaml": None for name in names if name.startswith("pruned")})
        doomed = [app for name, app in apps.items() if name.startswith("deleted")]
        for app in doomed:
            self.cluster.delete(app, wait=False)
        self.stand.plane.kill_api_server()  # in the middle of it, or before it has begun
        self.stand.plane.restart_api_server()
        gems = {name: Ref(f"{group}/v1", "Gem", self.namespace, name) for name in names}
        for name, app in apps.items():
            if name.startswith("pruned"):
                self.stand.await_ready(app, commit, within=60)
                self.assertNotIn("Gem", str(self.get(app)["status"]["inventory"]))
        self.soon("they are gone", lambda: not any(self.get(app) for app in doomed), within=60)
        self.assertEqual([name for name, gem in gems.items() if self.get(gem)], [], "left behind, and no longer known")

    def test_an_edit_made_while_the_daemon_was_dead_is_put_back(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a", key="git"), "b.yaml": config_map("b")})
        daemon = self.stand.daemons["kustomize-controller"]
        daemon.kill()
        self.cluster.patch(self.config("a"), {"data": {"key": "by hand"}})
        self.cluster.delete(self.config("b"))
        daemon.start().await_ready()
        self.soon("all is as in Git", lambda: self.value("a") == "git" and self.value("b"), about=app)

    def test_an_alert_of_what_happened_while_it_was_dead_is_sent_once(self):
        path = f"/{self.namespace}"
        self.stand.alert(self.namespace, "hook", [Ref("", "Kustomization", "", "*")], path, type="generic")
        repository, source, app = self.ready_app({"a.yaml": config_map("a", key="1")})
        self.soon("the first is told", lambda: self.told(path, repository.head()))
        daemon = self.stand.daemons["notification-controller"]
        daemon.kill()
        commit = self.push(repository, source, {"a.yaml": config_map("a", key="2")})
        self.stand.await_ready(app, commit)
        daemon.start().await_ready()
        self.soon("the missed one is told", lambda: self.told(path, commit))
        # What a receiver has taken is in doubt until that is noted; a kill in between is Rollout's matter.
        self.soon("that is noted", lambda: self.noted(app, commit))
        daemon.restart().await_ready()
        time.sleep(2)
        self.assertEqual(len(self.told(path, commit)), 1)
        self.assertEqual(len(self.told(path, repository.head())), 1)

    def noted(self, app, commit):
        """Whether the Event of the commit's success says that it was delivered."""
        return any(key.startswith("delivery.notification.toolkit.fluxcd.io/")
                   for e in self.cluster.events(app) if e["reason"] == "ReconciliationSucceeded"
                   for key in e["metadata"].get("annotations", {}) if commit in str(e["metadata"]["annotations"]))

    def told(self, path, commit):
        return [m for m in self.stand.sink.received(path)
                if m.body["reason"] == "ReconciliationSucceeded" and commit in str(m.body["metadata"])]

    def test_artifacts_survive_a_restart_of_the_source_controller(self):
        repository, source, app = self.ready_app({"a.yaml": config_map("a")})
        before = self.get(source)["status"]["artifact"]
        self.stand.daemons["source-controller"].restart().await_ready()
        token = self.stand.reconcile(source)
        self.soon("it is at work again", about=source,
                  check=lambda: self.get(source)["status"].get("lastHandledReconcileAt") == token)
        self.assertEqual(self.stand.await_ready(source)["status"]["artifact"], before)

    def test_a_settled_cluster_is_left_in_peace(self):
        self.soon("the namespaces of other stories are gone", lambda: story.namespaces(self.stand) == [self.namespace], 60)
        repository, source, app = self.ready_app({"a.yaml": config_map("a")})
        time.sleep(3)
        users = {name: f"flux-system/{name}" for name in NAMES}
        before = {name: self.stand.plane.requests_by(user) for name, user in users.items()}
        time.sleep(8)
        for name, user in users.items():
            made = self.stand.plane.requests_by(user) - before[name]
            made.pop("watch", None)  # a watch that ends is begun again
            self.assertLess(sum(made.values()), 5, f"{name} made {dict(made)} with nothing to do")
