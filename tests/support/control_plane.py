#!/usr/bin/env python3
"""A real Kubernetes control plane on loopback: etcd and kube-apiserver, and controllers if asked for.

    control_plane.py run [--controllers] -- COMMAND...   exports KUBECONFIG, runs COMMAND, stops all, returns its status

The binaries come from $SLUICE_CONTROL_PLANE or from `scripts/tools control-plane`. Exit status 77 (skipped, loudly)
if they cannot be had. All state lives in a temporary folder; no process outlives the command.
"""
import argparse
import os
import pathlib
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONTROLLERS = ("namespace-controller,garbage-collector-controller,deployment-controller,replicaset-controller,"
               "statefulset-controller,daemonset-controller,job-controller,serviceaccount-controller,"
               "endpointslice-controller,disruption-controller")
START_LIMIT = 90  # seconds


class Skipped(Exception):
    """The binaries cannot be had here."""


def binaries():
    folder = os.environ.get("SLUICE_CONTROL_PLANE")
    if not folder:
        found = subprocess.run([ROOT / "scripts/tools", "control-plane"], stdout=subprocess.PIPE, text=True)
        if found.returncode != 0:
            raise Skipped("scripts/tools control-plane failed")
        folder = found.stdout.strip().splitlines()[-1]
    return pathlib.Path(folder)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class ControlPlane:
    """Starts on entry, stops on exit. `kubeconfig` is a file for a member of system:masters."""

    def __init__(self, controllers=False):
        self.controllers = controllers
        self.processes = []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-control-plane-"))
        self.kubeconfig = self.folder / "kubeconfig"
        self.token = secrets.token_hex(16)

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def _spawn(self, name, *args):
        log = open(self.folder / f"{name}.log", "wb")
        process = subprocess.Popen([self.bin / name, *args], stdout=log, stderr=subprocess.STDOUT, cwd=self.folder,
                                   start_new_session=True)
        self.processes.append((name, process))
        return process

    def _start(self):
        self.bin = binaries()
        etcd, peer, api, manager = free_ports(4)
        key = self.folder / "service-account.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, stderr=subprocess.DEVNULL)
        tokens = self.folder / "tokens.csv"
        tokens.write_text(f"{self.token},admin,admin,system:masters\n")
        self._spawn("etcd", f"--data-dir={self.folder}/etcd", f"--listen-client-urls=http://127.0.0.1:{etcd}",
                    f"--advertise-client-urls=http://127.0.0.1:{etcd}", f"--listen-peer-urls=http://127.0.0.1:{peer}",
                    f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
                    f"--initial-cluster=default=http://127.0.0.1:{peer}", "--unsafe-no-fsync", "--log-level=error")
        self._spawn("kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd}", f"--secure-port={api}",
                    "--bind-address=127.0.0.1", f"--cert-dir={self.folder}/certs", f"--token-auth-file={tokens}",
                    "--authorization-mode=RBAC", f"--service-account-key-file={key}",
                    f"--service-account-signing-key-file={key}",
                    "--service-account-issuer=https://kubernetes.default.svc", "--endpoint-reconciler-type=none",
                    "--service-cluster-ip-range=10.0.0.0/16", "--enable-priority-and-fairness=false", "--v=0")
        self.url = f"https://127.0.0.1:{api}"
        self._await_ready()
        self.kubeconfig.write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n"
            f"clusters:\n- name: test\n  cluster:\n    server: {self.url}\n"
            f"    certificate-authority: {self.folder}/certs/apiserver.crt\n"
            f"users:\n- name: admin\n  user:\n    token: {self.token}\n"
            "contexts:\n- name: test\n  context:\n    cluster: test\n    user: admin\n")
        if self.controllers:
            self._spawn("kube-controller-manager", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false",
                        f"--secure-port={manager}", "--bind-address=127.0.0.1", f"--cert-dir={self.folder}/manager",
                        f"--controllers={CONTROLLERS}", f"--service-account-private-key-file={key}", "--v=0")

    def _await_ready(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # its certificate is made as it starts
        request = urllib.request.Request(self.url + "/readyz", headers={"Authorization": f"Bearer {self.token}"})
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            for name, process in self.processes:
                if process.poll() is not None:
                    tail = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"{name} ended with status {process.returncode}:\n{tail}")
            try:
                with urllib.request.urlopen(request, context=context, timeout=2) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(0.1)
        raise RuntimeError(f"kube-apiserver was not ready after {START_LIMIT} s; see {self.folder}")

    def stop(self):
        for _, process in reversed(self.processes):
            process.terminate()
        for _, process in reversed(self.processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="verb", required=True)
    run = commands.add_parser("run")
    run.add_argument("--controllers", action="store_true")
    run.add_argument("command", nargs="+")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that all is stopped
    try:
        with ControlPlane(args.controllers) as plane:
            return subprocess.run(args.command, env={**os.environ, "KUBECONFIG": str(plane.kubeconfig)}).returncode
    except Skipped as why:
        print(f"SKIPPED: no control plane to test against: {why}", file=sys.stderr)
        return 77


if __name__ == "__main__":
    sys.exit(main())
