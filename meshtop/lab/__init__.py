"""The five-node network in Linux namespaces."""
