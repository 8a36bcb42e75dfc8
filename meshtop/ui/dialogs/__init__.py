"""What lies over a screen and asks or explains."""
