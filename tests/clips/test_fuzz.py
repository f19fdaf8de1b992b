"""Tests the fuzzer: it reports every kind of failure. `.ci/run` runs 2,000 of its cases."""

import os
import signal
import time

import fuzz_clips
import numpy as np


def troubled(data: bytes) -> str:
    """A decoder with every fault; the length of its input decides which."""
    fault = len(data) % 5
    if fault == 0:
        raise KeyError("none of a decoder's business")
    if fault == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == 2:
        time.sleep(60)
    if fault == 3:
        np.ones(300 * 2**20, np.uint8)
    return "frames"


def test_every_way_to_fail_is_seen_and_the_rest_goes_on(monkeypatch):
    monkeypatch.setattr(fuzz_clips, "SECONDS", 5.0)
    monkeypatch.setattr(fuzz_clips, "MEGABYTES", 300)
    whole, wanted = fuzz_clips.clips(), {}
    for number in range(200):
        _, data = fuzz_clips.broken(np.random.default_rng([0, number]), whole)
        how = ("escaped", "died", "hung", "memory", "frames")[len(data) % 5]
        if list(wanted.values()).count(how) < 2:
            wanted[number] = how
    assert len(wanted) == 10
    endings = fuzz_clips.fuzz(list(wanted), seed=0, workers=2, attempt=troubled)
    assert {ending.number: ending.how for ending in endings} == wanted
    printed = fuzz_clips.report(endings)
    assert "KeyError" in printed and printed.count(": hung") == 2
