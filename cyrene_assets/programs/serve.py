"""vLLM's OpenAI-compatible server, which ends when the process that started it does.

The arguments are those of `cyrene_assets.serving.server_arguments`. The ``vllm`` command itself
is not there where vLLM was packaged under another name, as its CPU backend is.
"""

import runpy

from cyrene_assets.programs._program import end_with_parent


def main() -> None:
    """Serve until told to stop."""
    end_with_parent()
    runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
