"""What happens when in a run, and what watches over it."""
