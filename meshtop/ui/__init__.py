"""The full-screen monitor. Renders immutable views; owns no measurement."""
