"""Processes with another time of day (Debian's libfaketime)."""
import glob


def library():
    """Its path, or None where it is not installed."""
    return next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)


def environment(hours):
    """What a process needs that is to be so many hours ahead, or behind. What measures time is left alone."""
    return {"LD_PRELOAD": library(), "FAKETIME": f"{hours:+d}h", "DONT_FAKE_MONOTONIC": "1"}
