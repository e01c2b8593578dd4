#!/usr/bin/env python3
"""A real Kubernetes control plane on loopback: etcd and kube-apiserver, and controllers if asked for.

    control_plane.py run [--controllers] -- COMMAND...   exports KUBECONFIG, runs COMMAND, stops all, returns its status

The binaries come from $SLUICE_CONTROL_PLANE or from `scripts/tools control-plane`. Exit status 77 (skipped, loudly)
if they cannot be had. All state lives in a temporary folder; no process outlives the command.
"""
import argparse
import collections
import contextlib
import json
import os
import pathlib
import secrets
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from support import faketime  # noqa: E402
from support.processes import Process, Skipped, free_ports, unwind_on_signals  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONTROLLERS = ("namespace-controller,garbage-collector-controller,deployment-controller,replicaset-controller,"
               "statefulset-controller,daemonset-controller,job-controller,ttl-after-finished-controller,"
               "serviceaccount-controller,endpointslice-controller,disruption-controller")
START_LIMIT = 90  # seconds
SERVICE_ACCOUNT = "system:serviceaccount:"


def binaries():
    """The folder with the control plane's binaries; built now if need be, with progress on stderr."""
    folder = os.environ.get("SLUICE_CONTROL_PLANE")
    if not folder:
        found = subprocess.run([ROOT / "scripts/tools", "control-plane"], stdout=subprocess.PIPE, text=True)
        if found.returncode != 0:
            raise Skipped("scripts/tools control-plane failed")
        folder = found.stdout.strip().splitlines()[-1]
    return pathlib.Path(folder)


