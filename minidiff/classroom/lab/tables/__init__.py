"""Tables of the bug lab: its causes, its rounds, and which experiment shows what."""
