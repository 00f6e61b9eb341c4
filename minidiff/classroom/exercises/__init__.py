"""Exercises: the package's own functions without their bodies, graded against the package."""
