"""The derivations of the slides, line by line.

Programs run their results, which stand in diffusion/.
"""
