"""Which artifact each of the compared models is."""

MODEL_ASSETS = {
    "base": "base_model",
    "cpt": "cpt_checkpoint",
    "merged": "merged_model",
    "fp8": "fp8_model",
}
