"""What a training's metadata calls the tokens and the time that it took."""

TOKENS, SECONDS = "tokens trained", "seconds at work"
