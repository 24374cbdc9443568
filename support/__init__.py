"""slimhub.support: what the other folders need of the terminal, the system and TensorFlow's runtime."""
