"""The bug lab: a bug runs inside the package, its consequence is shown, and a student names it."""
