"""Video sources and recordings, and the output files of the demos."""
