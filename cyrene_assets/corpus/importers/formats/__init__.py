"""Formats that dialog is imported from: each module here is one."""
