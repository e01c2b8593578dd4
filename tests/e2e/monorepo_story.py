"""Many apps in one repository: a commit costs what it touches. The counters of /metrics are the daemon's, so: alone."""
import re

import story
from story import Story, config_map

APPS = 40


class OneAppOfMany(Story):
    ALONE = True

    def builds(self):
        """result -> how many builds kustomize-controller counts."""
        text = self.stand.daemons["kustomize-controller"].metrics()
        found = re.findall(r'^sluice_kustomize_builds_total\{result="(\w+)"\} (\d+)', text, re.M)
        return {"done": 0, "skipped": 0, **{result: int(count) for result, count in found}}

    def rise(self, before):
        now = self.builds()
        return {result: now[result] - before[result] for result in now}

    def roll_out(self, repository, source, apps, changes):
        """Commits, waits for every app to have the commit, and returns how the counters rose."""
        before = self.builds()
        commit = self.push(repository, source, changes)
        for app in apps:
            self.stand.await_ready(app, commit)
        return self.rise(before)

    def test_a_commit_builds_the_apps_that_it_touches_and_no_other(self):
        # Those of earlier stories are reconciled, and counted, until they are gone.
        self.soon("the namespaces of other stories are gone", lambda: story.namespaces(self.stand) == [self.namespace], 60)
        files = {"base/kustomization.yaml": "resources: [a.yaml]\n", "base/a.yaml": config_map("a", key="one")}
        for i in range(APPS):
            resources = "resources: [../base]\n" if i < 3 else "resources: [a.yaml]\n"
            files[f"app{i}/kustomization.yaml"] = f"namePrefix: p{i}-\n" + resources
            if i >= 3:
                files[f"app{i}/a.yaml"] = config_map("a", key="one")
        repository = self.repository(files)
        source = self.stand.git_repository(self.namespace, "all", repository)
        before = self.builds()
        apps = [self.stand.kustomization(self.namespace, f"app{i}", source, path=f"./app{i}") for i in range(APPS)]
        for app in apps:
            self.stand.await_ready(app, repository.head())
        self.assertEqual(self.rise(before)["done"], APPS)

        rise = self.roll_out(repository, source, apps, {"app7/a.yaml": config_map("a", key="two")})
        self.assertEqual(rise, {"done": 1, "skipped": APPS - 1})
        self.assertEqual(self.value("p7-a"), "two")
        self.assertEqual(self.value("p8-a"), "one")
        # Whom a commit changes has it before anybody else writes down that it came.
        versions = [int(self.stand.cluster.get(app)["metadata"]["resourceVersion"]) for app in apps]
        self.assertEqual(min(versions), versions[7])

        rise = self.roll_out(repository, source, apps, {"base/a.yaml": config_map("a", key="three")})
        self.assertEqual(rise, {"done": 3, "skipped": APPS - 3})
        self.assertEqual([self.value(f"p{i}-a") for i in (0, 1, 2, 8)], ["three"] * 3 + ["one"])

        rise = self.roll_out(repository, source, apps, {"README.yaml": "of no app\n"})
        self.assertEqual(rise, {"done": 0, "skipped": APPS})
