"""Give up the privileges of root, so that permissions bind the tests that root runs too."""

from __future__ import annotations

import ctypes
import os
import sys

PR_CAPBSET_DROP = 24
LAST_CAPABILITY = 63
VERSION_3 = 0x20080522


def drop_privileges() -> None:
    """Drop all capabilities of this process and of those it starts; root's files stay its own.

    Raises:
        OSError: the system refuses.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        return
    system = ctypes.CDLL(None, use_errno=True)
    for capability in range(LAST_CAPABILITY + 1):  # those unknown to this kernel are refused
        system.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    header, none = (ctypes.c_uint32 * 2)(VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if system.capset(header, none):
        raise OSError(ctypes.get_errno(), "capabilities cannot be dropped")
