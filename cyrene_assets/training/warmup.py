"""How many optimizer steps a training has, and what becomes of its warm-up where they are few.

transformers' schedules begin at a learning rate of 0, so every warm-up costs the first step. In
hundreds of steps that is the recipe's own; a training of one step would learn nothing at all.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyrene_assets.config.training_stage import Stage

# With fewer steps than this there is no warm-up, and a build says that they are few.
FEW_STEPS = 10


def warmup_ratio(stage: "Stage", steps: int | None) -> float:
    """Return the share of the steps in which the learning rate rises from 0.

    It is the recipe's, but 0 for a training of fewer than `FEW_STEPS` optimizer steps, whose first
    step then has the full rate. ``steps`` is None where they are not counted yet.
    """
    return 0.0 if steps is not None and steps < FEW_STEPS else stage.warmup_ratio


def few_steps(stage: "Stage", name: str, steps: int) -> str | None:
    """Return what to say of a training of so few steps, before it begins; None where they do.

    Args:
        stage: the stage of the recipe.
        name: what the recipe calls it, ``cpt`` or ``sft``.
        steps: the optimizer steps of the training.
    """
    if steps >= FEW_STEPS:
        return None
    counted = "1 optimizer step" if steps == 1 else f"{steps} optimizer steps"
    remedies = [
        *(
            [f"lower `{name}.batch_size` in the recipe (it is {stage.batch_size})"]
            if stage.batch_size > 1
            else []
        ),
        f"raise `{name}.passes`",
        "add languages or documents to the corpus",
    ]
    return (
        f"only {counted}, without warm-up: the model will learn little; to have {FEW_STEPS} or "
        f"more, {', or '.join(remedies)}"
    )
