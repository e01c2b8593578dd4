"""Daemons that --events-addr points at upstream's event server: it is told what the Events tell, in its own format."""
import time

from story import Story, config_map


class EventServer(Story):
    ALONE = True

    def setUp(self):
        super().setUp()
        self.path = f"/{self.namespace}/events"
        self.daemon = self.stand.daemons["kustomize-controller"]
        self.daemon.stop()
        self.daemon.command.append(f"--events-addr={self.stand.sink.url}{self.path}")
        self.addCleanup(self.back)
        self.daemon.start().await_ready()

    def back(self):
        self.daemon.stop()
        self.daemon.command.pop()
        self.daemon.start().await_ready()

    def told(self, reason):
        return [m.body for m in self.stand.sink.received(self.path)
                if m.body["reason"] == reason and m.body["involvedObject"]["namespace"] == self.namespace]

    def test_it_is_told_in_its_format_and_later_where_it_is_away_for_a_moment(self):
        self.stand.sink.fail(self.path, 503, times=2)
        repository, source, app = self.ready_app({"a.yaml": config_map("a", key="1")})
        self.soon("it is told, once it answers", lambda: self.told("ReconciliationSucceeded"))
        finished, = self.told("ReconciliationSucceeded")
        group = "kustomize.toolkit.fluxcd.io"
        self.assertEqual(finished["involvedObject"]["uid"], self.get(app)["metadata"]["uid"])
        self.assertEqual((finished["involvedObject"]["kind"], finished["involvedObject"]["name"]), ("Kustomization", "app"))
        self.assertEqual((finished["severity"], finished["reportingController"]), ("info", "kustomize-controller"))
        self.assertEqual(finished["metadata"][f"{group}/revision"], f"main@sha1:{repository.head()}")
        self.assertEqual(finished["metadata"][f"{group}/commit_status"], "update")
        applied, = self.told("Progressing")
        self.assertEqual(applied["message"], f"ConfigMap/{self.namespace}/a created")
        self.push(repository, source, {"b.yaml": "broken: [\n"})
        self.fails(app, "BuildFailed", "b.yaml")
        self.soon("the failure is told", lambda: self.told("BuildFailed"))
        self.assertEqual(self.told("BuildFailed")[0]["severity"], "error")

    def test_what_it_calls_a_repetition_is_not_sent_again_and_holds_nothing_up(self):
        self.stand.sink.fail(self.path, 429, times=1)
        self.ready_app({"a.yaml": config_map("a", key="1")})
        self.soon("what comes after it arrives", lambda: self.told("ReconciliationSucceeded"))
        time.sleep(3)  # longer than the pauses before what is sent again
        self.assertEqual(self.stand.sink.attempts[self.path], len(self.stand.sink.received(self.path)) + 1)
