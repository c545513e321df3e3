"""Which of two pictures do people prefer, and in what: a page that asks them blindly, and the tally of their answers."""
