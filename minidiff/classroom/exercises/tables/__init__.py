"""Tables of the exercises: which there are, their hints and their known faults."""
