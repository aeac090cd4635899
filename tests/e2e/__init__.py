"""Both servers as a person starts them, on the bundled model in its real engine."""
