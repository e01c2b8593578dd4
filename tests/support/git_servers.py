"""Git repositories, and real servers of them: smart HTTP(S) by `git http-backend`, SSH by OpenSSH's sshd."""
import getpass
import os
import pathlib
import shutil
import signal
import subprocess
import sys

from support.processes import Process, Skipped, free_ports

_HERE = pathlib.Path(__file__).resolve().parent
_GIT = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.com", "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.com"}


def git(*arguments, folder=None, input=None):
    done = subprocess.run(["git", *map(str, arguments)], cwd=folder, input=input, env=_GIT, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(f"git {' '.join(map(str, arguments))}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode().strip()


class GitRepository:
    """A bare repository below the root that a server serves."""

    def __init__(self, root, name):
        self.name = name
        self.path = pathlib.Path(root) / f"{name}.git"
        self._clock = 1_700_000_000
        git("init", "--quiet", "--bare", "--initial-branch=main", self.path)

    def commit(self, changes, message="Change", branch="main"):
        """Adds a commit and returns its id. changes: path -> text, bytes, or None to remove."""
        return self._import(branch, changes, message, keep=True)

    def force(self, changes, message="Start again", branch="main"):
        """Replaces the branch by a commit without history, as a forced push does."""
        return self._import(branch, changes, message, keep=False)

    def tag(self, name, commit="main"):
        git("tag", "-a", "-m", name, name, commit, folder=self.path)

    def delete_branch(self, name):
        git("update-ref", "-d", f"refs/heads/{name}", folder=self.path)

    def head(self, branch="main"):
        try:
            return git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", folder=self.path)
        except RuntimeError:
            return None

    def _import(self, branch, changes, message, keep):
        self._clock += 1
        parent = self.head(branch) if keep else None
        text = message.encode()
        stream = [f"commit refs/heads/{branch}\ncommitter Ada <ada@example.com> {self._clock} +0000\n".encode(),
                  b"data %d\n%s\n" % (len(text), text)]
        if parent:
            stream.append(f"from {parent}\n".encode())
        for path, content in changes.items():
            if content is None:
                stream.append(f"D {path}\n".encode())
            else:
                content = content.encode() if isinstance(content, str) else content
                stream.append(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content))
        git("fast-import", "--quiet", "--force", folder=self.path, input=b"".join(stream) + b"done\n")
        return self.head(branch)


class GitHttpServer(Process):
    """git_http_server.py over a folder; see there for its options and the faults that paths ask for."""

    def __init__(self, root, folder, name="git-http", port=None, **options):
        self.port = port or free_ports(1)[0]
        self.requests_log = pathlib.Path(folder) / f"{name}-requests.log"
        command = [sys.executable, _HERE / "git_http_server.py", "--root", root, "--port", self.port,
                   "--log", self.requests_log]
        for option, value in options.items():
            command += [f"--{option.replace('_', '-')}"] if value is True else [f"--{option.replace('_', '-')}", value]
        super().__init__(name, command, pathlib.Path(folder) / f"{name}.log")
        self.url = f"{'https' if 'cert' in options else 'http'}://127.0.0.1:{self.port}"

    def start(self):
        super().start()
        self.await_line("listening")
        return self

    def requests(self):
        """Lines of METHOD PATH STATUS authorized|anonymous."""
        return self.requests_log.read_text().splitlines() if self.requests_log.exists() else []


class SshKey:
    def __init__(self, folder, name):
        self.file = pathlib.Path(folder) / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.file)], check=True)
        self.private = self.file.read_text()
        self.public = " ".join(pathlib.Path(f"{self.file}.pub").read_text().split()[:2])


class GitSshServer(Process):
    """sshd for whoever runs the tests, on a high port; only the given user key gets in."""

    def __init__(self, folder, user_key, host_key, name="git-ssh", port=None):
        self.binary = shutil.which("sshd") or "/usr/sbin/sshd"
        if not os.path.exists(self.binary):
            raise Skipped("no sshd (Debian: openssh-server)")
        folder = pathlib.Path(folder)
        self.port = port or free_ports(1)[0]
        self._authorized = folder / f"{name}.authorized_keys"
        self._config = folder / f"{name}.conf"
        self._user_key = user_key
        self.host_key = host_key
        self.user = getpass.getuser()
        super().__init__(name, [self.binary, "-D", "-e", "-f", self._config], folder / f"{name}.log")

    def start(self):
        self._authorized.write_text(f"{self._user_key.public}\n")
        self._config.write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {self.host_key.file}\nAuthorizedKeysFile {self._authorized}\n"
            "StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPidFile none\n")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)  # sshd(8) insists on it when it is root
        super().start()
        self.await_line("Server listening")
        return self

    def stop(self, within=10, by=signal.SIGKILL):
        return super().stop(within, by)

    def restart_with_host_key(self, key):
        self.stop()
        self.log.unlink()
        self.host_key = key
        return self.start()

    @property
    def known_hosts(self):
        return f"[127.0.0.1]:{self.port} {self.host_key.public}\n"

    def url(self, repository):
        return f"ssh://{self.user}@127.0.0.1:{self.port}{repository.path}"
