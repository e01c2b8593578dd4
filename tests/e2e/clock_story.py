"""A machine whose clock is hours off, as one without a battery may be: all is done, told once, and told of its time."""
import datetime
import time

from story import Story, config_map
from support import faketime
from support.cluster import Ref

HOURS = 3


class ClockSkew(Story):
    ALONE = True

    def skew(self, name, hours):
        """Starts the daemon again with another time of day."""
        if not faketime.library():
            self.skipTest("libfaketime is not installed")
        daemon = self.stand.daemons[name]
        usual = daemon.environment
        daemon.kill()
        daemon.environment = {**usual, **faketime.environment(hours)}
        daemon.start().await_ready()

        def back():
            daemon.kill()
            daemon.environment = usual
            daemon.start().await_ready()
        self.addCleanup(back)

    def check_all_is_done_and_told(self):
        path = f"/{self.namespace}"
        self.stand.alert(self.namespace, "hook", [Ref("", "Kustomization", "", "*")], path, type="generic")
        repository, source, app = self.ready_app({"a.yaml": config_map("a", key="1")}, source={"interval": "2s"})
        first = repository.head()
        self.soon("the first is told", lambda: self.told(path, first), about=app)
        # The Alert is changed: what happened before is not told anew, and what happens next is told.
        alert = Ref("notification.toolkit.fluxcd.io/v1beta3", "Alert", self.namespace, "hook")
        self.cluster.patch(alert, {"spec": {"eventMetadata": {"team": "blue"}}})
        self.soon("the change is in force", lambda: self.in_force(alert))
        commit = self.push(repository, source, {"a.yaml": config_map("a", key="2")})
        self.stand.await_ready(app, commit)
        self.soon("the second is told", lambda: self.told(path, commit), about=app)
        time.sleep(1)
        self.assertEqual([len(self.told(path, c)) for c in (first, commit)], [1, 1])
        self.cluster.patch(self.config("a"), {"data": {"key": "by hand"}})
        self.soon("drift is put back", lambda: self.value("a") == "2", about=app)
        ready = next(c for c in self.get(app)["status"]["conditions"] if c["type"] == "Ready")
        self.assertLess(abs(age(ready["lastTransitionTime"])), 300, "a condition tells the cluster's time")
        for event in self.cluster.events(app):
            self.assertLess(abs(age(event["lastTimestamp"])), 300, "an Event tells the cluster's time")

    def in_force(self, alert):
        found = self.get(alert)
        return any(c["type"] == "Listening" and c["observedGeneration"] == found["metadata"]["generation"]
                   for c in found["status"]["conditions"])

    def told(self, path, commit):
        return [m for m in self.stand.sink.received(path)
                if m.body["reason"] == "ReconciliationSucceeded" and commit in str(m.body["metadata"])]

    def test_kustomize_controller_ahead(self):
        self.skew("kustomize-controller", HOURS)
        self.check_all_is_done_and_told()

    def test_kustomize_controller_behind(self):
        self.skew("kustomize-controller", -HOURS)
        self.check_all_is_done_and_told()

    def test_notification_controller_ahead(self):
        self.skew("notification-controller", HOURS)
        self.check_all_is_done_and_told()

    def test_notification_controller_behind(self):
        self.skew("notification-controller", -HOURS)
        self.check_all_is_done_and_told()

    def test_source_controller_ahead(self):
        self.skew("source-controller", HOURS)
        self.check_all_is_done_and_told()

    def test_source_controller_behind(self):
        self.skew("source-controller", -HOURS)
        self.check_all_is_done_and_told()


def age(stamp):
    """Seconds since, by this machine's clock."""
    then = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    return (datetime.datetime.now(datetime.timezone.utc) - then).total_seconds()