class ControlPlane:
    """Starts on entry, stops on exit. `kubeconfig` is a file for a member of system:masters.

    accounts: users who get a kubeconfig of their own, see kubeconfig_for(); NAMESPACE/NAME is a service account.
    audit: users whose requests are counted, see requests_by().
    """

    def __init__(self, controllers=False, accounts=(), audit=()):
        self.controllers = controllers
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-control-plane-"))
        self.kubeconfig = self.folder / "kubeconfig"
        self.etcd = self.api_server = self.controller_manager = None
        self._tokens = {user: secrets.token_hex(16) for user in ("admin", *accounts)}
        self._audit = [_user_name(user) for user in audit]

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def token(self):
        return self._tokens["admin"]

    def _process(self, name, *args):
        return Process(name, [self.bin / name, *args], self.folder / f"{name}.log", folder=self.folder).start()

    def _start(self):
        self.bin = binaries()
        etcd, peer, api = free_ports(3)
        key = self.folder / "service-account.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, stderr=subprocess.DEVNULL)
        self.etcd = self._process(
            "etcd", f"--data-dir={self.folder}/etcd", f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}", f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}", "--unsafe-no-fsync", "--log-level=error")
        self._make_certificate()
        self.url = f"https://127.0.0.1:{api}"
        self.api_server = self._process(
            "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd}", f"--secure-port={api}",
            "--bind-address=127.0.0.1", f"--cert-dir={self.folder}/certs", f"--token-auth-file={self._token_file()}",
            "--authorization-mode=RBAC", f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}", "--service-account-issuer=https://kubernetes.default.svc",
            "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/16",
            "--enable-priority-and-fairness=false", "--v=0", *self._audit_flags())
        self._await_ready()
        self._write_kubeconfig(self.kubeconfig, self.token)
        if self.controllers:
            self._start_controllers(key)

    def _make_certificate(self):
        """Valid since yesterday, for tests with clocks that are behind. Without libfaketime the API server makes its own."""
        if not faketime.library():
            return
        folder = self.folder / "certs"
        folder.mkdir()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=127.0.0.1",
                        "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default.svc",
                        "-out", folder / "apiserver.crt", "-keyout", folder / "apiserver.key"],
                       check=True, stderr=subprocess.DEVNULL, env={**os.environ, **faketime.environment(-24)})

    def _start_controllers(self, key):
        for _ in range(3):  # its port may be taken by another between the choice and the start
            port = free_ports(1)[0]
            self.controller_manager = self._process(
                "kube-controller-manager", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false",
                f"--secure-port={port}", "--bind-address=127.0.0.1", f"--cert-dir={self.folder}/manager",
                f"--controllers={CONTROLLERS}", f"--service-account-private-key-file={key}",
                "--kube-api-qps=500", "--kube-api-burst=1000", "--v=0")
            deadline = time.monotonic() + START_LIMIT
            while self.controller_manager.is_running and time.monotonic() < deadline:
                if self._answers(f"https://127.0.0.1:{port}/healthz"):
                    return
                time.sleep(0.1)
        raise RuntimeError(f"kube-controller-manager does not run:\n{self.controller_manager.log_tail()}")

    def _token_file(self):
        file = self.folder / "tokens.csv"
        lines = []
        for user, token in self._tokens.items():
            groups = "system:masters"
            if "/" in user:
                groups = f'"system:serviceaccounts,system:serviceaccounts:{user.split("/")[0]},system:authenticated"'
            lines.append(f"{token},{_user_name(user)},{user},{groups}\n")
        file.write_text("".join(lines))
        return file

    def _audit_flags(self):
        if not self._audit:
            return []
        policy = self.folder / "audit-policy.yaml"
        # JSON is YAML, and this file must not depend on PyYAML.
        policy.write_text(json.dumps({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived", "ResponseStarted"],
            "rules": [{"level": "Metadata", "users": self._audit}, {"level": "None"}]}))
        return [f"--audit-policy-file={policy}", f"--audit-log-path={self.folder}/audit.log"]

    def _write_kubeconfig(self, file, token):
        file.touch(mode=0o600)
        file.write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n"
            f"clusters:\n- name: test\n  cluster:\n    server: {self.url}\n"
            f"    certificate-authority: {self.folder}/certs/apiserver.crt\n"
            f"users:\n- name: test\n  user:\n    token: {token}\n"
            "contexts:\n- name: test\n  context:\n    cluster: test\n    user: test\n")

    def kubeconfig_for(self, account):
        """A kubeconfig with the rights of one of `accounts`."""
        file = self.folder / f"{account.replace('/', '-')}.kubeconfig"
        self._write_kubeconfig(file, self._tokens[account])
        return file

    def _answers(self, url):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # its certificate is made as it starts
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.token}"})
        try:
            with urllib.request.urlopen(request, context=context, timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def _await_ready(self):
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            for process in self.processes():
                if process.status is not None:
                    raise RuntimeError(f"{process.name} ended with status {process.status}:\n{process.log_tail()}")
            if self._answers(self.url + "/readyz"):
                return
            time.sleep(0.1)
        raise RuntimeError(f"kube-apiserver was not ready after {START_LIMIT} s; see {self.folder}")

    def processes(self):
        return [each for each in (self.etcd, self.api_server, self.controller_manager) if each]

    def kill_api_server(self):
        """Cuts every connection and refuses new ones. The cluster's state stays in etcd."""
        self.api_server.kill()

    def restart_api_server(self):
        """On the same address, with the same certificate."""
        self.api_server.start()
        self._await_ready()

    @contextlib.contextmanager
    def stopped(self):
        """Nothing of it runs meanwhile; afterwards all is on the same addresses, with what etcd holds then."""
        for process in reversed(self.processes()):
            process.stop()
        manager, self.controller_manager = self.controller_manager, None
        yield
        self.etcd.start()
        self.restart_api_server()
        self.controller_manager = manager.start() if manager else None

    def back_up(self):
        """Copies etcd's data, while it is stopped."""
        shutil.copytree(self.folder / "etcd", self.folder / "backup")

    def put_back(self):
        """Back to that copy, with its versions, while it is stopped. As if without `--bump-revision`."""
        shutil.rmtree(self.folder / "etcd")
        shutil.copytree(self.folder / "backup", self.folder / "etcd")

    def requests_by(self, user):
        """Counter of the requests that this audited user has made: apply, dry-run apply, patch, get, list, ..."""
        return collections.Counter(_request_kind(event) for event in self._audited(user))

    def own_writes(self, user):
        """Counter of "VERB group/resource" that this audited user has written in its own name, so impersonating nobody."""
        counts = collections.Counter()
        for event in self._audited(user):
            if event["verb"] in READS or "impersonatedUser" in event:
                continue
            target = event.get("objectRef", {})
            parts = [target.get("apiGroup"), target.get("resource"), target.get("subresource")]
            counts[f"{_request_kind(event)} {'/'.join(part for part in parts if part)}"] += 1
        return counts

    def _audited(self, user):
        name = _user_name(user)
        log = self.folder / "audit.log"
        for line in log.read_text(errors="replace").splitlines() if log.exists() else []:
            try:
                event = json.loads(line)
            except ValueError:
                continue  # the line that is just being written
            if event.get("user", {}).get("username") == name:
                yield event

    def stop(self):
        # Nobody will need its state, so there is nothing to end gracefully.
        for process in reversed(self.processes()):
            process.kill()
        self.etcd = self.api_server = self.controller_manager = None
        shutil.rmtree(self.folder, ignore_errors=True)


READS = ("get", "list", "watch")


def _user_name(user):
    return SERVICE_ACCOUNT + user.replace("/", ":") if "/" in user else user


def _request_kind(event):
    verb, uri = event["verb"], event.get("requestURI", "")
    if verb == "patch" and "force=" in uri:  # only an apply patch may say so
        verb = "apply"
    return ("dry-run " if "dryRun=All" in uri else "") + verb


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="verb", required=True)
    run = commands.add_parser("run")
    run.add_argument("--controllers", action="store_true")
    run.add_argument("command", nargs="+")
    args = parser.parse_args()
    unwind_on_signals()
    try:
        with ControlPlane(args.controllers) as plane:
            return subprocess.run(args.command, env={**os.environ, "KUBECONFIG": str(plane.kubeconfig)}).returncode
    except Skipped as why:
        print(f"SKIPPED: no control plane to test against: {why}", file=sys.stderr)
        return 77


if __name__ == "__main__":
    sys.exit(main())
