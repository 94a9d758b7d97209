"""Annotated copies of images: boxes, labels and pose arrows."""
