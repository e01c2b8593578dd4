"""What all user stories share. A story is a class, a test one thing that a user relies on; each has its own namespace."""
import itertools
import re
import threading
import time
import unittest

from support.cluster import Ref
from support.eventually import eventually

_count, _lock = itertools.count(1), threading.Lock()
LABEL = "sluice-e2e"


def title(test):
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(test).__name__).lower()
    return f"{words}: {test._testMethodName.removeprefix('test_').replace('_', ' ')}"


def namespaces(stand):
    return [n["metadata"]["name"] for n in stand.cluster.list("v1", "Namespace", selector=LABEL)]


def leftovers(stand):
    """Why namespaces do not go away."""
    for namespace in namespaces(stand):
        thing = stand.cluster.get(Ref("v1", "Namespace", "", namespace))
        yield f"{namespace}: " + "; ".join(c["message"] for c in (thing or {}).get("status", {}).get("conditions", [])
                                           if c["status"] == "True")


def config_map(name, **data):
    text = "".join(f"  {key}: {value!r}\n" for key, value in data.items())
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n{text or '  key: value'}\n"


class Story(unittest.TestCase):
    ALONE = False
    stand = None

    def setUp(self):
        with _lock:
            self.namespace = f"s{next(_count)}-" + type(self).__name__.lower()[:40]
        self.cluster = self.stand.cluster
        self.create_namespace(self.namespace)

    def create_namespace(self, name):
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {LABEL: ""}}})
        self.addCleanup(self.cluster.kubectl, "delete", "namespace", name, "--wait=false", "--ignore-not-found")
        if self.stand.shared:
            self.stand.create_applier(name)

    # Making things

    def repository(self, files, name=""):
        repository = self.stand.repository(f"{self.namespace}{name}")
        repository.commit(files)
        return repository

    def app(self, files, source=None, **spec):
        """Repository, GitRepository and Kustomization, all named app; not awaited."""
        repository = self.repository(files)
        source = self.stand.git_repository(self.namespace, "app", repository, **(source or {}))
        return repository, source, self.stand.kustomization(self.namespace, "app", source, **spec)

    def ready_app(self, files, **spec):
        repository, source, app = self.app(files, **spec)
        self.stand.await_ready(app, repository.head())
        return repository, source, app

    def push(self, repository, source, changes, message="Change"):
        """Commits, and has the source look at once. Returns the commit's id."""
        commit = repository.commit(changes, message)
        self.stand.reconcile(source)
        return commit

    def secret(self, name, **data):
        self.cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": self.namespace},
                            "stringData": data})

    # Looking at things

    def config(self, name):
        return Ref("v1", "ConfigMap", self.namespace, name)

    def get(self, ref):
        return self.cluster.get(ref)

    def value(self, name, key="key"):
        thing = self.get(self.config(name))
        return thing and thing.get("data", {}).get(key)

    def soon(self, what, check, within=20, about=None, every=0.1):
        return eventually(check, within, every, what, (lambda: self.stand.describe(about)) if about else None)

    def snapshot(self, app):
        """Inventory id -> (uid, resourceVersion) of everything that the Kustomization has applied."""
        found = {}
        for entry in self.get(app)["status"].get("inventory", {}).get("entries", []):
            namespace, name, group, kind = entry["id"].split("_")
            thing = self.get(Ref(f"{group}/{entry['v']}" if group else entry["v"], kind, namespace, name))
            found[entry["id"]] = (thing["metadata"]["uid"], thing["metadata"]["resourceVersion"]) if thing else None
        return found

    def assert_untouched(self, app, before, during=0.0):
        """Nothing that was applied has changed, and nothing was dropped from the inventory."""
        time.sleep(during)
        self.assertTrue(before, "the snapshot is empty")
        self.assertEqual(self.snapshot(app), before)

    def fails(self, app, reason, *fragments, **options):
        """The object fails with that reason and message, and every object that was applied stays untouched."""
        before = self.snapshot(app) if app.kind == "Kustomization" else None
        thing = self.stand.await_failure(app, reason, *fragments, **options)
        if before:
            self.assert_untouched(app, before)
        return thing
