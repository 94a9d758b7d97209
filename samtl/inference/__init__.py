"""Trained networks without Keras or TensorFlow; .keras files need Keras."""
