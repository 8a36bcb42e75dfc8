"""What an incident leaves behind for others: a window cut out of a recording, its names replaced, its story told."""
