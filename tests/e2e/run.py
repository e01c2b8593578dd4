#!/usr/bin/env python3
"""Runs user stories on a real control plane with our daemons, several at a time, each in a namespace of its own.

    run.py [--jobs 4] [--alone | --all] [--shared] [NAME...]   those whose file, class or test name contains one of the NAMEs

--shared: as in a cluster that tenants share, with daemons that are no cluster-admin and apply in the tenants' names.
Stories that kill daemons or the API server are marked ALONE: --alone runs only them, one after the other.
Exit status: 0 all passed, 1 some failed, 77 no binaries to run with (skipped, loudly). The daemons come from
$SLUICE_BIN, else from the newest build; $SLUICE_E2E_LOGS is where logs are kept.
"""
import argparse
import concurrent.futures
import importlib
import pathlib
import sys
import threading
import time
import traceback
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import story  # noqa: E402
from support.daemons import NAMESPACE  # noqa: E402
from support.eventually import eventually  # noqa: E402
from support.processes import Skipped, unwind_on_signals  # noqa: E402
from support.stand import Stand  # noqa: E402


class Result(unittest.TestResult):
    """One line per test as it ends; failures in full at once, so that a hung run still tells."""

    lock = threading.Lock()

    def __init__(self):
        super().__init__()
        self.passed = []

    def startTest(self, test):
        super().startTest(test)
        test.started = time.monotonic()

    def addSuccess(self, test):
        self.passed.append(test)
        self._say(test, "ok")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._say(test, "FAILED", "".join(traceback.format_exception(*error)))

    def addError(self, test, error):
        super().addError(test, error)
        self._say(test, "ERROR", "".join(traceback.format_exception(*error)))

    def addSubTest(self, test, subtest, error):
        if error:
            self.failures.append((test, ""))
            self._say(test, f"FAILED for {subtest._message}", "".join(traceback.format_exception(*error)))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._say(test, f"SKIPPED: {reason}")

    def _say(self, test, outcome, more=""):
        with self.lock:
            print(f"{time.monotonic() - test.started:6.1f} s  {story.title(test)}: {outcome}", flush=True)
            if more:
                print(more, flush=True)


def tests(patterns, alone):
    found = []
    for file in sorted(HERE.glob("*_story.py")):
        module = importlib.import_module(file.stem)
        for test in unittest.defaultTestLoader.loadTestsFromModule(module):
            found += [each for each in test if not patterns or
                      any(p in f"{file.stem}.{type(each).__name__}.{each._testMethodName}" for p in patterns)]
    return [each for each in found if alone is None or each.ALONE == alone]


def run(chosen, stand, jobs):
    result = []

    def one(test):
        test.stand = stand
        mine = Result()
        test.run(mine)
        result.append(mine)

    together = [test for test in chosen if not test.ALONE]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, together))
    for test in chosen:
        if test.ALONE:
            one(test)
    return result


def after_all(stand):
    """What must hold once all stories are told. Returns complaints."""
    wrong = [f"{part.name} ended with status {part.status}, so nothing above can be trusted:\n{part.log_tail()}"
             for part in stand.plane.processes() if not part.is_running]
    try:
        eventually(lambda: not story.namespaces(stand), 45, 0.5, "the namespaces of all stories are gone",
                   lambda: "\n".join(story.leftovers(stand)))
    except AssertionError as error:
        wrong.append(str(error))
    for name, daemon in list(stand.daemons.items()):
        memory, cpu = daemon.peak_memory(), daemon.cpu_seconds()
        print(f"          {name}: {cpu:.1f} s of CPU, {memory / 2**20:.0f} MiB at most, {open_files(daemon)} files open")
        running = daemon.is_running
        status = stand.stop_daemon(name)
        if stand.shared:
            wrong += [f"{name} did in its own name: {what} ({times} times)"
                      for what, times in stand.plane.own_writes(f"{NAMESPACE}/{name}").items() if not may_write(name, what)]
        if not running or status != 0:
            wrong.append(f"{name} {'ended with' if running else 'had ended by itself, with'} status {status}:\n{daemon.log_tail()}")
    return wrong + [f"sanitizer: {line}" for line in stand.sanitizer_reports()]


# What daemons change in their own names: objects of their kinds, what they say of them, and how they look for rights.
OWN_GROUP = {"source-controller": "source.toolkit.fluxcd.io", "kustomize-controller": "kustomize.toolkit.fluxcd.io",
             "notification-controller": "notification.toolkit.fluxcd.io"}


def may_write(name, what):
    verb, target = what.rsplit(" ", 1)
    own = target.startswith(OWN_GROUP[name] + "/") and verb == "patch"
    return own or target == "events" and verb in ("create", "patch") or target.startswith("authorization.k8s.io/")


def open_files(daemon):
    try:
        return len(list(pathlib.Path(f"/proc/{daemon.pid}/fd").iterdir()))
    except OSError:
        return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--shared", action="store_true")
    parser.add_argument("patterns", nargs="*")
    options = parser.parse_args()
    unwind_on_signals()
    chosen = tests(options.patterns, None if options.all else options.alone)
    started = time.monotonic()
    try:
        # Short enough that a state told by itself beside its Event would show in every story.
        arguments = {"notification-controller": ["--event-grace=3s"]}
        with Stand(arguments=arguments, other_source_kinds=True, audit=True, shared=options.shared) as stand:
            print(f"{time.monotonic() - started:6.1f} s  control plane and daemons are up", flush=True)
            results = run(chosen, stand, options.jobs)
            wrong = after_all(stand)
    except Skipped as why:
        print(f"SKIPPED: {why}", file=sys.stderr)
        return 77
    passed = sum(len(result.passed) for result in results)
    failed = sorted({story.title(test) for result in results for test, _ in result.failures + result.errors})
    for text in wrong:
        print(f"\nAFTER ALL: {text}")
    print(f"\n{passed} of {len(chosen)} stories passed in {time.monotonic() - started:.0f} s")
    for title in failed:
        print(f"  failed: {title}")
    return 0 if passed == len(chosen) and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
