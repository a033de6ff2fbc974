"""What the trainer will see of the data: rows as tokens, their lengths, and what is odd about them."""
