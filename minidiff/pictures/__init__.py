"""Files to look at: images, curves, points."""
