"""What is measured from points, and by slices of time: each becomes good and total in slots, as if it had been counted."""
