"""An etcd that comes back from a backup: versions go back under daemons that go on."""
import time

from story import Story, config_map

MANY = 300


class Restore(Story):
    ALONE = True

    def test_an_etcd_that_is_restored_from_a_backup_leaves_nothing_waiting(self):
        plane = self.stand.plane
        repository, source, app = self.ready_app(
            {"app/a.yaml": config_map("a", key="1"), "app/b.yaml": config_map("b"), "doomed/d.yaml": config_map("d")},
            source={"interval": "5s"}, path="./app")
        doomed = self.stand.kustomization(self.namespace, "doomed", source, path="./doomed")
        self.stand.await_ready(doomed, repository.head())
        pids = {name: daemon.pid for name, daemon in self.stand.daemons.items()}
        with plane.stopped():
            plane.back_up()
        second = repository.commit({"app/a.yaml": config_map("a", key="2"), "app/b.yaml": None, "app/c.yaml": config_map("c")})
        for each in (app, doomed):
            self.stand.await_ready(each, second, within=60)
        for value in ("1", "2"):
            self.write_many(value)
        with plane.stopped():
            plane.put_back()
        third = repository.commit({"app/a.yaml": config_map("a", key="3"), "app/c.yaml": None})
        token = self.stand.reconcile(app)
        end = time.monotonic() + 90
        self.stand.await_ready(app, third, within=90)
        self.soon("the request is answered", lambda: self.get(app)["status"].get("lastHandledReconcileAt") == token,
                  within=end - time.monotonic(), about=app)
        self.assertEqual((self.value("a"), self.get(self.config("b")), self.get(self.config("c"))), ("3", None, None))
        self.cluster.delete(doomed, wait=False)
        self.stand.await_gone(doomed, within=30)
        self.assertIsNone(self.get(self.config("d")))
        self.cluster.patch(self.config("a"), {"data": {"key": "by hand"}})
        self.soon("drift is seen", lambda: self.value("a") == "3", about=app)
        self.assertEqual({name: daemon.pid for name, daemon in self.stand.daemons.items() if daemon.is_running}, pids)

    def write_many(self, value):
        self.cluster.apply(*({"apiVersion": "v1", "kind": "ConfigMap", "data": {"key": value},
                              "metadata": {"name": f"many-{i}", "namespace": self.namespace}} for i in range(MANY)))
