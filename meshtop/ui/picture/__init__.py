"""The screen as a picture: cells taken from the compositor, written as SVG, PNG or plain text."""
