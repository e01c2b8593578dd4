"""Our daemons, and upstream's, as the processes that they are."""
import os
import pathlib
import subprocess
import urllib.error
import urllib.request

from support.eventually import eventually
from support.processes import Process, Skipped, free_ports

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = ("source-controller", "kustomize-controller", "notification-controller")
NAMESPACE = "flux-system"


class Daemon(Process):
    """One controller. Its ports stay the same when it is started again, and its log grows."""

    def __init__(self, name, binary, kubeconfig, folder, arguments=(), namespace=NAMESPACE):
        folder = pathlib.Path(folder)
        self.metrics_port, self.health_port, self.storage_port = free_ports(3)
        storage = []
        if name == "source-controller":
            (folder / "artifacts").mkdir(exist_ok=True)
            storage = [f"--storage-path={folder}/artifacts", f"--storage-addr=127.0.0.1:{self.storage_port}",
                       f"--storage-adv-addr=127.0.0.1:{self.storage_port}"]
        scratch = folder / f"{name}.tmp"
        scratch.mkdir(exist_ok=True)
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "RUNTIME_NAMESPACE": namespace,
                       "TMPDIR": str(scratch), "HOME": str(scratch)}
        super().__init__(name, [binary, f"--metrics-addr=127.0.0.1:{self.metrics_port}",
                                f"--health-addr=127.0.0.1:{self.health_port}", "--enable-leader-election=false",
                                *storage, *arguments], folder / f"{name}.log", environment, folder)

    def start(self):
        """Starts it and returns at once; see await_ready()."""
        return super().start()

    def await_ready(self, within=30):
        eventually(lambda: self.status is not None or self._answers("/readyz"), within, 0.02,
                   f"{self.name} is ready", lambda: self.log_tail())
        if self.status is not None:
            raise RuntimeError(f"{self.name} ended with status {self.status}:\n{self.log_tail()}")
        return self

    def restart(self):
        """kill -9, and again."""
        self.kill()
        return self.start()

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
            return answer.read().decode()

    def is_healthy(self):
        return self._answers("/healthz")

    def _answers(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


def our_binary(name):
    """From $SLUICE_BIN, else the newest build in this tree."""
    folders = [pathlib.Path(os.environ["SLUICE_BIN"])] if os.environ.get("SLUICE_BIN") else list(ROOT.glob("build/*/bin"))
    found = [folder / name for folder in folders if (folder / name).exists()]
    if not found:
        raise Skipped(f"{name} is not built")
    return max(found, key=lambda file: file.stat().st_mtime)


def upstream_binary():
    """Upstream's kustomize-controller: $SLUICE_UPSTREAM or `scripts/tools upstream`, which builds it once."""
    folder = os.environ.get("SLUICE_UPSTREAM")
    if not folder:
        built = subprocess.run([ROOT / "scripts/tools", "upstream"], stdout=subprocess.PIPE, text=True)
        if built.returncode != 0:
            raise Skipped("scripts/tools upstream failed")
        folder = built.stdout.strip().splitlines()[-1]
    return pathlib.Path(folder) / "kustomize-controller"
