"""Source adapters: each module here is one."""
