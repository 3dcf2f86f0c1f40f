"""From a photograph and its hole to a filled photograph, and from config and checkpoint to the network for it."""
