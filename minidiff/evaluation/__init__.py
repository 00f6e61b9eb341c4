"""How good the samples and the model are."""
