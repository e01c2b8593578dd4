"""Child processes that never outlive this one, and what they cost.

The kernel kills a child when the thread that made it ends (prctl(2), PR_SET_PDEATHSIG), so all are made by one thread
that lives as long as this process, however this process ends.
"""
import concurrent.futures
import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

_spawner = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")
_prctl = ctypes.CDLL(None).prctl
_PR_SET_PDEATHSIG = 1
_TICKS = os.sysconf("SC_CLK_TCK")


class Skipped(Exception):
    """A real part that a test needs cannot be had here."""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def unwind_on_signals():
    """Makes SIGTERM and SIGHUP leave `with` blocks as Ctrl-C does. Call from the main thread."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))


def _die_with_parent():
    # Between fork and exec. start() returns after the exec, so there is no moment at which this is not in force.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A program in a process group of its own, with its output appended to a log file."""

    def __init__(self, name, command, log, environment=None, folder=None):
        self.name = name
        self.command = [str(part) for part in command]
        self.log = pathlib.Path(log)
        self.environment = environment
        self.folder = folder
        self._popen = None
        self._last_cpu = 0.0
        self._last_peak = 0

    def start(self):
        with open(self.log, "ab") as out:
            self._popen = _spawner.submit(
                subprocess.Popen, self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env=self.environment, cwd=self.folder, start_new_session=True, preexec_fn=_die_with_parent).result()
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        return self._popen.pid

    @property
    def status(self):
        """Exit status, negative for a signal; None while it runs or before it was started."""
        return self._popen.poll() if self._popen else None

    @property
    def is_running(self):
        return self._popen is not None and self._popen.poll() is None

    def stop(self, within=10, by=signal.SIGTERM):
        """Asks it to end, then insists. Returns the exit status."""
        if self._popen is None:
            return None
        self._signal(by)
        try:
            self.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
        self._signal(signal.SIGKILL)  # whatever it has left behind in its group
        return self._popen.returncode

    def kill(self):
        """kill -9, and waits for the end."""
        self._signal(signal.SIGKILL)
        if self._popen:
            self._popen.wait()

    def wait(self, within=None):
        return self._popen.wait(within)

    def pause(self):
        self._signal(signal.SIGSTOP)

    def resume(self):
        self._signal(signal.SIGCONT)

    def _signal(self, number):
        if self._popen is None:
            return
        if self._popen.poll() is None:
            self.cpu_seconds(), self.peak_memory()  # remembered for after the end
        try:
            os.killpg(self._popen.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def cpu_seconds(self):
        """User and system time of the process, its threads, and the children it has waited for."""
        try:
            fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            self._last_cpu = sum(int(fields[i]) for i in (11, 12, 13, 14)) / _TICKS
        except (OSError, IndexError):
            pass
        return self._last_cpu

    def peak_memory(self):
        """Most bytes resident at any time."""
        self._last_peak = max(self._last_peak, self._memory("VmHWM"))
        return self._last_peak

    def memory(self):
        """Bytes resident now."""
        return self._memory("VmRSS")

    def _memory(self, field):
        try:
            for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
        except OSError:
            pass
        return 0

    def log_tail(self, lines=40):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def await_line(self, text, within=10):
        """The first line of the log that contains the text."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            for line in self.log.read_text(errors="replace").splitlines():
                if text in line:
                    return line
            if not self.is_running:
                break
            time.sleep(0.02)
        raise RuntimeError(f"{self.name} did not say {text!r} within {within} s:\n{self.log_tail()}")
