"""Synthetic faces: `traits.sample` gives a Face, `portrait.draw` a picture.

portrait     parameters of a face and of its photograph; draws them
traits       labels in, parameters out
expressions  the muscle actions of the emotions
hair         styles and colours by age and gender
head         skull, ears, neck, hair and clothes as surfaces
features     eyes, nose, mouth and beard, painted on the unrolled skin
wrinkles     lines of age and of expression, likewise
canvas       soft-edged polygons for the two
surfaces     turns, lights and rasters surfaces
sheet        a picture of synthetic faces, class by class
"""
