"""What the demo prints: steps with the time each took, alive on a terminal, plain lines elsewhere."""
import contextlib
import os
import shutil
import sys
import threading
import time


class Screen:
    WIDTH = 78

    def __init__(self, out=sys.stdout):
        self.out = out
        self.live = out.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.color = self.live and "NO_COLOR" not in os.environ
        utf8 = (getattr(out, "encoding", "") or "").lower().startswith("utf")
        self.done_mark, self.failed_mark = ("✓", "✗") if utf8 else ("ok", "FAILED")
        self.frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if utf8 else "|/-\\"

    def say(self, text=""):
        print(text, file=self.out, flush=True)

    def heading(self, text):
        self.say("\n" + self._paint("1", text))

    def detail(self, text, prefix="    "):
        """Explanation under a step, wrapped at the terminal's width."""
        width = min(shutil.get_terminal_size().columns, 110) - len(prefix)
        for line in text.splitlines():
            while len(line) > width > 20:
                cut = line.rfind(" ", 0, width)
                cut = cut if cut > 20 else width
                self.say(self._paint("2", prefix + line[:cut]))
                line = "  " + line[cut:].lstrip()
            self.say(self._paint("2", prefix + line))

    @contextlib.contextmanager
    def step(self, text, progress=None):
        """Prints the step and how long its body took. progress(): what to show beside it meanwhile."""
        start, finished = time.monotonic(), threading.Event()
        worker = threading.Thread(target=self._animate, args=(text, start, finished, progress), daemon=True)
        worker.start()
        step = Step()
        mark = self._paint("31", self.failed_mark)
        try:
            yield step
            mark = self._paint("32", self.done_mark)
        finally:
            took = time.monotonic() - start if step.seconds is None else step.seconds
            finished.set()
            worker.join()
            self._clear()
            label = text + (f": {step.result}" if step.result else "")
            dots = "." * max(3, self.WIDTH - len(label) - 2)
            self.say(f"  {mark} {label} {self._paint('2', dots)} {duration(took)}")

    def _animate(self, text, start, finished, progress):
        tick, told = 0, time.monotonic()
        while not finished.wait(0.1):
            now = time.monotonic()
            more = progress() if progress else ""
            tick += 1
            if self.live:
                room = shutil.get_terminal_size().columns - 1
                line = f"  {self.frames[tick % len(self.frames)]} {text}  {more}  {now - start:.0f} s"
                self.out.write("\r\x1b[K" + line[:room])
                self.out.flush()
            elif now - told > 20:
                told = now
                self.say(f"    ... {text}: {more or 'at work'} ({now - start:.0f} s)")

    def _clear(self):
        if self.live:
            self.out.write("\r\x1b[K")

    def _paint(self, code, text):
        return f"\x1b[{code}m{text}\x1b[0m" if self.color else text


class Step:
    result = ""      # shown behind the step's name
    seconds = None   # if not all of the body is to be timed


def duration(seconds):
    if seconds >= 90:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.2f} s"
