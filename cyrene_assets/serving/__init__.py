"""vLLM as a server, and the conversation with it."""
