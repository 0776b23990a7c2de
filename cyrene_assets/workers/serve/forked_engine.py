"""The engine of vLLM's server on a CPU as a fork of the server, with the model in it.

vLLM starts three processes there, one after the other, and each imports all of it: the server, the
engine, and a worker that binds its threads to cores. For a model that answers in milliseconds the
imports are most of what a person waits for.
"""

import multiprocessing
import os
import sys

from cyrene_assets.workers.serve.vllm_engine import IN_PROCESS_ENV


def is_wanted() -> bool:
    """Return whether the environment says so, as `cyrene_assets.serving.served_character` does."""
    return sys.platform.startswith("linux") and IN_PROCESS_ENV.items() <= os.environ.items()


def fork_engine() -> None:
    """Have the server fork its engine, which vLLM does by default on a GPU; no tensor is there yet.

    vLLM sets the way to start processes itself on a CPU, so that it is replaced where it is read.
    """
    from vllm.v1.engine import utils

    utils.get_mp_context = lambda: multiprocessing.get_context("fork")
