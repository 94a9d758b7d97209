"""The image demo, which is the command `samtl`."""
