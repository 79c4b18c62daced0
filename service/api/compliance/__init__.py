"""Whether each agreement is kept."""
