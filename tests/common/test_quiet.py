"""What is left out of standard error, and what is not."""

import os

from samtl.common import quiet

NOTES = """WARNING: All log messages before absl::InitializeLog() is called are
I0000 00:00:1796101095.846609   29178 port.cc:153] oneDNN is on.
2026-12-01 05:01:33.123456: I tensorflow/core/util/port.cc:153] oneDNN is on.
2026-12-01 05:01:33.123456: E external/cuda.cc:103] failed call to cuInit
E0000 00:00:1796101095.846609   29178 cuda.cc:103] failed call to cuInit
To enable the following instructions: AVX2 FMA, rebuild TensorFlow
"""
KEPT = """Traceback (most recent call last):
2026-12-01 05:01:33.123456: E tensorflow/core/error.cc:1] out of memory
Illustrated messages begin with I, too.
"""


def test_notes_of_libraries_in_c_are_left_out(capfd):
    with quiet.without_notes():
        os.write(2, (NOTES + KEPT).encode())
    assert capfd.readouterr().err == KEPT
    os.write(2, NOTES.encode())
    assert capfd.readouterr().err == NOTES


def test_an_error_shows_what_was_written_before(capfd):
    try:
        with quiet.without_notes():
            os.write(2, KEPT.encode())
            raise ImportError
    except ImportError:
        assert capfd.readouterr().err == KEPT
