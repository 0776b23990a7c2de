"""What ms-swift is told through its plugin interface (``--external_plugins``).

ms-swift loads every model with ``trust_remote_code=True`` and has no switch against it. Base
models are checked for code before they are taken in; here loading code from one is made an error.
"""

import os
from typing import Any, NoReturn

import transformers.dynamic_module_utils
from swift.callbacks import callbacks_map
from swift.callbacks.base import TrainerCallback
from swift.model.register import ModelLoader

KEEP_STEP = "CYRENE_KEEP_STEP"


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise RuntimeError("this checkpoint asks to run code of its own, which is refused")


class KeepStep(TrainerCallback):  # type: ignore[misc]
    """Save a checkpoint after the step that ``CYRENE_KEEP_STEP`` names: where a pass ends."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for a checkpoint and an evaluation after that step."""
        if state.global_step == int(os.environ[KEEP_STEP]):
            control.should_evaluate = args.eval_strategy != "no"
            control.should_save = True


ModelLoader.default_trust_remote_code = False
transformers.dynamic_module_utils.get_class_in_module = _refuse
transformers.dynamic_module_utils.get_cached_module_file = _refuse
callbacks_map["keep_step"] = KeepStep
