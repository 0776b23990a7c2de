"""vLLM's OpenAI-compatible server, which ends when the process that started it does.

The arguments are those of `cyrene_assets.serving.engine_args.server_arguments`. The ``vllm``
command itself is not there where vLLM was packaged under another name, as its CPU backend is.
"""

import runpy
import sys

from cyrene_assets.utils.errors import CyreneError
from cyrene_assets.workers.common.pipes_program import end_with_parent
from cyrene_assets.workers.serve import forked_engine, vllm_library


def main() -> None:
    """Serve until told to stop."""
    end_with_parent()
    try:
        # The engine is another process, whose error would be lost among its traceback's lines.
        vllm_library.require()
    except CyreneError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_status)
    if forked_engine.is_wanted():
        forked_engine.fork_engine()
    runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
