"""An API server that refuses, forgets and hangs up: the daemons go on where they were, without a restart or a storm."""
import time

from story import Story, config_map
from support.daemons import NAMESPACE
from support.flaky_api import FlakyApi


class BadDay(Story):
    """All daemons speak to the API server through a proxy that has faults on demand."""

    ALONE = True

    def setUp(self):
        super().setUp()
        self.api = FlakyApi(self.stand.plane)
        self.addCleanup(self.api.stop)
        self.addCleanup(self.through, None)
        self.through(self.api)

    def through(self, api):
        for name, daemon in self.stand.daemons.items():
            daemon.stop()
            direct = self.stand.plane.kubeconfig_for(f"{NAMESPACE}/{name}")
            config = api.kubeconfig(direct, self.stand.folder / f"{name}.flaky.kubeconfig") if api else direct
            daemon.environment["KUBECONFIG"] = str(config)
            daemon.start()
        for daemon in self.stand.daemons.values():
            daemon.await_ready()

    def rollout(self, value, apps, repository, source):
        commit = self.push(repository, source, {f"{i}/a.yaml": config_map(f"a-{i}", key=value) for i in range(len(apps))})
        for app in apps:
            self.stand.await_ready(app, commit, within=60)
        self.assertEqual({self.value(f"a-{i}") for i in range(len(apps))}, {value})

    def fleet(self, count=8):
        repository = self.repository({f"{i}/a.yaml": config_map(f"a-{i}", key="0") for i in range(count)})
        source = self.stand.git_repository(self.namespace, "app", repository)
        apps = [self.stand.kustomization(self.namespace, f"app-{i}", source, path=f"./{i}") for i in range(count)]
        for app in apps:
            self.stand.await_ready(app, within=40)
        return apps, repository, source

    def test_storms_of_409_and_429_pass(self):
        apps, repository, source = self.fleet()
        self.api.refuse = 0.4
        self.rollout("1", apps, repository, source)
        self.assertGreater(self.api.refused[429] + self.api.refused[409], 3, "the storm was none")
        self.api.refuse = 0
        self.rollout("2", apps, repository, source)

    def test_watches_that_are_cut_or_expire_are_begun_again(self):
        apps, repository, source = self.fleet(3)
        for round, fault in enumerate((self.api.cut_watches, self.api.expire_watches), 1):
            self.assertGreater(fault(), 3)
            self.rollout(str(round), apps, repository, source)
            self.cluster.patch(self.config("a-0"), {"data": {"key": "by hand"}})
            self.soon("drift is seen again", lambda: self.value("a-0") == str(round), about=apps[0])  # noqa: B023

    def test_server_errors_are_no_reason_to_spin(self):
        apps, repository, source = self.fleet(3)
        self.api.refuse, self.api.with_status = 1.0, (500,)
        commit = self.push(repository, source, {"0/a.yaml": config_map("a-0", key="1")})
        cpu = {name: daemon.cpu_seconds() for name, daemon in self.stand.daemons.items()}
        time.sleep(8)
        for name, daemon in self.stand.daemons.items():
            self.assertLess(daemon.cpu_seconds() - cpu[name], 2.0, f"{name} spins")
        self.assertLess(self.api.refused[500], 400)
        self.api.refuse = 0
        self.stand.await_ready(apps[0], commit, within=60)
