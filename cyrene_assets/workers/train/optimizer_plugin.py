"""How ms-swift is given the optimizer of bfloat16 weights (``--optimizer``)."""

from typing import Any

from swift.optimizers import OptimizerCallback, optimizers_map

from cyrene_assets.training.batch_plan import ROUNDING_OPTIMIZER


class RoundingOptimizer(OptimizerCallback):  # type: ignore[misc]
    """Makes the optimizer over the parameter groups that transformers makes anyway."""

    def create_optimizer(self, model: Any = None) -> Any:
        """Return the optimizer; the library behind it is loaded here, in trainings that use it."""
        from cyrene_assets.workers.train.stochastic_rounding import RoundingAdamW

        args = self.args
        settings = {
            "lr": args.learning_rate,
            "betas": (args.adam_beta1, args.adam_beta2),
            "eps": args.adam_epsilon,
            "seed": args.seed,
        }
        self.trainer.optimizer_cls_and_kwargs = (RoundingAdamW, settings)
        return super().create_optimizer(model)


optimizers_map[ROUNDING_OPTIMIZER] = RoundingOptimizer
