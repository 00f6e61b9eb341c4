"""The classroom's data: slides, LaTeX, errata, mutants, toy arguments."""
