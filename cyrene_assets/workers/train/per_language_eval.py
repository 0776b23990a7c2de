"""The validation loss of each language, inside ms-swift's trainer.

ms-swift joins all validation sets into one, and its own loss per channel switches liger's fused
loss off. Here each language is run through the model apart, by the trainer's own step: the same
encoding, packing and loss as in training, once over the validation set in all.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from cyrene_assets.workers.train.eval_rows import batches, read_languages


class LanguageLosses:
    """Stands in for a trainer's ``evaluate``: one pass over the validation rows, by language.

    Losses are nats per token, means over all tokens that are predicted: ``eval_<language>_loss``,
    and ``eval_loss`` over the tokens of all languages. On several devices each takes its share.
    """

    def __init__(self, trainer: Any, folder: Path) -> None:
        self._trainer = trainer
        template = trainer.template
        self._batches = {
            language: list(
                batches(
                    [template.encode(row, return_length=True) for row in rows],
                    template.max_length if template.packing else None,
                    trainer.args.per_device_eval_batch_size,
                )
            )
            for language, rows in read_languages(folder).items()
        }

    def __call__(self, *_: Any, **__: Any) -> dict[str, float]:
        """Evaluate, log and return the losses."""
        trainer, started = self._trainer, time.monotonic()
        trainer.model.eval()
        parts = [self._sum(own) for own in self._batches.values()]
        sums = torch.tensor(parts, dtype=torch.float64)
        if dist.is_initialized():
            sums = sums.to(trainer.args.device)
            dist.all_reduce(sums)
        nats, tokens = sums.sum(0).tolist()
        metrics = {"eval_loss": nats / tokens}
        for language, (own_nats, own_tokens) in zip(self._batches, sums.tolist(), strict=True):
            metrics[f"eval_{language}_loss"] = own_nats / own_tokens
        metrics["eval_runtime"] = round(time.monotonic() - started, 3)
        # ms-swift's own would be gathered now, and a device without a batch has none to give.
        trainer.custom_metrics["eval"].clear()
        trainer.log(metrics)
        trainer.control = trainer.callback_handler.on_evaluate(
            trainer.args, trainer.state, trainer.control, metrics
        )
        return metrics

    def _sum(self, own: Sequence[Sequence[dict[str, Any]]]) -> list[float]:
        """Return this device's part of a language: the sum of the losses, and of the tokens."""
        trainer = self._trainer
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        nats, tokens = 0.0, 0
        for batch in own[rank::world]:
            inputs = trainer.template.data_collator(list(batch))
            predicted = int((inputs["labels"] != -100).sum())
            nats += self._mean(inputs) * predicted
            tokens += predicted
        return [nats, float(tokens)]

    def _mean(self, inputs: dict[str, Any]) -> float:
        """Return the mean loss of a batch.

        As the trainer's own ``prediction_step``, but for what that one exchanges with the other
        devices at each batch: they need not have equally many.
        """
        trainer = self._trainer
        inputs = trainer._prepare_inputs(inputs)
        if trainer.args.use_liger_kernel:
            inputs["skip_logits"] = True
        forward = trainer.template.forward_context(trainer.model, inputs)
        with torch.no_grad(), trainer.compute_loss_context_manager(), forward:
            return float(trainer.compute_loss(trainer.model, inputs))
