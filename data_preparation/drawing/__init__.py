"""Faces drawn from parameters: `traits.sample` one, `portrait.draw` it.

portrait     what a face and its photograph consist of; draws them
traits       labels in, parameters out
expressions  the muscle actions of the emotions
hair         styles and colours by age and gender
head         skull, ears, neck, hair and clothes as surfaces
features     eyes, nose, mouth and beard, painted on the unrolled skin
wrinkles     lines of age and of expression, likewise
canvas       soft-edged polygons for the two
surfaces     turns, lights and rasters surfaces
sheet        a picture of drawn faces, class by class
"""
