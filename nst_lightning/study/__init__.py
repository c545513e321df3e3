"""Studies: a grid of runs over one or two settings, and the figure, the table and the page made of it."""
