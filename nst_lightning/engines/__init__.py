"""Where the jobs of a study or a film run."""
