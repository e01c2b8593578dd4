"""What is secret stays so, whatever goes wrong with it."""
from story import Story


class Secrets(Story):
    def assert_silent(self, app, *values):
        told = self.cluster.yaml(app) + "".join(e.get("message", "") for e in self.cluster.events(app))
        told += self.stand.daemons["kustomize-controller"].log_tail(2000)
        for value in values:
            self.assertNotIn(value, told)

    def test_the_servers_words_about_a_secret_that_it_refuses_are_masked(self):
        secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: pin}\ndata: {pin: 987654321}\n"
        repository, source, app = self.app({"secret.yaml": secret}, retryInterval="2s")
        self.stand.await_failure(app, "ReconciliationFailed", "pin")
        self.assert_silent(app, "987654321")

    def test_a_substituted_value_that_the_server_refuses_is_masked(self):
        self.secret("values", password="not_a-NAME-at-all")
        broken = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '${password}'}\n"
        repository, source, app = self.app(
            {"broken.yaml": broken}, retryInterval="2s",
            postBuild={"substituteFrom": [{"kind": "Secret", "name": "values"}]})
        self.stand.await_failure(app, "ReconciliationFailed")
        self.assert_silent(app, "not_a-NAME-at-all")

    def test_what_is_made_of_a_substituted_value_is_masked_too_and_in_the_next_run_that_builds_nothing(self):
        self.secret("values", password="not_a-name-at-all")
        broken = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '%s'}\n"
        repository, source, app = self.app(
            {"whole.yaml": broken % "${password^^}", "part.yaml": broken % "${password:0:12}"}, retryInterval="1h",
            postBuild={"substituteFrom": [{"kind": "Secret", "name": "values"}]})
        self.stand.await_failure(app, "ReconciliationFailed")
        self.assert_silent(app, "NOT_A-NAME-AT-ALL", "not_a-name-a")
        token = self.stand.reconcile(app)
        self.soon("it was tried again", check=lambda: self.get(app)["status"].get("lastHandledReconcileAt") == token)
        self.assert_silent(app, "NOT_A-NAME-AT-ALL", "not_a-name-a")
