"""How the models are prompted, how their answers are measured, and the pages that say so."""
