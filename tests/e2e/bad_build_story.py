"""Commits that do not build: the message names file, object, line and cause, and the cluster stays as it is."""
from story import Story, config_map

PATH = ("ArtifactFailed", "InvalidPath", "BuildFailed")
DEPLOYMENT = ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 0\n"
              "  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n"
              "    spec: {containers: [{name: web, image: web}]}\n")


class BrokenCommits(Story):
    def breaks(self, change, *fragments, reason="BuildFailed"):
        """Starts with a good commit, pushes the bad one, looks, and heals it with a third."""
        repository, source, app = self.ready_app({"a.yaml": config_map("a", key="one"), "gone.yaml": config_map("gone")})
        # What a careless build would do: change a, prune gone.
        bad = self.push(repository, source, {"a.yaml": config_map("a", key="two"), "gone.yaml": None, **change})
        thing = self.fails(app, reason, *fragments)
        self.assertEqual(thing["status"]["lastAttemptedRevision"], f"main@sha1:{bad}")
        self.assertNotEqual(thing["status"]["lastAppliedRevision"], f"main@sha1:{bad}")
        good = self.push(repository, source, {path: None for path in change})
        self.stand.await_ready(app, good)
        self.assertEqual(self.value("a"), "two")
        self.assertIsNone(self.get(self.config("gone")))

    def test_yaml_that_does_not_parse(self):
        self.breaks({"b.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: b\n data: {}\n"}, "b.yaml", "line")

    def test_an_object_without_kind(self):
        self.breaks({"b.yaml": "apiVersion: v1\nmetadata:\n  name: b\n"}, "b.yaml", "kind")

    def test_an_object_without_name(self):
        self.breaks({"b.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  labels: {a: b}\n"}, "b.yaml", "name")

    def test_duplicates(self):
        self.breaks({"b.yaml": config_map("twice"), "c.yaml": config_map("twice")}, "ConfigMap", "twice")

    def test_a_patch_without_target(self):
        self.breaks({"kustomization.yaml": "resources: [a.yaml]\npatches:\n  - patch: |\n      apiVersion: apps/v1\n"
                                           "      kind: Deployment\n      metadata: {name: nobody}\n      spec: {replicas: 3}\n"},
                    "nobody")

    def test_a_resource_that_is_not_there(self):
        self.breaks({"kustomization.yaml": "resources: [a.yaml, nowhere.yaml]\n"}, "nowhere.yaml")

    def test_a_resource_outside_of_the_artifact(self):
        self.breaks({"kustomization.yaml": "resources: [a.yaml, ../../../../etc/passwd]\n"}, "etc/passwd")

    def test_a_remote_base_is_refused(self):
        self.breaks({"kustomization.yaml": "resources: [a.yaml, 'https://example.com/base.yaml']\n"}, "example.com")


class BrokenPaths(Story):
    def test_a_path_that_is_not_in_the_artifact(self):
        repository, source, app = self.ready_app({"deploy/a.yaml": config_map("a")}, path="./deploy")
        self.cluster.patch(app, {"spec": {"path": "./nowhere"}})
        self.fails(app, PATH, "nowhere")
        self.cluster.patch(app, {"spec": {"path": "./deploy"}})
        self.stand.await_ready(app)

    def test_a_folder_that_a_commit_removes(self):
        repository, source, app = self.ready_app({"deploy/a.yaml": config_map("a"), "x": ""}, path="./deploy")
        self.push(repository, source, {"deploy/a.yaml": None})
        self.fails(app, PATH, "deploy")
        self.stand.await_ready(app, self.push(repository, source, {"deploy/a.yaml": config_map("a", key="back")}))
        self.assertEqual(self.value("a"), "back")

    def test_a_path_that_leaves_the_artifact(self):
        repository, source, app = self.ready_app({"deploy/a.yaml": config_map("a")}, path="./deploy")
        self.cluster.patch(app, {"spec": {"path": "./../../../../../etc"}})
        self.fails(app, PATH, "etc")
        self.cluster.patch(app, {"spec": {"path": "./deploy"}})
        self.stand.await_ready(app)

    def test_patches_in_the_spec_are_checked_too(self):
        repository, source, app = self.ready_app({"web.yaml": DEPLOYMENT})
        self.cluster.patch(app, {"spec": {"patches": [{"patch": "- {op: test, path: /spec/replicas, value: 7}",
                                                       "target": {"kind": "Deployment"}}]}})
        self.fails(app, "BuildFailed", "replicas")
        self.cluster.patch(app, {"spec": {"patches": []}})
        self.stand.await_ready(app)
