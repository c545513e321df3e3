"""nst compare: the page, its tally, and what they refuse."""
