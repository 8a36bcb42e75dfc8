"""Ways to reach a node. After this room nothing can tell them apart."""
