"""The computations of the page docs/play: each tab's functions, called in the browser by name."""
