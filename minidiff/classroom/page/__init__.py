"""What the page docs/play computes: each tab's functions, called in the browser by name."""
