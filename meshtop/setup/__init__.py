"""From what nodes say of themselves to a first configuration, and to what is wrong with one. Pure."""
