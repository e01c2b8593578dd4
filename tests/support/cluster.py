"""A cluster as an independent client sees it: written to with kubectl, as people do, and read through `kubectl proxy`,
which costs no process per look and understands any kubeconfig."""
import collections
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

import yaml

from support.eventually import eventually
from support.processes import Process

Ref = collections.namedtuple("Ref", "api_version kind namespace name")
Ref.__str__ = lambda self: f"{self.kind} {self.namespace + '/' if self.namespace else ''}{self.name}"


def ref_of(thing):
    return Ref(thing["apiVersion"], thing["kind"], thing["metadata"].get("namespace", ""), thing["metadata"]["name"])


class KubectlError(Exception):
    pass


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Cluster:
    """Starts its proxy on entry, stops it on exit. Any thread may use it."""

    def __init__(self, kubectl, kubeconfig):
        self.kubectl_binary = str(kubectl)
        self.kubeconfig = str(kubeconfig)
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-kubectl-"))  # 0700: who reaches the socket is admin
        self._socket = str(self._folder / "proxy")
        self._environment = {**os.environ, "KUBECONFIG": self.kubeconfig, "KUBECACHEDIR": str(self._folder / "cache")}
        self._proxy = Process("kubectl-proxy", [self.kubectl_binary, "proxy", f"--unix-socket={self._socket}"],
                              self._folder / "proxy.log", self._environment)
        self._local = threading.local()
        self._resources = {}

    def __enter__(self):
        self._proxy.start()
        eventually(lambda: os.path.exists(self._socket) or not self._proxy.is_running, 15, what="kubectl proxy listens")
        if not self._proxy.is_running:
            raise KubectlError(self._proxy.log_tail())
        return self

    def __exit__(self, *_):
        self._proxy.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    # Writing

    def kubectl(self, *arguments, input=None, timeout=60):
        done = subprocess.run([self.kubectl_binary, *map(str, arguments)], input=input, text=True, capture_output=True,
                              env=self._environment, timeout=timeout)
        if done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *objects, manager="kubectl", force=True):
        """Server-side apply of objects, YAML text, or files and folders (pathlib.Path)."""
        for path in [each for each in objects if isinstance(each, pathlib.Path)]:
            self.kubectl("apply", "--server-side", f"--field-manager={manager}", f"--force-conflicts={force}".lower(),
                         "-f", path)
        texts = [each if isinstance(each, str) else yaml.safe_dump(each)
                 for each in objects if not isinstance(each, pathlib.Path)]
        if texts:
            self.kubectl("apply", "--server-side", f"--field-manager={manager}", f"--force-conflicts={force}".lower(),
                         "-f", "-", input="---\n".join(texts))

    def patch(self, ref, change, subresource=None, manager="kubectl-edit"):
        """Merge patch, as `kubectl edit` sends."""
        extra = [f"--subresource={subresource}"] if subresource else []
        self.kubectl("patch", self._type(ref), ref.name, *self._in(ref), "--type=merge", f"--field-manager={manager}",
                     f"--patch={json.dumps(change)}", *extra)

    def create(self, thing):
        """POST of one object; a tenth of what kubectl takes, for those who make hundreds."""
        ref = ref_of(thing)
        self._checked(*self._request(self._path(ref), json.dumps(thing)), ref, 201)

    def delete(self, ref, wait=True):
        self.kubectl("delete", self._type(ref), ref.name, *self._in(ref), "--ignore-not-found",
                     f"--wait={str(wait).lower()}")

    def annotate(self, ref, key, value):
        self.patch(ref, {"metadata": {"annotations": {key: value}}})

    # Reading

    def get(self, ref):
        """The object, or None."""
        status, answer = self._request(f"{self._path(ref)}/{urllib.parse.quote(ref.name)}")
        if status == 404:
            return None
        return self._checked(status, answer, ref)

    def list(self, api_version, kind, namespace="", selector=""):
        ref = Ref(api_version, kind, namespace, "")
        query = "?" + urllib.parse.urlencode({"labelSelector": selector}) if selector else ""
        answer = self._checked(*self._request(self._path(ref) + query), ref)
        return [{"apiVersion": api_version, "kind": kind, **item} for item in answer["items"]]

    def raw(self, path):
        """The body of GET path, as text."""
        status, answer = self._request(path)
        if status != 200:
            raise KubectlError(f"GET {path}: {status} {answer[:300]!r}")
        return answer.decode()

    def watch(self, api_version, kind, namespace="", seconds=3600):
        """Yields (type, object), first those that are there already."""
        path = self._path(Ref(api_version, kind, namespace, ""))
        connection = _UnixConnection(self._socket)
        connection.timeout = seconds
        connection.request("GET", f"{path}?watch=true&timeoutSeconds={seconds}")
        answer = connection.getresponse()
        try:
            for line in answer:
                event = json.loads(line)
                yield event["type"], event["object"]
        finally:
            connection.close()

    def yaml(self, ref):
        """For people to read."""
        try:
            thing = self.get(ref)
        except (KubectlError, OSError) as error:
            return f"({ref}: {error})"
        if thing is None:
            return f"({ref} does not exist)"
        thing["metadata"].pop("managedFields", None)
        return yaml.safe_dump(thing, sort_keys=False, width=120)

    def events(self, ref):
        """Kubernetes Events about the object, oldest first."""
        found = [e for e in self.list("v1", "Event", ref.namespace)
                 if (e["involvedObject"].get("kind"), e["involvedObject"].get("name")) == (ref.kind, ref.name)]
        return sorted(found, key=lambda e: e["metadata"]["creationTimestamp"])

    def _request(self, path, body=None):
        for _ in range(50):
            status, answer = self._request_once(path, body)
            if status != 429:  # "storage is (re)initializing", while a CRD is new
                break
            time.sleep(0.2)
        return status, answer

    def _request_once(self, path, body=None):
        for attempt in (1, 2):
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = _UnixConnection(self._socket)
            try:
                if body is None:
                    connection.request("GET", path)
                else:
                    connection.request("POST", path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, OSError):
                connection.close()
                self._local.connection = None
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def _checked(self, status, answer, ref, expected=200):
        if status != expected:
            raise KubectlError(f"{ref}: {status} {answer[:300].decode(errors='replace')}")
        return json.loads(answer)

    def _resource(self, api_version, kind):
        if (api_version, kind) not in self._resources:
            prefix = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            status, answer = self._request(prefix)
            found = json.loads(answer)["resources"] if status == 200 else []
            for each in found:
                if "/" not in each["name"]:
                    self._resources[api_version, each["kind"]] = (f"{prefix}", each["name"], each["namespaced"])
            if (api_version, kind) not in self._resources:
                raise KubectlError(f"the cluster has no {kind} in {api_version}")
        return self._resources[api_version, kind]

    def _path(self, ref):
        prefix, plural, namespaced = self._resource(ref.api_version, ref.kind)
        return f"{prefix}/namespaces/{ref.namespace}/{plural}" if namespaced and ref.namespace else f"{prefix}/{plural}"

    def _type(self, ref):
        group, _, version = ref.api_version.rpartition("/")
        plural = self._resource(ref.api_version, ref.kind)[1]
        return f"{plural}.{version}.{group}" if group else plural

    def _in(self, ref):
        return [f"--namespace={ref.namespace}"] if ref.namespace else []
