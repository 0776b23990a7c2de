"""Jobs for the UI's Launchpad: the assets that one click should run together."""

import dagster as dg

from cyrene_assets.project.partitions import sizes

model = dg.define_asset_job(
    "model",
    selection=dg.AssetSelection.assets(
        "base_model",
        "packed_cpt",
        "packed_sft",
        "cpt_checkpoint",
        "lora_adapter",
        "merged_model",
        "fp8_model",
        "generations",
    ),
    partitions_def=sizes,
    description="Everything of one model size, from its base model to its answers.",
)
