"""What the classroom knows, as data: slides, errata, mutants, toy arguments."""
