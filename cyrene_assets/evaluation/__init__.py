"""What the models are asked, how their answers are measured, and the pages that say so."""
