"""The parts of screens: each draws Strips from a Scene."""
