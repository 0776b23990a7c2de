"""What ms-swift is told through its plugin interface (``--external_plugins``).

ms-swift loads every model with ``trust_remote_code=True`` and has no switch against it. Base
models are checked for code before they are taken in; here loading code from one is made an error.
"""

import os
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import transformers.dynamic_module_utils
from datasets import load_from_disk
from swift.callbacks import callbacks_map
from swift.callbacks.base import TrainerCallback
from swift.model.register import ModelLoader

from cyrene_assets.checkpoints.files import write_json
from cyrene_assets.training.swift_args import KEEP_STEP, PROMPTS, TRAINED, VALIDATION
from cyrene_assets.workers.train import kernels, optimizer_plugin, packed_attention  # noqa: F401  # registers itself
from cyrene_assets.workers.train.autocast import adapt_to_autocast
from cyrene_assets.workers.train.eval_rows import read_languages
from cyrene_assets.workers.train.per_language_eval import LanguageLosses
from cyrene_assets.workers.train.prompt_parity import (
    MAX_CHATS,
    ROWS_PER_LANGUAGE,
    compare,
    evenly_spaced,
    require_equal_prompts,
)


def _reject_code(*_: Any, **__: Any) -> NoReturn:
    raise RuntimeError("this checkpoint asks to run code of its own, which is refused")


class Cyrene(TrainerCallback):  # type: ignore[misc]
    """Compares prompts before training, evaluates by language, saves where a pass ends.

    It also has the learning rate of a step logged, where ms-swift would log that of the next one.
    """

    _rate: float | None = None

    def on_train_begin(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Take over evaluation; where there are chats, compare their prompts with the served.

        A command that is run by hand, without the folder of the languages, is ms-swift's own.
        """
        # transformers would log a loss that is not a number as 0.
        args.logging_nan_inf_filter = False
        self._log_the_rate_used()
        if args.bf16:
            adapt_to_autocast(self.trainer.model)
        if VALIDATION not in os.environ:
            return
        folder = Path(os.environ[VALIDATION])
        template = self.trainer.template
        if template.use_chat_template:
            found = _compare_prompts(template, Path(os.environ[TRAINED]), folder)
            if state.is_world_process_zero:
                write_json(Path(args.output_dir) / PROMPTS, found)
        self.trainer.evaluate = LanguageLosses(self.trainer, folder)

    def on_optimizer_step(self, *_: Any, lr_scheduler: Any, **__: Any) -> None:
        """Keep the rate of the step that was made; the scheduler is about to advance."""
        self._rate = float(lr_scheduler.get_last_lr()[0])

    def _log_the_rate_used(self) -> None:
        """Give ms-swift the last step's rate: it reads it when the scheduler has advanced."""
        own = self.trainer._get_learning_rate
        self.trainer._get_learning_rate = lambda: own() if self._rate is None else self._rate

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for a checkpoint and an evaluation after the step that ends a pass."""
        if state.global_step == int(os.environ.get(KEEP_STEP, "0")):
            control.should_evaluate = args.eval_strategy != "no"
            control.should_save = True


def _compare_prompts(template: Any, trained: Path, held_out: Path) -> dict[str, Any]:
    """Compare the prompts of trained and of held-out answers with the served ones.

    Raises:
        RuntimeError: one differs.
    """
    rows = load_from_disk(str(trained))
    learned = compare(template, rows.select(evenly_spaced(len(rows), MAX_CHATS)))
    require_equal_prompts(learned, "trained")
    samples = (own[:ROWS_PER_LANGUAGE] for own in read_languages(held_out).values())
    validated = compare(template, chain.from_iterable(samples))
    require_equal_prompts(validated, "held-out")
    return {
        **learned.as_dict(),
        "of_chats": len(rows),
        "held_out_answers": validated.answers,
        "held_out_same": validated.same,
    }


ModelLoader.default_trust_remote_code = False
transformers.dynamic_module_utils.get_class_in_module = _reject_code
transformers.dynamic_module_utils.get_cached_module_file = _reject_code
callbacks_map["cyrene"] = Cyrene
kernels.use_on_gpu()
packed_attention.register()
packed_attention.accept_packing()
