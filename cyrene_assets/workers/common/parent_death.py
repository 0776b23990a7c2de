"""Run a module in a process that does not outlive the one that started it.

``python -m cyrene_assets.workers.common.parent_death MODULE ARGUMENT...`` runs ``MODULE`` as
``python -m`` does. torch's launcher starts each worker in a session of its own, where ending the
launcher's process group does not reach it; here the system ends the worker as soon as its parent is
gone, however that ended.
"""

import ctypes
import os
import runpy
import signal
import sys

from cyrene_assets.workers.common.gpu_packages import hide_gpu_packages

# Who started this process: what starts workers writes its own process id there.
PARENT = "CYRENE_PARENT"
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the system kill this process when its parent ends (Linux; see prctl(2))."""
    if sys.platform.startswith("linux"):
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
            error = ctypes.get_errno()
            raise OSError(error, f"prctl: {os.strerror(error)}")
        # A parent that ended before that call sends nothing any more.
        if os.environ.get(PARENT, str(os.getppid())) != str(os.getppid()):
            os.kill(os.getpid(), signal.SIGKILL)
    os.environ[PARENT] = str(os.getpid())


if __name__ == "__main__":
    end_with_parent()
    sys.argv = sys.argv[1:]
    if sys.argv[0].startswith("swift."):
        hide_gpu_packages()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
