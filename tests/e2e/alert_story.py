"""What people are told: each thing once, in the format of the receiver, however long that one was away."""
import collections
import hashlib
import hmac
import time

from story import Story, config_map
from support.cluster import Ref
from support.webhook_sink import slack_text


class Alerts(Story):
    def setUp(self):
        super().setUp()
        self.sink, self.path = self.stand.sink, f"/{self.namespace}"

    def messages(self, *fragments):
        return [m for m in self.sink.received(self.path) if all(f in slack_text(m.body) for f in fragments)]

    def once(self, *fragments, within=20):
        """Exactly one message holds all of these."""
        self.soon(f"a message with {fragments}", lambda: self.messages(*fragments), within,
                  Ref("kustomize.toolkit.fluxcd.io/v1", "Kustomization", self.namespace, "app"))
        time.sleep(0.7)
        found = self.messages(*fragments)
        self.assertEqual(len(found), 1, [slack_text(m.body) for m in found])
        return found[0]

    def alert(self, name="chat", path=None, **options):
        sources = options.pop("sources", None)
        default = [Ref("", "GitRepository", "", "*"), Ref("", "Kustomization", "", "*")]
        self.stand.alert(self.namespace, name, sources or default, path or self.path, **options)

    def test_slack_is_told_of_a_commit_and_of_a_failure_once_each(self):
        self.alert()
        repository, source, app = self.ready_app({"a.yaml": config_map("a", key="1")})
        first = self.once("kustomization/app.", repository.head(), f"ConfigMap/{self.namespace}/a created")
        self.assertEqual(first.body["attachments"][0]["color"], "good")
        self.assertEqual(first.body["username"], "kustomize-controller")
        self.once("gitrepository/app.", "stored artifact")
        self.push(repository, source, {"b.yaml": "broken: [\n"})
        self.fails(app, "BuildFailed", "b.yaml")
        failure = self.once("kustomization/app.", "b.yaml")
        self.assertEqual(failure.body["attachments"][0]["color"], "danger")
        time.sleep(3)  # the failure goes on, and is retried each second
        self.assertEqual([slack_text(m.body) for m in self.messages("b.yaml")], [slack_text(failure.body)])
        commit = self.push(repository, source, {"a.yaml": config_map("a", key="2"), "b.yaml": None})
        self.stand.await_ready(app, commit)
        self.once("kustomization/app.", commit, f"ConfigMap/{self.namespace}/a configured")

    def test_a_failure_that_is_mended_by_a_revert_is_told_to_be_over_once(self):
        self.alert("chat")
        self.alert("hook", self.path + "/hook", type="generic")
        repository, source, app = self.ready_app({"a.yaml": config_map("a", key="1")})
        self.once("kustomization/app.", repository.head(), f"ConfigMap/{self.namespace}/a created")
        self.push(repository, source, {"b.yaml": "broken: [\n"})
        self.fails(app, "BuildFailed", "b.yaml")
        self.once("kustomization/app.", "b.yaml")
        reverted = self.push(repository, source, {"b.yaml": None})
        self.stand.await_ready(app, reverted)
        over = self.once("kustomization/app.", f"Applied revision: main@sha1:{reverted}", within=40)
        self.assertEqual(over.body["attachments"][0]["color"], "good")
        time.sleep(5)
        texts = [slack_text(m.body) for m in self.messages("kustomization/app.", reverted)]
        self.assertEqual(len(texts), 1, texts)  # and that in no other words
        # A webhook is sent the Event that makes the commit status, and needs no other.
        told = [m.body["message"] for m in self.sink.received(self.path + "/hook")
                if m.body["involvedObject"]["kind"] == "Kustomization" and reverted in str(m.body["metadata"])]
        self.assertEqual(len(told), 1, told)
        self.assertIn("Reconciliation finished", told[0])

    def test_generic_and_hmac(self):
        self.secret("sign", token="s3cret")
        self.alert("plain", self.path + "/plain", type="generic")
        self.alert("signed", self.path + "/signed", type="generic-hmac")
        self.cluster.patch(Ref("notification.toolkit.fluxcd.io/v1beta3", "Provider", self.namespace, "signed"),
                           {"spec": {"secretRef": {"name": "sign"}}})
        repository, source, app = self.ready_app({"a.yaml": config_map("a")})

        def about_app(path):
            # Not that it waited for its source, which it may have to.
            return [m for m in self.sink.received(path) if m.body["involvedObject"]["kind"] == "Kustomization"
                    and m.body["reason"] == "ReconciliationSucceeded"]
        plain = self.soon("the plain one arrives", lambda: about_app(self.path + "/plain"))[0]
        signed = self.soon("the signed one arrives", lambda: about_app(self.path + "/signed"))[0]
        headers = {key.lower(): value for key, value in signed.headers.items()}
        self.assertEqual(headers["x-signature"], "sha256=" + hmac.new(b"s3cret", signed.raw, hashlib.sha256).hexdigest())
        self.assertEqual(headers["gotk-component"], "kustomize-controller")
        self.assertEqual(plain.body["involvedObject"]["name"], "app")
        self.assertEqual(plain.body["severity"], "info")
        self.assertEqual(plain.body["reportingController"], "kustomize-controller")
        self.assertIn(repository.head(), str(plain.body["metadata"]))

    def test_severity_exclusion_and_suspension(self):
        self.alert("errors", self.path + "/errors", eventSeverity="error")
        self.alert("quiet", self.path + "/quiet", exclusionList=["b\\.yaml"])
        self.alert("off", self.path + "/off", suspend=True)
        self.alert("all", self.path + "/all")
        repository, source, app = self.ready_app({"a.yaml": config_map("a")})
        self.push(repository, source, {"b.yaml": "broken: [\n"})
        self.fails(app, "BuildFailed", "b.yaml")

        def texts(name):
            return [slack_text(m.body) for m in self.sink.received(f"{self.path}/{name}")]
        self.soon("the failure arrives", lambda: any("b.yaml" in t for t in texts("all")))
        self.soon("and at the one for errors", lambda: any("b.yaml" in t for t in texts("errors")))
        time.sleep(0.5)
        self.assertTrue(all("b.yaml" in t for t in texts("errors")), texts("errors"))
        self.assertFalse([t for t in texts("quiet") if "b.yaml" in t])
        self.assertTrue(texts("quiet"))
        self.assertEqual(texts("off"), [])
        self.stand.await_ready(app, self.push(repository, source, {"b.yaml": None}))

    def test_a_receiver_that_is_down_is_told_later_and_delays_nobody(self):
        down = self.path + "/down"
        self.sink.fail(down, 503)
        self.addCleanup(self.sink.heal, down)
        self.alert("down", down)
        self.alert("up", self.path)
        repository, source, app = self.ready_app({"a.yaml": config_map("a")})
        self.once("kustomization/app.", repository.head(), f"ConfigMap/{self.namespace}/a created")
        self.assertEqual(self.sink.received(down), [])
        self.soon("it was tried", lambda: self.sink.attempts[down] >= 1)
        self.sink.heal(down)
        self.soon("what was missed arrives", within=40, check=lambda: [
            m for m in self.sink.received(down) if repository.head() in slack_text(m.body)])
        time.sleep(1)
        counts = collections.Counter(slack_text(m.body) for m in self.sink.received(down))
        self.assertEqual(max(counts.values()), 1, counts)
