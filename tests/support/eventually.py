"""Waiting, with a failure text that makes a second run needless."""
import time


def eventually(check, within=20, every=0.1, what=None, context=None):
    """Calls check() until it returns something true, and returns that.

    check may raise AssertionError to say what is missing. On time-out, AssertionError says what was waited for, what
    was seen last, and what context() adds (objects, logs).
    """
    deadline = time.monotonic() + within
    while True:
        try:
            seen = check()
            if seen:
                return seen
            reason = f"last seen: {seen!r}"
        except AssertionError as error:
            reason = str(error)
        if time.monotonic() >= deadline:
            break
        time.sleep(every)
    text = f"not within {within} s: {what or getattr(check, '__name__', 'condition')}\n{reason}"
    if context:
        text += f"\n{context()}"
    raise AssertionError(text)


def never(check, during=1.0, every=0.1, what=None, context=None):
    """Fails as soon as check() returns something true in that time."""
    deadline = time.monotonic() + during
    while time.monotonic() < deadline:
        seen = check()
        if seen:
            text = f"should not happen: {what or check.__name__}\n{seen!r}"
            raise AssertionError(text + (f"\n{context()}" if context else ""))
        time.sleep(every)
