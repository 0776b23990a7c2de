"""Clients of the hubs that base models come from."""
