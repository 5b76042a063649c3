"""The status of a run: its health, its page, and the same as JSON."""
