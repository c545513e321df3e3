"""The page to paint on: ``nst ui``."""
