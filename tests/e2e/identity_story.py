"""Ready means that whoever applies may do so: rights that are lost, and accounts that never were, are found out."""
import time

from story import Story, config_map
from support.cluster import Ref
from support.conditions import condition

REFUSED = "ReconciliationFailed"
RBAC = "rbac.authorization.k8s.io/v1"


class Deployed(Story):
    """An account that may write ConfigMaps, as long as its RoleBinding is there."""

    def setUp(self):
        super().setUp()
        self.meta = {"name": "deployer", "namespace": self.namespace}
        self.cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": self.meta},
                           {"apiVersion": RBAC, "kind": "Role", "metadata": self.meta,
                            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]})
        self.grant()

    def grant(self):
        self.cluster.apply({"apiVersion": RBAC, "kind": "RoleBinding", "metadata": self.meta,
                            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
                            "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": self.namespace}]})

    def revoke(self):
        self.cluster.delete(Ref(RBAC, "RoleBinding", self.namespace, "deployer"))

    def deployed(self, **spec):
        return self.ready_app({"app/a.yaml": config_map("a")},
                              **{"path": "./app", "serviceAccountName": "deployer", **spec})

    def stays_refused(self, app, seconds=4.0):
        """Through several retries, that nobody asked for, the answer is the same."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ready = condition(self.stand.look(app), "Ready")
            self.assertEqual((ready["status"], ready["reason"]), ("False", REFUSED), ready)
            time.sleep(0.1)


class Identity(Deployed):
    def test_a_request_finds_lost_rights_and_no_retry_or_commit_forgets_it(self):
        repository, source, app = self.deployed()
        first = repository.head()
        self.revoke()
        self.stand.reconcile(app)
        self.fails(app, REFUSED, "forbidden", "deployer")
        self.stays_refused(app)
        second = self.push(repository, source, {"elsewhere.yaml": config_map("b")})
        self.soon("the commit was tried", about=app,
                  check=lambda: self.get(app)["status"]["lastAttemptedRevision"].endswith(second))
        self.stays_refused(app)
        self.assertTrue(self.get(app)["status"]["lastAppliedRevision"].endswith(first))
        self.grant()
        self.stand.await_ready(app, second)

    def test_lost_rights_are_found_within_five_intervals_that_nobody_disturbs(self):
        repository, source, app = self.deployed(interval="2s")
        self.revoke()
        self.fails(app, REFUSED, "forbidden", within=20)
        self.stays_refused(app)
        self.grant()
        self.stand.await_ready(app)

    def test_another_identity_is_verified_at_once_even_one_that_never_existed(self):
        repository, source, app = self.deployed()
        self.cluster.patch(app, {"spec": {"serviceAccountName": "ghost"}})
        self.fails(app, REFUSED, "forbidden", "ghost")
        self.stays_refused(app)
        self.cluster.patch(app, {"spec": {"serviceAccountName": "deployer"}})
        self.stand.await_ready(app)

    def test_a_commit_is_not_applied_by_an_account_that_never_existed(self):
        repository, source, app = self.app({"a.yaml": config_map("a")}, serviceAccountName="ghost")
        self.fails(app, REFUSED, "forbidden", "ghost")
        self.push(repository, source, {"b.yaml": config_map("b")})
        self.stays_refused(app)
        self.assertIsNone(self.get(app)["status"].get("lastAppliedRevision"))


class TheEnd(Deployed):
    """A Kustomization can go, whatever has become of its account and of the rest of its spec."""

    def test_without_rights_it_says_so_and_goes_once_they_are_granted(self):
        repository, source, app = self.deployed()
        self.revoke()
        self.cluster.delete(app, wait=False)
        self.stand.await_failure(app, ("Failed", "PruneFailed"), "pruning for deleted resource failed", "forbidden", "deployer")
        self.assertIsNotNone(self.value("a"))
        self.grant()
        self.stand.await_gone(app)
        self.assertIsNone(self.get(self.config("a")))

    def test_when_the_account_is_gone_it_goes_and_tells_what_it_leaves(self):
        repository, source, app = self.deployed()
        self.revoke()
        self.cluster.delete(Ref("v1", "ServiceAccount", self.namespace, "deployer"))
        self.cluster.delete(app, wait=False)
        self.stand.await_gone(app)
        self.assertIsNotNone(self.value("a"))
        self.soon("an Event lists it", lambda: any(
            "unable to prune objects: " in event["message"] and f"ConfigMap/{self.namespace}/a" in event["message"]
            for event in self.cluster.events(app)))

    def test_a_spec_that_cannot_be_read_holds_it_not(self):
        repository, source, app = self.deployed()
        self.cluster.patch(app, {"spec": {"interval": "99999999h"}})
        self.stand.await_failure(app, "InvalidSpec", "interval", stalled=True)
        self.cluster.delete(app, wait=False)
        self.stand.await_gone(app)
        self.assertIsNone(self.get(self.config("a")))


class TheEndWithFewRights(Deployed):
    def test_it_waits_for_the_end_of_what_it_may_not_watch_and_tells_what_it_cannot_see(self):
        self.cluster.apply({"apiVersion": RBAC, "kind": "Role", "metadata": self.meta, "rules": [
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch", "update", "delete"]}]})
        for is_told in (False, True):
            with self.subTest(is_told=is_told):
                name = f"app{int(is_told)}"
                repository = self.repository({"a.yaml": config_map("a")}, f"-{name}")
                source = self.stand.git_repository(self.namespace, name, repository)
                app = self.stand.kustomization(self.namespace, name, source, serviceAccountName="deployer",
                                               deletionPolicy="WaitForTermination", timeout="30s")
                self.stand.await_ready(app)
                self.finalizers(["example.com/hold"])
                self.addCleanup(self.finalizers, None)
                self.cluster.delete(app, wait=False)
                self.soon("it is being deleted", about=app,
                          check=lambda: "deletionTimestamp" in self.get(self.config("a"))["metadata"])
                time.sleep(4)
                self.assertIsNotNone(self.get(app), "its object is not gone")
                if is_told:
                    self.revoke()
                    self.soon("an Event tells of it", within=60, check=lambda: any(  # noqa: B023
                        "failed to wait for resources termination" in event["message"] and "not known" in event["message"]
                        and f"ConfigMap/{self.namespace}/a" in event["message"] for event in self.cluster.events(app)))  # noqa: B023
                else:
                    self.finalizers(None)
                self.stand.await_gone(app)

    def finalizers(self, names):
        if self.get(self.config("a")):
            # As an operator does: what kubectl has set is taken over, and so taken off.
            self.cluster.patch(self.config("a"), {"metadata": {"finalizers": names}}, manager="operator")


class IdentityAcrossRestarts(Deployed):
    ALONE = True

    def test_a_daemon_that_starts_believes_nothing(self):
        repository, source, app = self.deployed()
        self.revoke()
        self.stand.stop_daemon("kustomize-controller")
        self.stand.start_daemon("kustomize-controller").await_ready()
        self.fails(app, REFUSED, "forbidden", "deployer")
        self.stays_refused(app)
        self.grant()
        self.stand.await_ready(app)

