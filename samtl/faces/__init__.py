"""Faces in photos and videos; imports neither Keras nor TensorFlow."""
