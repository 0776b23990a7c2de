"""Documents and chats."""
